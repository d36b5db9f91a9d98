"""Embedding: files of pairs, with or without scores, and of triplets -> examples in memory -> batches of stacked rows.

N examples, S texts of each (2 of a pair, 3 of a triplet), T tokens of a batch's longest row.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import files
from pipelines.orders import FileOrder, GroupedOrder
from pipelines.packing import pack, packed_lengths
from pipelines.row_batches import index_batches, open_wordpiece, tokenize_all
from pipelines.tasks.texts import LABEL_COLUMN, PAIR_COLUMNS, Paths, no_column, text_of, value_of

TRIPLET_COLUMNS = ("anchor", "positive", "negative")
SCORE_COLUMN = "score"


@dataclass(frozen=True)
class EmbeddingExamples:
    """Pairs or triplets of texts.

    Args:
        texts: S columns of N texts: the first, the second, and of triplets the third, which does not belong.
        columns: of the files, that they were read from.
        scores: of pairs, how much the same each means, more is more; None where nothing tells.
        groups: S columns of N numbers; texts of one number are no wrong answers to each other. By default equal texts.
    """

    texts: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None
    groups: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.texts[0])

    @property
    def kind(self) -> str:
        """ "triplets" and "pairs", "labelled" pairs where all scores are 0 or 1, else "scored" pairs."""
        if self.scores is None:
            return "triplets" if len(self.texts) == 3 else "pairs"
        return "labelled" if set(self.scores) <= {0.0, 1.0} else "scored"

    def numbers(self) -> np.ndarray:
        """int32 [N, S]: `groups`, or the same number for the same text."""
        if self.groups is not None:
            return np.array(self.groups, "int32").T
        known: dict[str, int] = {}
        return np.array([[known.setdefault(text, len(known)) for text in column] for column in self.texts], "int32").T


def read_embedding(
    paths: Paths,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    negative_column: str | None = None,
    label_column: str | None = None,
) -> EmbeddingExamples:
    """Reads files of pairs (`sentence1`, `sentence2`, and `label` where there are scores), or of triplets (`anchor`,
    `positive`, `negative`); `anchor` and `positive` alone are pairs.

    Args:
        paths: a file, a glob, or several of either, with the same columns: .tsv, .csv or .jsonl, also .gz and .xz.
        text_column, pair_column, negative_column: of the texts, where they are called otherwise.
        label_column: of a pair's score: a number, higher for texts that mean more of the same, or 0 and 1. By default
            `label` or `score`, where there is such a column and the texts are a pair.

    Raises:
        ValueError: a column that is not there, a text that is not a string, a score that is not a finite number, files
            with other columns than the first; all name the file, and the line where there is one. A label column for
            triplets.
        FileNotFoundError: no such file.
    """
    if negative_column and label_column:
        raise ValueError(f"Triplets have no scores; got label_column={label_column!r}. Leave out one of the columns.")
    found, texts, scores = None, [], []
    for path in files.find(paths):
        columns = None
        for number, row in files.rows(path):
            if columns is None:
                columns = _columns(row, (text_column, pair_column, negative_column), label_column, path)
                found = found or columns
                if len(columns[0]) != len(found[0]) or (columns[1] is None) != (found[1] is None):
                    raise ValueError(
                        f"{path}: files read together are of one form, all pairs, all scored or all triplets; "
                        f"got {columns[0]} after {found[0]}. Read them apart."
                    )
            texts.append([text_of(row, column, path, number) for column in columns[0]])
            if columns[1] is not None:
                scores.append(_score(value_of(row, columns[1], path, number), columns[1], f"{path}:{number}"))
    return EmbeddingExamples(tuple(zip(*texts, strict=True)), found[0], tuple(scores) if scores else None)


def _columns(
    row: Mapping[str, Any], named: Sequence[str | None], label: str | None, path: Path
) -> tuple[tuple[str, ...], str | None]:
    """Columns of the texts, and of the score."""
    anchor, positive, negative = TRIPLET_COLUMNS
    anchored = anchor in row and positive in row
    third = named[2] or (negative if anchored and negative in row and not label else None)
    usual = TRIPLET_COLUMNS[:2] if anchored else PAIR_COLUMNS
    columns = (named[0] or usual[0], named[1] or usual[1], *([third] if third else []))
    for column in (*columns, *([label] if label else [])):
        if column not in row:
            raise ValueError(no_column(row, column, str(path)))
    usual_labels = (name for name in (LABEL_COLUMN, SCORE_COLUMN) if name in row and len(columns) == 2)
    return columns, label or next(usual_labels, None)


def _score(value: Any, column: str, place: str) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(
            f"{place}: {column!r} must be a finite number, how much the same two texts mean; got {value!r}."
        )
    return score


def pairs_of_classes(texts: Sequence[str], label_ids: Sequence[int], rounds: int, seed: int) -> EmbeddingExamples:
    """Pairs of texts of one class, which are no wrong answers to each other: what few examples a class are learned by.

    In a round each text is the first of a pair, and another text of its class, drawn at random, is the second. A text
    that is alone in its class is paired with itself, which dropout tells apart (Gao et al. 2021, "SimCSE").

    Args:
        texts: N of them.
        label_ids: the class of each.
        rounds: how often.
        seed: of the drawing.

    References: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", section 3.

    >>> made = pairs_of_classes(["a", "b", "c"], [0, 0, 1], rounds=2, seed=0)
    >>> made.texts, made.groups
    ((('a', 'b', 'c', 'a', 'b', 'c'), ('b', 'a', 'c', 'b', 'a', 'c')), ((0, 0, 1, 0, 0, 1), (0, 0, 1, 0, 0, 1)))
    """
    members: dict[int, list[int]] = {}
    for place, label in enumerate(label_ids):
        members.setdefault(label, []).append(place)
    draw = np.random.default_rng(seed)
    seconds = []
    for _ in range(rounds):
        for place, label in enumerate(label_ids):
            others = [other for other in members[label] if other != place] or [place]
            seconds.append(texts[others[draw.integers(len(others))]])
    groups = tuple(label_ids) * rounds
    return EmbeddingExamples((tuple(texts) * rounds, tuple(seconds)), groups=(groups, groups))


def embedding(
    files: Paths | EmbeddingExamples,
    spec: dict,
    *,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int | None = None,
    max_score: float | None = None,
    epochs: range | None = None,
    **columns: str | None,
) -> tf.data.Dataset:
    """Files of pairs or triplets -> batches for an embedder.

    Args:
        files: files and globs as `read_embedding` takes them, or the examples that it has read.
        spec: `model.tokenizer_spec`.
        batch_size: examples in a batch, B; the last batch of an epoch may have fewer.
        max_length: the most tokens of a text, special tokens included; longer texts are cut.
        seed, epochs: as in `pipelines.classification`.
        max_score: what means the same: scores are divided by it. By default the largest of the files.
        columns: of `read_embedding`.

    Returns:
        A dataset of known cardinality, of ids int32 [B, S, T] in three tensors (see `pack`), and labels: of pairs with
        scores these, float32 [B], 1 for the same; of others numbers of the texts, int32 [B, S], equal for equal texts.

    Raises:
        ValueError: max_length over the model's positions, max_score not above 0; and what `read_embedding` raises.
        FileNotFoundError: no such file.
    """
    examples = files if isinstance(files, EmbeddingExamples) else read_embedding(files, **columns)
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    segments = [tokenize_all(tf.constant(column, tf.string), wordpiece, max_length) for column in examples.texts]
    lengths = tf.reduce_max([packed_lengths([ids], max_length) for ids in segments], axis=0)  # [N], of the longest
    labels = tf.constant(examples.numbers()) if examples.scores is None else scaled(examples.scores, max_score)

    def build(chosen):
        rows = tf.concat([tf.gather(ids, chosen) for ids in segments], axis=0)  # [S * B, (T)]
        packed = pack([rows], wordpiece, max_length)
        return {name: _stacked(ids, len(segments)) for name, ids in packed.items()}, tf.gather(labels, chosen)

    order = FileOrder() if seed is None else GroupedOrder(seed)
    return index_batches(lengths, order, batch_size, build, epochs)


def scaled(scores: Sequence[float], max_score: float | None) -> tf.Tensor:
    """Scores over the largest that there is, float32 [N]."""
    most = max(scores) if max_score is None else max_score
    if not most > 0:
        raise ValueError(f"max_score is above 0, what texts that mean the same have; got {most}. Give max_score=.")
    return tf.constant(np.asarray(scores) / most, tf.float32)


def _stacked(rows: tf.Tensor, stack: int) -> tf.Tensor:
    """[S * B, T] -> [B, S, T]."""
    return tf.transpose(tf.reshape(rows, [stack, -1, tf.shape(rows)[1]]), [1, 0, 2])
