"""Entities: words with tags -> what they name, with its characters, as graph functions.

B texts, N words of all texts in order, E entities of all texts, C tags.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kbert.tasks.viterbi import parted
from pipelines.normalize import assigned_characters


class Words(NamedTuple):
    """Words, or entities, of texts, in order: int32 [N] each. text: which; start, end: characters of it."""

    text: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor


class Entities(NamedTuple):
    """Entities with their type, string [E], and the mean of their words' scores, float32 [E]."""

    spans: Words
    label: tf.Tensor
    score: tf.Tensor


def find_words(begins: tf.Tensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor, codes: tf.RaggedTensor) -> Words:
    """The words of texts.

    Args:
        begins: bool [pieces], which pieces begin a word.
        starts, ends: int32 [B, (T)], characters of the pieces.
        codes: int32 [B, (characters)], code points of the texts. Marks behind a word belong to it, also where the
            tokenizer removes them: accents of an uncased model.
    """
    first = tf.where(begins)[:, 0]  # [N]
    number = tf.size(begins, tf.int64)
    last = tf.concat([first[1:], number[None]], 0)[: tf.size(first)] - 1
    text = tf.gather(starts.value_rowids(), first)
    end = tf.gather(ends.values, last)
    is_mark = tf.searchsorted(mark_edges(), codes.values, side="right") % 2 == 1
    plain = tf.concat([tf.where(~is_mark)[:, 0], tf.size(codes.values, tf.int64)[None]], 0)
    line = tf.gather(codes.row_splits, text)  # [N]
    behind = tf.gather(plain, tf.searchsorted(plain, line + tf.cast(end, tf.int64)))  # the next that is no mark
    behind = tf.minimum(behind, tf.gather(codes.row_splits, text + 1)) - line
    return Words(tf.cast(text, tf.int32), tf.gather(starts.values, first), tf.cast(behind, tf.int32))


def mark_edges() -> np.ndarray:
    """Where runs of code points that are marks begin and end: int32, sorted."""
    codes = [ord(character) for character in assigned_characters() if unicodedata.category(character)[0] == "M"]
    breaks = np.flatnonzero(np.diff(codes) > 1)
    codes = np.array(codes, np.int32)
    return np.sort(np.concatenate([codes[[0, *(breaks + 1)]], codes[[*breaks, -1]] + 1]))


def find_entities(words: Words, tags: tf.Tensor, scores: tf.Tensor, labels: Sequence[str]) -> Entities:
    """What legal sequences of IOB2 or BIOES tags spell; plain tags spell nothing.

    Args:
        words: N.
        tags: int32 [N], numbers of labels.
        scores: float32 [N].
        labels: C tags.
    """
    prefixes, types = zip(*map(parted, labels), strict=True)
    opens = tf.gather([prefix in ("B", "S") for prefix in prefixes], tags)
    goes_on = tf.gather([prefix in ("I", "E") for prefix in prefixes], tags)
    closes = (opens | goes_on) & ~tf.concat([goes_on[1:], [False]], 0)[: tf.size(tags)]
    first, last = tf.where(opens)[:, 0], tf.where(closes)[:, 0]  # [E]
    member = tf.where(opens | goes_on, tf.cumsum(tf.cast(opens, tf.int32)) - 1, -1)  # [N], -1 is left out
    return Entities(
        Words(tf.gather(words.text, first), tf.gather(words.start, first), tf.gather(words.end, last)),
        tf.gather(tf.constant(types), tf.gather(tags, first)),
        tf.math.unsorted_segment_mean(scores, member, tf.size(first)),
    )


def substrings(codes: tf.RaggedTensor, spans: Words) -> tf.Tensor:
    """The characters of spans, string [N]; a broken byte sequence is U+FFFD."""
    line = tf.gather(codes.row_splits, spans.text)
    places = tf.ragged.range(line + tf.cast(spans.start, tf.int64), line + tf.cast(spans.end, tf.int64))
    return tf.strings.unicode_encode(places.with_flat_values(tf.gather(codes.values, places.values)), "UTF-8")


def rows(values: tf.Tensor, text: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """What words have, [N], as rows of B texts, padded with "" or -1: [B, W]."""
    by_text = tf.RaggedTensor.from_value_rowids(
        values, tf.cast(text, tf.int64), tf.cast(size, tf.int64), validate=False
    )
    return by_text.to_tensor("" if values.dtype == tf.string else tf.constant(-1, values.dtype))
