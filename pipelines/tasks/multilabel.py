"""Multi-label: files of a text or a pair of texts and any number of labels -> examples in memory -> batches.

B batch, T tokens of the batch's longest row, N examples, C labels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.batches import text_batches
from pipelines.orders import FileOrder, GroupedOrder
from pipelines.tasks.classify import label_of, sorted_labels
from pipelines.tasks.texts import (
    LABEL_COLUMN,
    TEXT_COLUMN,
    Paths,
    TextRow,
    Texts,
    columnwise,
    listed,
    named_files,
    text_rows,
    value_of,
)

LABELS_COLUMN = "labels"  # stands in for the default where a file has no `label`
SEPARATOR = ","


@dataclass(frozen=True)
class MultiLabelExamples(Texts):
    """Texts with any number of labels: `labels[j]` for j in `label_ids[i]` are those of `texts[i]`."""

    label_ids: tuple[tuple[int, ...], ...] = ()
    labels: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many examples have each label, in the order of `labels`."""
        number = Counter(index for ids in self.label_ids for index in ids)
        return {label: number[index] for index, label in enumerate(self.labels)}

    def targets(self) -> np.ndarray:
        """float32 [N, C]: 1 where an example has a label.

        >>> MultiLabelExamples(("a", "b"), label_ids=((), (0, 2)), labels=("x", "y", "z")).targets().tolist()
        [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
        """
        targets = np.zeros([len(self), len(self.labels)], "float32")
        for row, ids in zip(targets, self.label_ids, strict=True):
            row[list(ids)] = 1.0
        return targets


def read_multilabel(
    paths: Paths,
    *,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str = LABEL_COLUMN,
    separator: str = SEPARATOR,
    labels: Sequence[str] | None = None,
) -> MultiLabelExamples:
    """Reads files of one text or a pair of texts, and the labels that they have: none, one or several.

    Args:
        paths: a file, a glob, or several of either, with the same columns: .tsv, .csv or .jsonl, also .gz and .xz.
        text_column: the text. Where a file has no `sentence` but has `sentence1` and `sentence2`, these are the pair.
        pair_column: the second text of a pair; None for single texts.
        label_column: the labels, words or numbers: in a string with separators between them, or in JSONL a list. An
            empty string or list is a text without a label; a label that is there twice is there once. Where a file has
            no `label` but has `labels`, this is the column.
        separator: of labels in a string.
        labels: all labels in the order of their ids, as a trained model has them. None finds them in the files:
            numbers in their order, otherwise words in theirs.

    Raises:
        ValueError: a label not among those given, an empty one between two separators, no label in any row, a column
            or key that is not there, a text that is not a string; and what `files.rows` raises. All name the file, and
            the line where there is one.
        FileNotFoundError: no such file.
    """
    if not separator or separator.isspace() and separator != "\t":
        raise ValueError(f"separator is what stands between two labels, as ',' or '|'; got {separator!r}.")
    lines, texts, values, columns = [], [], [], ()
    for line in text_rows(paths, text_column=text_column, pair_column=pair_column):
        values.append(_labels_of(line, label_column, separator))
        texts.append(line.texts)
        lines.append(line.place)
        columns = columns or line.columns
    found = sorted_labels(label for row in values for label in row)
    known = tuple(map(str, labels)) if labels is not None else found
    if not known or len(set(known)) < len(known):
        raise ValueError(
            f"multi-label classification needs different labels, one at least; got {', '.join(known) or 'none'} from "
            f"{named_files(paths)}."
        )
    ids = {label: index for index, label in enumerate(known)}
    for place, row in zip(lines, values, strict=True):
        for label in row:
            if label not in ids:
                raise ValueError(
                    f"{place}: label {label!r} is not one of the {len(known)} known: {listed(known)}. Labels come from "
                    f"the training file or the model; between labels stands {separator!r}. "
                    "Correct the row, or train on a file that has it."
                )
    label_ids = tuple(tuple(sorted({ids[label] for label in row})) for row in values)
    return MultiLabelExamples(*columnwise(texts, columns), columns, label_ids, known)


def multilabel(
    files: Paths | MultiLabelExamples,
    spec: dict,
    *,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int | None = None,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str = LABEL_COLUMN,
    separator: str = SEPARATOR,
    labels: Sequence[str] | None = None,
    epochs: range | None = None,
    window: int | None = None,
) -> tf.data.Dataset:
    """Files of texts, or of pairs of texts, with any number of labels -> batches for a multi-label classifier.

    Args:
        files: files and globs as `read_multilabel` takes them, or the examples that it has read.
        spec, batch_size, max_length, seed, epochs, window: as in `pipelines.classification`.
        text_column, pair_column, label_column, separator: as in `read_multilabel`.
        labels: the labels in the order of their ids; None takes those of the model, `spec["labels"]`.

    Returns:
        A dataset of known cardinality, of (`pack`'s three tensors int32 [B, T], labels float32 [B, C], 0 or 1).

    Raises:
        ValueError: max_length over the model's positions, labels that are not the model's; and what `read_multilabel`
            raises.
        FileNotFoundError: no such file.
    """
    labels = spec["labels"] if labels is None else labels
    examples = files
    if not isinstance(files, MultiLabelExamples):
        columns = {"text_column": text_column, "pair_column": pair_column, "label_column": label_column}
        examples = read_multilabel(files, separator=separator, labels=labels, **columns)
    elif labels is not None and tuple(map(str, labels)) != files.labels:
        raise ValueError(
            f"the examples' labels must be the model's, in its order: {', '.join(map(str, labels))}; "
            f"got {', '.join(files.labels)}. Use read_multilabel(..., labels=model.labels)."
        )
    order = FileOrder() if seed is None else GroupedOrder(seed)
    texts = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    return text_batches(texts, tf.constant(examples.targets()), spec, order, batch_size, max_length, epochs, window)


def _labels_of(line: TextRow, label_column: str, separator: str) -> list[str]:
    """The labels of a row, as they stand there."""
    default = label_column == LABEL_COLUMN and label_column not in line.row and LABELS_COLUMN in line.row
    column = LABELS_COLUMN if default else label_column
    value = value_of(line.row, column, line.path, line.number)
    if isinstance(value, str):
        value = value.split(separator) if value.strip() else []
    if not isinstance(value, list):
        raise ValueError(
            f"{line.place}: {column!r} must be a list of labels, or labels with {separator!r} between them; "
            f"got {value!r}."
        )
    return [label_of(label, column, line.path, line.number) for label in value]
