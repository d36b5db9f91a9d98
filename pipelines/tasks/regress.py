"""Regression: files of a text or a pair of texts and a score -> examples in memory -> batches.

B batch, T tokens of the batch's longest row.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.batches import text_batches
from pipelines.orders import FileOrder, GroupedOrder
from pipelines.tasks.texts import LABEL_COLUMN, TEXT_COLUMN, Paths, TextRow, Texts, columnwise, text_rows, value_of

SCORE_COLUMN = "score"  # stands in for the default where a file has no `label`
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LARGEST = float(np.finfo("float32").max)


@dataclass(frozen=True)
class RegressionExamples(Texts):
    """Texts with one score each: `scores[i]` is the score of `texts[i]`, or of the pair."""

    scores: tuple[float, ...] = ()


def read_regression(
    paths: Paths,
    *,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str = LABEL_COLUMN,
) -> RegressionExamples:
    """Reads files of one text or a pair of texts, and a number that says how much of something there is.

    The original files of STS-B (Cer et al. 2017) have no header; this gives them one:
    `awk -F'\\t' -v OFS='\\t' 'BEGIN {print "sentence1", "sentence2", "score"} {print $6, $7, $5}' sts-train.tsv`

    Args:
        paths: a file, a glob, or several of either, with the same columns: .tsv, .csv or .jsonl, also .gz and .xz.
        text_column: the text. Where a file has no `sentence` but has `sentence1` and `sentence2`, these are the pair.
        pair_column: the second text of a pair; None for single texts.
        label_column: the score, a finite number. Where a file has no `label` but has `score`, this is the score.

    Raises:
        ValueError: a score that is not a finite number, a column or key that is not there, a text that is not a
            string; and what `files.rows` raises. All name the file, and the line where there is one.
        FileNotFoundError: no such file.
    """
    texts, scores, columns = [], [], ()
    for line in text_rows(paths, text_column=text_column, pair_column=pair_column):
        default = label_column == LABEL_COLUMN and label_column not in line.row and SCORE_COLUMN in line.row
        scores.append(_score(line, SCORE_COLUMN if default else label_column))
        texts.append(line.texts)
        columns = columns or line.columns
    return RegressionExamples(*columnwise(texts, columns), columns, tuple(scores))


def regression(
    files: Paths | RegressionExamples,
    spec: dict,
    *,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int | None = None,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str = LABEL_COLUMN,
    epochs: range | None = None,
    window: int | None = None,
) -> tf.data.Dataset:
    """Files of scored texts, or of pairs of texts -> batches for a regressor.

    Args:
        files: files and globs as `read_regression` takes them, or the examples that it has read.
        spec, batch_size, max_length, seed, epochs, window: as in `pipelines.classification`.
        text_column, pair_column, label_column: as in `read_regression`.

    Returns:
        A dataset of known cardinality, of (`pack`'s three tensors int32 [B, T], scores float32 [B]).

    Raises:
        ValueError: max_length over the model's positions; and what `read_regression` raises.
        FileNotFoundError: no such file.
    """
    examples = files
    if not isinstance(files, RegressionExamples):
        examples = read_regression(files, text_column=text_column, pair_column=pair_column, label_column=label_column)
    order = FileOrder() if seed is None else GroupedOrder(seed)
    columns = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    scores = tf.constant(examples.scores, tf.float32)
    return text_batches(columns, scores, spec, order, batch_size, max_length, epochs, window)


def _score(line: TextRow, column: str) -> float:
    """The score of a row: a number in JSON, or its decimal digits."""
    value: Any = value_of(line.row, column, line.path, line.number)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ValueError(
            f"{line.place}: {column!r} must be a finite number, as 3 or 2.75; got {value!r}. "
            "Correct the row, or leave it out."
        )
    return float(value)


def _is_finite(value: int | float) -> bool:
    """Whether a number is one in float32, too: scores are trained on as such."""
    return abs(value) <= _LARGEST  # False for NaN
