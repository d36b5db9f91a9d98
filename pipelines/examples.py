"""Examples: the sentences of a window -> pairs of segments, or single ones, for pre-training.

Three procedures, of Devlin et al. 2019 (section 3.1, appendix A.2, and create_pretraining_data of
google-research/bert), Lan et al. 2020 (section 3.1) and Liu et al. 2019 (section 4.2). All of them work on lengths: an
example is two ranges of the window's tokens, and no token is looked at. They are graph functions without state: equal
seeds make equal examples, and the draw that decides a segment belongs to the sentence that it begins with.

S sentences, D documents, E examples; `room` is what max_length leaves beside the special tokens. A sentence that is
longer than the room is first cut into pieces, so that text without sentence ends is not lost.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from pipelines.draws import below, split, targets, uniform
from pipelines.filling import Sentences, chain, cut_sentences, document_numbers, fill, fill_within
from pipelines.packing import PAIR_SPECIALS, SINGLE_SPECIALS, shared_room

__all__ = [
    "Examples",
    "Sentences",
    "contiguous_tokens",
    "full_sentences",
    "next_sentence_pairs",
    "sentence_order_pairs",
]

FEWEST_ROOMS = 8  # of a lone document, before its halves are told apart as two


class Examples(NamedTuple):
    """Ranges of a window's tokens: starts and ends int64 [E], labels int32 [E].

    The second segment is empty, its start its end, where an example has one segment.
    """

    first_starts: tf.Tensor
    first_ends: tf.Tensor
    second_starts: tf.Tensor
    second_ends: tf.Tensor
    labels: tf.Tensor


def next_sentence_pairs(sentences: Sentences, max_length: int, short_share: float, seed: tf.Tensor) -> Examples:
    """Pairs of which the second segment follows the first (label 0) or is of another document (label 1).

    A document is read front to back. Sentences make a chunk as soon as they have the target of tokens: the room, or for
    a share of the chunks a number from 2 to the room (the published program draws it once a document, which for books
    of any length says little of the mean). The first segment is a random number of the
    chunk's sentences. A fair coin says whether the second is the rest of them, or begins at a random sentence of a
    random other document and has what is left of the target; the rest of the chunk is then read again, as the start of
    the next one. What is over the room goes from the longer segment, front or back at random for each token.

    Where a chunk has one sentence the published program always takes another document, so that over half of its pairs
    are random, and most are where documents are short. Here the coin holds, and the segment that follows is found as
    in `sentence_order_pairs`. So exactly half of the pairs are random in the mean.

    A lone document that fills 8 rooms or more counts as two, its halves; a smaller one has only pairs of label 0.

    What is lost: tokens over the room (the last sentence of a chunk may pass it), and documents of a single token.

    Args:
        sentences: of a window.
        max_length: tokens of an example, [CLS] and two [SEP] included.
        short_share: the probability in [0, 1] that the target is short.
        seed: int64 [2].

    Raises:
        ValueError: max_length is under 5, or short_share no probability.
    """
    _check(max_length, PAIR_SPECIALS + 2, short_share)
    room = max_length - PAIR_SPECIALS
    target_seed, chunk_seed, random_seed, truncation_seed = split(seed, 4)
    sentences = _halved(cut_sentences(sentences, room, (room + 1) // 2), FEWEST_ROOMS * room)
    starts, documents = sentences
    document = document_numbers(sentences)
    tokens = targets(tf.size(document), room, short_share, target_seed)
    cuts, coins = tf.unstack(uniform([2, tf.size(document)], chunk_seed))
    is_random = (coins < 0.5) & (tf.size(documents) > 2)

    first = tf.range(tf.size(document, tf.int64))
    last = tf.gather(documents, document + 1)
    alone = fill(starts, first, tokens, last)
    end = tf.where(is_random, alone, _two_at_least(alone, first, last))
    middle = _part(first, end, cuts)
    begins = _pairable(sentences, document, chain(tf.where(is_random, middle, end)))
    first, middle, end, document, tokens, is_random = (
        tf.gather(values, begins) for values in (first, middle, end, document, tokens, is_random)
    )
    follows = _follow(sentences, first, middle, end, document)
    first_start, first_end = tf.gather(starts, first), tf.gather(starts, middle)
    other = _elsewhere(sentences, document, tokens - (first_end - first_start), random_seed)
    strange = (first_start, first_end, *other)
    ranges = [tf.where(is_random, there, here) for there, here in zip(strange, follows, strict=True)]
    return _truncate(*ranges, tf.cast(is_random, tf.int32), room, truncation_seed)


def sentence_order_pairs(sentences: Sentences, max_length: int, short_share: float, seed: tf.Tensor) -> Examples:
    """Pairs of two segments that follow one another, in their order (label 0) or swapped (label 1), half of each.

    Chunks, first segment and truncation as in `next_sentence_pairs`; the whole chunk is used. One of a single sentence
    takes in the sentence after it, or, at the end of a document, the one before it, whose tokens are then used twice;
    the sentence of a document that has no other is cut in two halves. A document of a single token is lost.

    Args and raises: those of `next_sentence_pairs`.
    """
    _check(max_length, PAIR_SPECIALS + 2, short_share)
    room = max_length - PAIR_SPECIALS
    target_seed, chunk_seed, order_seed, truncation_seed = split(seed, 4)
    sentences = cut_sentences(sentences, room, (room + 1) // 2)
    starts, documents = sentences
    document = document_numbers(sentences)
    tokens = targets(tf.size(document), room, short_share, target_seed)
    cuts = uniform([tf.size(document)], chunk_seed)

    first = tf.range(tf.size(document, tf.int64))
    last = tf.gather(documents, document + 1)
    end = _two_at_least(fill(starts, first, tokens, last), first, last)
    begins = _pairable(sentences, document, chain(end))
    first, end, cuts, document = (tf.gather(values, begins) for values in (first, end, cuts, document))
    start, middle, _, stop = _follow(sentences, first, _part(first, end, cuts), end, document)
    swapped = uniform([tf.size(begins)], order_seed) < 0.5
    ranges = (
        tf.where(swapped, middle, start),
        tf.where(swapped, stop, middle),
        tf.where(swapped, start, middle),
        tf.where(swapped, middle, stop),
    )
    return _truncate(*ranges, tf.cast(swapped, tf.int32), room, truncation_seed)


def full_sentences(sentences: Sentences, max_length: int, short_share: float, seed: tf.Tensor) -> Examples:
    """Single segments: as many whole sentences of one document as there is room for; no pairs, labels 0.

    The paper's DOC-SENTENCES: its FULL-SENTENCES go on over a document's end behind an extra [SEP]. Here several
    examples may share a row without seeing one another (`rows.pack_rows`), which fills rows as well and needs no
    separator. Every token is in exactly one example; a sentence that is longer than the room goes on in the next one.

    Args:
        sentences: of a window.
        max_length: tokens of an example, [CLS] and [SEP] included.
        short_share: the probability in [0, 1] that the target is short; the paper's is 0.
        seed: int64 [2].

    Raises:
        ValueError: max_length is under 3, or short_share no probability.

    >>> sentences = Sentences(tf.constant([0, 3, 5, 12, 13], tf.int64), tf.constant([0, 3, 4], tf.int64))
    >>> starts, ends, *_ = full_sentences(sentences, 7, 0.0, (1, 2))
    >>> list(zip(starts.numpy().tolist(), ends.numpy().tolist()))
    [(0, 5), (5, 10), (10, 12), (12, 13)]
    """
    _check(max_length, SINGLE_SPECIALS + 1, short_share)
    room = max_length - SINGLE_SPECIALS
    sentences = cut_sentences(sentences, room, room)
    starts, documents = sentences
    document = document_numbers(sentences)
    tokens = targets(tf.size(document), room, short_share, seed)
    first = tf.range(tf.size(document, tf.int64))
    end = fill_within(starts, first, tokens, tf.gather(documents, document + 1))
    begins = chain(end)
    ends = tf.gather(starts, tf.gather(end, begins))
    return Examples(tf.gather(starts, begins), ends, ends, ends, tf.zeros_like(begins, tf.int32))


def contiguous_tokens(sentences: Sentences, max_length: int, short_share: float, seed: tf.Tensor) -> Examples:
    """Single segments cut wherever the room ends, in sentences too, so that all but a document's last are full.

    Args and raises: those of `full_sentences`.
    """
    starts, documents = sentences
    whole = tf.range(tf.size(documents, tf.int64))  # a document is one sentence, too long, and cut
    return full_sentences(Sentences(tf.gather(starts, documents), whole), max_length, short_share, seed)


def _check(max_length: int, least: int, short_share: float) -> None:
    if max_length < least:
        raise ValueError(
            f"max_length is {least} or more, one token for each segment beside [CLS] and [SEP]; got {max_length}."
        )
    if not 0 <= short_share <= 1:
        raise ValueError(f"short_share is a probability in [0, 1]; got {short_share}. BERT's is 0.1.")


def _two_at_least(end: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Ends of chunks, int64 [S], moved by a sentence where there was one and the document has another."""
    return tf.maximum(end, tf.minimum(first + 2, last))


def _part(first: tf.Tensor, end: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Where the first segment of a chunk ends: after 1 to all but one of its sentences; after the only one."""
    return first + 1 + below(end - first - 1, draws)


def _pairable(sentences: Sentences, document: tf.Tensor, begins: tf.Tensor) -> tf.Tensor:
    """Those of the sentences `begins` whose document has two tokens or more, without which there is no pair."""
    borders = tf.gather(sentences.starts, sentences.documents)
    return tf.boolean_mask(begins, tf.gather(borders[1:] - borders[:-1] > 1, tf.gather(document, begins)))


def _halved(sentences: Sentences, least: int) -> Sentences:
    """A lone document of `least` tokens or more becomes two; nothing else changes."""
    starts, documents = sentences
    number = tf.cast((tf.size(documents) == 2) & (starts[-1] >= least), tf.int32)
    return Sentences(starts, tf.concat([documents[:-1], documents[-1:][:number] // 2, documents[-1:]], 0))


def _follow(sentences: Sentences, first: tf.Tensor, middle: tf.Tensor, end: tf.Tensor, document: tf.Tensor):
    """Four places, int64 [E]: the two segments of chunks, the second of which starts where the first ends."""
    starts, documents = sentences
    single = middle == end
    back = single & (first > tf.gather(documents, document))
    start = tf.gather(starts, first - tf.cast(back, tf.int64))
    stop = tf.gather(starts, end)
    between = tf.where(single, tf.where(back, tf.gather(starts, first), (start + stop) // 2), tf.gather(starts, middle))
    return start, between, between, stop


def _elsewhere(sentences: Sentences, document: tf.Tensor, tokens: tf.Tensor, seed: tf.Tensor):
    """Two places, int64 [E]: segments of about `tokens` tokens of other documents than `document`."""
    starts, documents = sentences
    whichs, wheres = tf.unstack(uniform([2, tf.size(document)], seed))
    number = tf.size(documents, tf.int64) - 1
    other = below(number - 1, whichs)
    other = tf.minimum(other + tf.cast(other >= document, tf.int64), number - 1)  # a lone document has no other
    begin, last = tf.gather(documents, other), tf.gather(documents, other + 1)
    begin += below(last - begin, wheres)
    return tf.gather(starts, begin), tf.gather(starts, fill(starts, begin, tokens, last))


def _truncate(first_start, first_end, second_start, second_end, labels, room: int, seed: tf.Tensor) -> Examples:
    """Takes tokens from the longer segment, ties from the second, until both fit; each from front or back, a coin says.

    The number of tokens that go from the front is then binomial.
    """
    sizes = first_end - first_start, second_end - second_start
    over = tf.stack(sizes) - tf.stack(shared_room(*sizes, room))  # [2, E]
    front = tf.random.stateless_binomial(tf.shape(over), seed, tf.cast(over, tf.float32), 0.5, tf.int64)
    back = over - front
    return Examples(first_start + front[0], first_end - back[0], second_start + front[1], second_end - back[1], labels)
