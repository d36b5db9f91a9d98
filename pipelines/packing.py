"""Packing: word ids of one or two texts -> the three tensors BERT reads, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.

B batch, T tokens of the packed row, A and N tokens of the first and second text.

Layout: Devlin et al. 2019, section 3 and figure 2. Two texts that are too long together lose tokens one by one, from
the longer, ties from the second: `_truncate_seq_pair` of google-research/bert `run_classifier.py`, here in closed form.

Serving one text costs about as much as it has graph operations, so this file is written in few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from pipelines.wordpiece import WordPiece

SINGLE_SPECIALS = 2  # [CLS] a [SEP]
PAIR_SPECIALS = 3  # [CLS] a [SEP] b [SEP]


def pack(segments: Sequence[tf.RaggedTensor], wordpiece: WordPiece, max_length: int) -> dict[str, tf.Tensor]:
    """Packs a batch of texts, padded to its own longest row.

    Args:
        segments: one ragged int32 [B, (A)] for single texts, or two, [B, (A)] and [B, (N)], for pairs; ids without
            special tokens. Empty texts and B = 0 are fine.
        wordpiece: whose `cls_id`, `sep_id` and `pad_id` are used.
        max_length: the most tokens in a row, special tokens included; longer texts are cut.

    Returns:
        `input_word_ids`, `input_mask` (1 = a token), `input_type_ids` (1 = second text and its [SEP]); int32 [B, T],
        T = the longest packed row of this batch.

    Raises:
        ValueError: not one or two segments, or max_length holds no more than the special tokens.
    """
    _check(segments, "max_length", max_length)
    if len(segments) == 1:
        room = max_length - SINGLE_SPECIALS
        return _pack_one(_dense(segments[0], wordpiece)[:, :room], wordpiece)
    return _pack_two(*segments, wordpiece, max_length, length=None)


def pack_to_length(segments: Sequence[tf.RaggedTensor], wordpiece: WordPiece, length: int) -> dict[str, tf.Tensor]:
    """As `pack`, every row padded or cut to exactly `length` tokens: static shapes [B, length] for XLA and TPU."""
    _check(segments, "length", length)
    if len(segments) == 1:
        return _pack_one(_dense(segments[0], wordpiece, width=length - SINGLE_SPECIALS), wordpiece)
    return _pack_two(*segments, wordpiece, length, length=length)


def packed_lengths(segments: Sequence[tf.RaggedTensor], max_length: int) -> tf.Tensor:
    """Tokens in each row that `pack` would make, int64 [B]: what batches are grouped by."""
    specials = SINGLE_SPECIALS if len(segments) == 1 else PAIR_SPECIALS
    words = tf.add_n([tf.cast(segment.row_lengths(), tf.int64) for segment in segments])  # [B]
    return tf.minimum(words + specials, max_length)


def shared_room(first: tf.Tensor, second: tf.Tensor, room: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Tokens that each text of a pair keeps when both must fit in `room` together.

    Popping from the longer, ties from the second, ends with both at half the room (the first at the larger half), or,
    where one is shorter than its half, with that one whole and the other at what it leaves.

    >>> [int(n) for n in shared_room(tf.constant(9), tf.constant(2), 7)]
    [5, 2]
    >>> [int(n) for n in shared_room(tf.constant(9), tf.constant(8), 7)]
    [4, 3]
    """
    kept_first = tf.minimum(first, tf.maximum(room - second, (room + 1) // 2))
    return kept_first, tf.minimum(second, room - kept_first)


def _check(segments: Sequence[tf.RaggedTensor], name: str, length: int) -> None:
    if isinstance(segments, tf.RaggedTensor) or not 1 <= len(segments) <= 2:
        given = "one RaggedTensor" if isinstance(segments, tf.RaggedTensor) else f"{len(segments)} segments"
        raise ValueError(f"segments is a list of one or two ragged tensors of ids; got {given}. Use [first] or [a, b].")
    specials = SINGLE_SPECIALS if len(segments) == 1 else PAIR_SPECIALS
    if length <= specials:
        raise ValueError(f"{name} must be over {specials}, the number of special tokens in a row; got {length}.")


def _unknown(wordpiece: WordPiece) -> int:
    """The filler of `_dense`: negative, as no word id is, and [SEP] once its sign is dropped."""
    return -max(wordpiece.sep_id, 1)


def _dense(ids: tf.RaggedTensor, wordpiece: WordPiece, width: int = -1) -> tf.Tensor:
    """Ragged [B, (A)] -> dense [B, A] (or [B, width], cut) filled with `_unknown`, in one operation."""
    return tf.raw_ops.RaggedTensorToTensor(
        shape=[-1, width],
        values=ids.values,
        default_value=tf.constant(_unknown(wordpiece), ids.dtype),
        row_partition_tensors=[ids.row_splits],
        row_partition_types=["ROW_SPLITS"],
    )


def _pack_one(words: tf.Tensor, wordpiece: WordPiece) -> dict[str, tf.Tensor]:
    """[CLS] words [SEP] from dense words [B, A], negative where a row has ended; T = A + 2.

    Shifted right by one, the words stand in their places and the first negative is the place of [SEP]. Shifted by two,
    everything before the first negative is a token.
    """
    raw = tf.raw_ops
    is_token = raw.PadV2(input=words, paddings=[[0, 0], [2, 0]], constant_values=wordpiece.cls_id) >= 0  # [B, T]
    row = raw.PadV2(input=words, paddings=[[0, 0], [1, 0]], constant_values=wordpiece.cls_id)
    row = raw.PadV2(input=row, paddings=[[0, 0], [0, 1]], constant_values=_unknown(wordpiece))  # [B, T]
    row = raw.Abs(x=row) if wordpiece.sep_id else raw.Relu(features=row)  # negative -> [SEP]
    row = raw.SelectV2(condition=is_token, t=row, e=wordpiece.pad_id)
    mask = raw.Cast(x=is_token, DstT=tf.int32)
    return {"input_word_ids": row, "input_mask": mask, "input_type_ids": raw.ZerosLike(x=row)}


def _pack_two(first, second, wordpiece: WordPiece, max_length: int, length: int | None) -> dict[str, tf.Tensor]:
    """[CLS] a [SEP] b [SEP]: every cell of [B, T] says which entry of one flat table of ids it shows.

    The table: entries 0, 1, 2 are [PAD], [CLS], [SEP]; then all words of the first texts; then all of the second.
    """
    dtype = first.row_splits.dtype
    second = second.with_row_splits_dtype(dtype)
    first_start, second_start = first.row_splits[:-1, tf.newaxis], second.row_splits[:-1, tf.newaxis]  # [B, 1]
    kept_first, kept_second = shared_room(
        first.row_splits[1:, tf.newaxis] - first_start,
        second.row_splits[1:, tf.newaxis] - second_start,
        max_length - PAIR_SPECIALS,
    )  # [B, 1] both
    middle = kept_first + 1  # where the first [SEP] stands
    end = middle + kept_second + 1  # where the last one does
    width = length or tf.maximum(tf.reduce_max(end) + 1, PAIR_SPECIALS)  # the maximum of no rows is the least integer
    place = tf.range(width, dtype=dtype)  # [T]
    specials = tf.constant([wordpiece.pad_id, wordpiece.cls_id, wordpiece.sep_id], first.dtype)
    table = tf.concat([specials, first.values, second.values], axis=0)
    before_second = tf.size(first.values, out_type=dtype) + 3 + second_start - (middle + 1)  # [B, 1]
    entry = tf.where(place < middle, place + (first_start + 2), place + before_second)  # [B, T]
    entry = tf.where((place == middle) | (place == end), tf.constant(2, dtype), entry)
    entry = tf.where(place == 0, tf.constant(1, dtype), entry)
    is_token = place <= end
    entry = tf.where(is_token, entry, tf.constant(0, dtype))
    return {
        "input_word_ids": tf.gather(table, entry),
        "input_mask": tf.cast(is_token, tf.int32),
        "input_type_ids": tf.cast((place > middle) & is_token, tf.int32),
    }
