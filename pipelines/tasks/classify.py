"""Classification: files of a text or a pair of texts and a label -> examples in memory."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.tasks.texts import (
    LABEL_COLUMN,
    TEXT_COLUMN,
    Paths,
    Place,
    Texts,
    columnwise,
    listed,
    named_files,
    text_rows,
    value_of,
)


@dataclass(frozen=True)
class ClassificationExamples(Texts):
    """Texts with one label each: `labels[label_ids[i]]` is the label of `texts[i]`."""

    label_ids: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many examples each label has, in the order of `labels`."""
        number = Counter(self.label_ids)
        return {label: number[index] for index, label in enumerate(self.labels)}


def read_classification(
    paths: Paths,
    *,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str = LABEL_COLUMN,
    labels: Sequence[str] | None = None,
) -> ClassificationExamples:
    """Reads files of one text or a pair of texts, and a label.

    Args:
        paths: a file, a glob, or several of either, with the same columns: .tsv, .csv or .jsonl, also .gz and .xz.
        text_column: the text. Where a file has no `sentence` but has `sentence1` and `sentence2`, these are the pair.
        pair_column: the second text of a pair; None for single texts.
        label_column: the label, a word or a number.
        labels: the labels in the order of their ids, as a trained model has them. None finds them in the files:
            numbers in their order, otherwise words in theirs. Where labels are given and the files hold none of them
            but numbers from 0 to len(labels) - 1, the numbers are ids.

    Raises:
        ValueError: a label not among those given, fewer than two labels, a column or key that is not there, a text
            that is not a string; and what `files.rows` raises. All name the file, and the line where there is one.
        FileNotFoundError: no such file.
    """
    texts, values, places, columns = [], [], [], ()
    for line in text_rows(paths, text_column=text_column, pair_column=pair_column):
        texts.append(line.texts)
        value = value_of(line.row, label_column, line.path, line.number)
        values.append(label_of(value, label_column, line.path, line.number))
        places.append((line.path, line.number))
        columns = columns or line.columns
    known = tuple(map(str, labels)) if labels is not None else sorted_labels(values)
    if len(set(known)) < 2 or len(set(known)) < len(known):
        raise ValueError(
            f"classification needs two or more different labels; got {', '.join(known)} from {named_files(paths)}."
        )
    ids = _label_ids(values, known, places)
    return ClassificationExamples(*columnwise(texts, columns), columns, ids, known)


def label_of(value: Any, column: str, path: Path, number: int) -> str:
    """A label as its word: JSON may have it as a number or as true and false.

    Raises:
        ValueError: anything else; names file and line.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int) or value == "" or str(value).isspace():
        raise ValueError(f"{path}:{number}: {column!r} must be a word or a whole number; got {value!r}.")
    return str(value).strip()


def _is_number(label: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", label) is not None


def sorted_labels(values: Iterable[str]) -> tuple[str, ...]:
    """Different labels: numbers in their order, otherwise words in theirs."""
    different = set(values)
    if all(map(_is_number, different)):
        return tuple(sorted(different, key=lambda label: (int(label), label)))
    return tuple(sorted(different))


def _label_ids(values: list[str], labels: tuple[str, ...], places: list[Place]) -> tuple[int, ...]:
    """Position of each value among the labels; or the value itself where all values are such positions."""
    index = {label: position for position, label in enumerate(labels)}
    if not index.keys() & set(values):
        positions = {str(position): position for position in range(len(labels))}
        index = positions if positions.keys() >= set(values) else index
    for value, (path, number) in zip(values, places, strict=True):
        if value not in index:
            raise ValueError(
                f"{path}:{number}: label {value!r} is not one of the {len(labels)} known: {listed(labels)}. "
                "Labels come from the training file or the model: correct the row, or train on a file that has it."
            )
    return tuple(index[value] for value in values)
