"""Filling: sentence after sentence into segments of a wanted number of tokens, known by their lengths alone.

Where a segment ends decides where the next begins, which is a loop. Here a segment is found for every sentence that
could begin one, all at once, and then the chain of those that do is followed by doubling (1, 2, 4, ... segments at a
time): about fifteen rounds of a few graph operations for a window of any shape.

S sentences, D documents of a window; places count its tokens from 0, documents one after the other.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Sentences(NamedTuple):
    """Where the sentences and documents of a window are.

    starts: int64 [S + 1], the place where each sentence starts; the last entry is the number of tokens.
    documents: int64 [D + 1], the number of the sentence that each document starts with; the last entry is S.
    """

    starts: tf.Tensor
    documents: tf.Tensor


def cut_sentences(sentences: Sentences, longest: int, piece: int) -> Sentences:
    """The same tokens without empty sentences, empty documents and long sentences.

    Args:
        longest: a sentence of more tokens is cut,
        piece: into pieces of so many tokens; the last has what is left.

    >>> starts, documents = cut_sentences(Sentences(tf.constant([0, 2, 2, 9]), tf.constant([0, 1, 2, 3])), 4, 3)
    >>> starts.numpy().tolist(), documents.numpy().tolist()
    ([0, 2, 5, 8, 9], [0, 1, 4])
    """
    starts, documents = sentences
    sizes = starts[1:] - starts[:-1]  # [S]
    num_pieces = tf.where(sizes > longest, -(-sizes // piece), tf.cast(sizes > 0, sizes.dtype))
    before = tf.pad(tf.cumsum(num_pieces), [[1, 0]])  # [S + 1]
    sentence = tf.repeat(tf.range(tf.size(sizes)), num_pieces)  # [pieces]
    number = tf.range(before[-1], dtype=starts.dtype) - tf.gather(before, sentence)  # of the piece in its sentence
    documents = tf.gather(before, documents)
    filled = tf.concat([documents[1:] > documents[:-1], [True]], 0)
    starts = tf.concat([tf.gather(starts, sentence) + number * piece, starts[-1:]], 0)
    return Sentences(starts, tf.boolean_mask(documents, filled))


def document_numbers(sentences: Sentences) -> tf.Tensor:
    """The document of each sentence, int64 [S]."""
    documents = sentences.documents
    return tf.repeat(tf.range(tf.size(documents, tf.int64) - 1), documents[1:] - documents[:-1])


def fill(starts: tf.Tensor, first: tf.Tensor, tokens: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Where segments end that take sentences until they have `tokens` or more: one sentence at least.

    Args:
        starts: int64 [S + 1].
        first: int64 [n], the sentence that a segment begins with.
        tokens: int64 [n], wanted.
        last: int64 [n], the sentence that it must end before.

    Returns:
        int64 [n], the first sentence that the segment does not take.
    """
    reached = tf.searchsorted(starts, tf.gather(starts, first) + tokens, out_type=tf.int64)
    return tf.minimum(tf.maximum(reached, first + 1), last)


def fill_within(starts: tf.Tensor, first: tf.Tensor, tokens: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """As `fill`, of segments that take sentences as long as they have no more than `tokens`."""
    over = tf.searchsorted(starts, tf.gather(starts, first) + tokens, side="right", out_type=tf.int64)
    return tf.minimum(tf.maximum(over - 1, first + 1), last)


def chain(following: tf.Tensor) -> tf.Tensor:
    """The sentences that begin a segment: 0, the one following it, the one following that, ...

    Args:
        following: int64 [S], for every sentence the one that would begin the next segment; larger than the sentence
            itself, S where there is none.

    Returns:
        int64 [n], ascending.

    >>> chain(tf.constant([2, 2, 3, 5, 5], tf.int64)).numpy().tolist()
    [0, 2, 3]
    """
    size = tf.size(following, tf.int64)
    jump = tf.concat([following, [size]], 0)  # [S + 1], where `reach` segments lead from each sentence
    begins = tf.range(size + 1) < 1  # [S + 1], those that fewer segments than `reach` lead to

    def double(reach, jump, begins):
        reached = tf.boolean_mask(jump, begins)
        begins = tf.tensor_scatter_nd_update(begins, reached[:, None], tf.ones_like(reached, tf.bool))
        return reach * 2, tf.gather(jump, jump), begins

    reach = tf.constant(1, tf.int64)
    *_, begins = tf.while_loop(lambda reach, *_: reach < size, double, (reach, jump, begins))
    return tf.where(begins[:-1])[:, 0]
