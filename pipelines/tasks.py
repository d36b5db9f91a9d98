"""Task files -> examples in memory: what a task makes of the rows that `files` reads.

Columns have default names (`sentence`, or `sentence1` and `sentence2`; `label`) and can be named. A text may be empty.
"""

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import files

TEXT_COLUMN, PAIR_COLUMNS, LABEL_COLUMN = "sentence", ("sentence1", "sentence2"), "label"
Paths = str | Path | Sequence[str | Path]
Place = tuple[Path, int]  # a file and a line of it


@dataclass(frozen=True)
class Texts:
    """Texts without labels; `pairs` holds the second text of each, or is None; `columns` they were read from."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


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
    texts, values, places = [], [], []
    for path in files.find(paths):
        columns = None
        for number, row in files.rows(path):
            columns = columns or _text_columns(row, text_column, pair_column, path)
            texts.append([_text(row, column, path, number) for column in columns])
            values.append(_label(_value(row, label_column, path, number), label_column, path, number))
            places.append((path, number))
    known = tuple(map(str, labels)) if labels is not None else _sorted_labels(values)
    if len(set(known)) < 2 or len(set(known)) < len(known):
        raise ValueError(
            f"classification needs two or more different labels; got {', '.join(known)} from {_names(paths)}."
        )
    ids = _label_ids(values, known, places)
    return ClassificationExamples(*_columnwise(texts, columns), columns, ids, known)


def read_texts(source: Paths | io.IOBase, *, text_column: str = TEXT_COLUMN, pair_column: str | None = None) -> Texts:
    """Reads texts to predict on; labels that a file may have are left alone.

    Args:
        source: files as `read_classification` takes them, or .txt (one text a line), or an open stream such as
            `sys.stdin` (one text a line, UTF-8).
        text_column, pair_column: as in `read_classification`; not used for .txt and streams.
    """
    if hasattr(source, "read"):
        return Texts(tuple(_stream_lines(source)))
    texts, columns = [], ()
    for path in files.find(source):
        if files.format_of(path, (*files.FORMATS, ".txt")) == ".txt":
            texts += [[line] for _, line in files.lines(path)]
            continue
        columns = ()
        for number, row in files.rows(path):
            columns = columns or _text_columns(row, text_column, pair_column, path)
            texts.append([_text(row, column, path, number) for column in columns])
    return Texts(*_columnwise(texts, columns), columns)


def _stream_lines(stream: io.IOBase) -> list[str]:
    stream = getattr(stream, "buffer", stream)  # sys.stdin decodes by the locale; texts are UTF-8
    if isinstance(stream, io.TextIOBase):
        return [line.removesuffix("\n").removesuffix("\r") for line in stream]
    return [line for _, line in files.decoded(stream, getattr(stream, "name", "stream"))]


def _columnwise(texts: list[list[str]], columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Rows of one or two texts -> (texts, pairs or None)."""
    widths = {len(row) for row in texts}
    if len(widths) > 1:
        raise ValueError(
            "files read together have single texts or pairs, not both. Read them apart or name the columns."
        )
    first = tuple(row[0] for row in texts)
    return first, tuple(row[1] for row in texts) if widths == {2} else None


def _text_columns(row: dict[str, Any], text_column: str, pair_column: str | None, path: Path) -> tuple[str, ...]:
    """The columns that hold the texts; sentence1 and sentence2 stand in for the default."""
    if text_column == TEXT_COLUMN and pair_column is None and text_column not in row and set(PAIR_COLUMNS) <= set(row):
        return PAIR_COLUMNS
    columns = (text_column,) if pair_column is None else (text_column, pair_column)
    for column in columns:
        if column not in row:
            raise ValueError(_no_column(row, column, str(path)))
    return columns


def _no_column(row: dict[str, Any], column: str, where: str) -> str:
    there = ", ".join(repr(name) for name in row)
    return f"{where}: no column {column!r}; there are {there}. Name one of them (line 1 of TSV and CSV is the header)."


def _value(row: dict[str, Any], column: str, path: Path, number: int) -> Any:
    if column not in row:
        raise ValueError(_no_column(row, column, f"{path}:{number}"))
    return row[column]


def _text(row: dict[str, Any], column: str, path: Path, number: int) -> str:
    value = _value(row, column, path, number)
    if not isinstance(value, str):
        raise ValueError(f"{path}:{number}: {column!r} must be a text; got {value!r}. Put it in quotes.")
    return value


def _label(value: Any, column: str, path: Path, number: int) -> str:
    """A label as its word: JSON may have it as a number or as true and false."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int) or value == "" or str(value).isspace():
        raise ValueError(f"{path}:{number}: {column!r} must be a word or a whole number; got {value!r}.")
    return str(value).strip()


def _is_number(label: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", label) is not None


def _sorted_labels(values: list[str]) -> tuple[str, ...]:
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
                f"{path}:{number}: label {value!r} is not one of the {len(labels)} known: {_listed(labels)}. "
                "Labels come from the training file or the model: correct the row, or train on a file that has it."
            )
    return tuple(index[value] for value in values)


def _listed(labels: Sequence[str], most: int = 20) -> str:
    return ", ".join(labels[:most]) + (f", ... ({len(labels) - most} more)" if len(labels) > most else "")


def _names(paths: Paths) -> str:
    return ", ".join(map(str, files.find(paths)))
