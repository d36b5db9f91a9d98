"""Masking: which tokens of a row are predicted, and what stands in their places (Devlin et al. 2019, appendix A.1).

Every token gets a time at which its unit - itself, its word or a span of words - would be masked, at random under a
seed; the earliest tokens up to the row's quota are taken. The three kinds of masking differ in the times alone.

R rows, T tokens of a row, P predictions of a row, W words of all rows, M predictions of all rows, V vocabulary.
Times are int32, a larger one is earlier, 0 is never.
"""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines.vocab import CLS, MASK, PAD, SEP, UNK

SPECIAL = (PAD, UNK, CLS, SEP, MASK)
UNITS = ("tokens", "words", "spans")
NEVER = 0
TENTHS, MASKED_TENTHS, RANDOM_TENTHS = 10, 8, 1  # of the predicted tokens: [MASK], a random word, the rest unchanged
WORD_ROUNDS = 3  # passes over words that are left and fit; a fourth would find next to none
SPAN_RATE, LONGEST_SPAN = 0.2, 10  # lengths of spans in words: Joshi et al. 2020 (SpanBERT), section 3.1
LENGTH_BITS = 12  # random bits that decide the length of a span
TIME_BITS = 31
PHILOX = "philox"  # the same numbers on every device


def mask(
    rows: dict[str, tf.Tensor],
    vocabulary: Sequence[str],
    seed: tf.Tensor,
    *,
    unit: str = "tokens",
    begins_word: tf.Tensor | None = None,
    share: float = 0.15,
    max_predictions: int = 20,
) -> dict[str, tf.Tensor]:
    """Rows with some of their tokens hidden, and which they were.

    Args:
        rows: `input_word_ids` and `input_mask` int32 [R, T], T static; each row starts with a special token. Other
            entries are handed on.
        vocabulary: tokens in the order of their ids.
        seed: int64 [2]; the same seed hides the same tokens.
        unit: "tokens"; "words", all pieces of a word or none; "spans" of 1 to 10 words, shorter ones more often, which
            overlap and are cut where the quota ends.
        begins_word: bool [R, T], True at the first piece of a word; for words and spans.
        share: of a row's tokens, special ones counted, to be predicted, rounded, at least one: Google's rule.
        max_predictions: P, the most predictions of a row.

    Returns:
        `rows` with `input_word_ids` changed at the predicted tokens: 80 % are [MASK], 10 % a word at random, 10 % as
        they were; and `masked_lm_positions`, `masked_lm_ids` int32 and `masked_lm_weights` float32, [R, P]: places in
        the row, ascending, the ids that stood there, 1.0; where a row has fewer, place 0, id 0, weight 0.0.
        [PAD] [UNK] [CLS] [SEP] [MASK] are neither predicted nor put in, [unused...] never put in. A row without other
        tokens has no prediction; nor has, with unit="words", one whose words are all longer than its quota.

    Raises:
        ValueError: the vocabulary has no [MASK], or no words.
    """
    ids, vocabulary = rows["input_word_ids"], tuple(vocabulary)
    length = ids.shape[1]
    maskable = tf.gather(tf.constant(special_table(vocabulary)), ids) == 0
    maskable &= rows["input_mask"] == 1
    quota = tf.gather(
        tf.constant(quotas(length, share, max_predictions)), tf.reduce_sum(rows["input_mask"], axis=1)
    )  # [R]
    seeds = tf.random.split(seed, 2, alg=PHILOX)
    if unit == "tokens":
        chosen = earliest(token_times(maskable, seeds[0]), quota, max_predictions)
    elif unit == "words":
        chosen = earliest_words(maskable, begins_word, seeds[0], quota, max_predictions)
    else:
        chosen = earliest(span_times(maskable, begins_word, seeds[0]), quota, max_predictions)
    return rows | hide(ids, chosen, vocabulary, seeds[1], max_predictions)


def quotas(length: int, share: float, max_predictions: int) -> np.ndarray:
    """How many tokens are predicted in a row of 0 ... `length` tokens, int32 [length + 1].

    >>> quotas(7, 0.15, 20)
    array([0, 1, 1, 1, 1, 1, 1, 1], dtype=int32)
    >>> quotas(512, 0.15, 76)[[20, 128, 512]]
    array([ 3, 19, 76], dtype=int32)
    """
    tokens = np.arange(length + 1)
    return np.minimum(np.minimum(max_predictions, tokens), np.maximum(1, np.rint(share * tokens))).astype(np.int32)


@functools.cache
def special_table(vocabulary: tuple[str, ...]) -> np.ndarray:
    """int32 [V], 1 for a token that is never predicted, as it is not text."""
    return np.array([token in SPECIAL for token in vocabulary], np.int32)


@functools.cache
def replacements(vocabulary: tuple[str, ...]) -> np.ndarray:
    """Ids of the tokens that may stand in another's place, int32, ascending.

    >>> replacements(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused7]", "cat", "##s"))
    array([6, 7], dtype=int32)
    """
    if MASK not in vocabulary:
        raise ValueError(
            f"a vocabulary to pre-train with holds {MASK}; this one does not. Make one with `kbert vocab`."
        )
    ids = [i for i, token in enumerate(vocabulary) if token not in SPECIAL and not token.startswith("[unused")]
    if not ids:
        raise ValueError("a vocabulary to pre-train with holds words; this one has only special tokens.")
    return np.array(ids, np.int32)


def token_times(maskable: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A time of its own for each maskable token, int32 [R, T]."""
    return tf.where(maskable, draw_times(tf.shape(maskable), seed), NEVER)


def draw_times(shape: tf.Tensor, seed: tf.Tensor, bits: int = TIME_BITS) -> tf.Tensor:
    """int32 over 0 and below 2 ** bits. Two that are equal are so rare that they may have any effect."""
    return tf.random.stateless_uniform(shape, seed, 1, (1 << bits) - 1, tf.int32, alg=PHILOX)


def number_words(maskable: tf.Tensor, begins_word: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Words counted through all rows: of each token its word, int32 [R * T], and of each word its first token, [W].

    A token that is not maskable is a word alone, so that no word goes on past it.
    """
    fixed = tf.reshape(~maskable, [-1])
    begins = tf.reshape(begins_word, [-1]) | fixed | tf.concat([[True], fixed[:-1]], 0)
    return tf.cumsum(tf.cast(begins, tf.int32)) - 1, tf.where(begins)[:, 0]


def span_times(maskable: tf.Tensor, begins_word: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The earliest time among the spans that cover a token, int32 [R, T].

    At every word a span starts, of a length of its own, cut before the next token that is not maskable.
    """
    words, firsts = number_words(maskable, begins_word)
    seeds = tf.random.split(seed, 2, alg=PHILOX)
    count = tf.size(firsts)
    place_bits = (maskable.shape[1] - 1).bit_length()
    drawn = tf.random.stateless_uniform(tf.shape(firsts), seeds[0], 0, 1 << LENGTH_BITS, tf.int32, alg=PHILOX)
    lengths = tf.gather(tf.constant(span_lengths()), drawn)  # [W]
    fixed = ~tf.gather(tf.reshape(maskable, [-1]), firsts)  # [W]
    stops = tf.concat([tf.cast(tf.where(fixed)[:, 0], tf.int32), [count]], 0)
    ends = tf.minimum(tf.range(count) + lengths, tf.gather(stops, tf.cumsum(tf.cast(fixed, tf.int32))))  # [W]
    starting = tf.where(fixed, NEVER, draw_times(tf.shape(firsts), seeds[1], TIME_BITS - place_bits))
    before = LONGEST_SPAN - 1
    padded, padded_ends, times = tf.pad(starting, [[before, 0]]), tf.pad(ends, [[before, 0]]), starting
    for back in range(1, LONGEST_SPAN):  # the span that starts `back` words before
        some = slice(before - back, before - back + count)
        times = tf.maximum(times, tf.where(padded_ends[some] > tf.range(count), padded[some], NEVER))
    # Within a span, place by place: all times of a row differ.
    times = tf.reshape(tf.gather(times, words), tf.shape(maskable)) * (1 << place_bits)
    return tf.where(maskable, times + tf.range(maskable.shape[1], 0, -1) - 1, NEVER)


@functools.cache
def span_lengths() -> np.ndarray:
    """Lengths of spans in words, one for each value of LENGTH_BITS: geometric below the cap, 3.8 in the mean.

    >>> round(float(span_lengths().mean()), 2), int(span_lengths().max())
    (3.8, 10)
    """
    shares = (1 - SPAN_RATE) ** np.arange(LONGEST_SPAN)
    values = (np.arange(1 << LENGTH_BITS) + 0.5) / (1 << LENGTH_BITS)
    return (1 + np.searchsorted(np.cumsum(shares) / shares.sum(), values)).astype(np.int32)


def earliest(times: tf.Tensor, quota: tf.Tensor, most: int) -> tf.Tensor:
    """Which tokens [R, T] are the first `quota` ones, bool; those with the time of the next one are left out."""
    top = tf.math.top_k(times, min(most + 1, times.shape[1])).values
    top = tf.pad(top, [[0, 0], [0, 1]], constant_values=NEVER)  # a quota may be the whole row
    return times > tf.gather(top, quota, batch_dims=1)[:, None]


def earliest_words(
    maskable: tf.Tensor, begins_word: tf.Tensor, seed: tf.Tensor, quota: tf.Tensor, most: int
) -> tf.Tensor:
    """Which tokens [R, T] belong to the earliest words that fit in the quota whole, bool.

    As Google's `create_masked_lm_predictions`: a word that does not fit any more is passed over, later ones may fit.
    """
    words, firsts = number_words(maskable, begins_word)
    shape = tf.shape(maskable)
    lengths = tf.concat([firsts[1:], tf.shape(words, tf.int64)], 0) - firsts  # [W]
    lengths = tf.reshape(tf.gather(tf.cast(lengths, tf.int32), words), shape)  # [R, T]
    times = tf.reshape(tf.gather(draw_times(tf.shape(firsts), seed), words), shape)
    left, chosen = quota, tf.zeros_like(maskable)
    for _ in range(WORD_ROUNDS):
        fits = maskable & ~chosen & (lengths <= left[:, None])
        chosen |= earliest(tf.where(fits, times, NEVER), left, most)
        left = quota - tf.reduce_sum(tf.cast(chosen, tf.int32), axis=1)
    return chosen


def hide(
    ids: tf.Tensor, chosen: tf.Tensor, vocabulary: tuple[str, ...], seed: tf.Tensor, max_predictions: int
) -> dict[str, tf.Tensor]:
    """`ids` [R, T] with those `chosen` replaced or not, and what was there, as `mask` returns it."""
    length = ids.shape[1]
    flat = tf.reshape(ids, [-1])
    places = tf.where(tf.reshape(chosen, [-1]))[:, 0]  # [M]
    were = tf.gather(flat, places)
    words = replacements(vocabulary)
    drawn = tf.random.stateless_uniform(tf.shape(places), seed, 0, TENTHS * len(words), tf.int32, alg=PHILOX)
    tenth = drawn // len(words)
    shown = tf.where(tenth < MASKED_TENTHS + RANDOM_TENTHS, tf.gather(tf.constant(words), drawn % len(words)), were)
    shown = tf.where(tenth < MASKED_TENTHS, vocabulary.index(MASK), shown)
    counts = tf.reduce_sum(tf.cast(chosen, tf.int32), axis=1)  # [R]
    splits = tf.concat([[0], tf.cumsum(counts)], 0)

    def dense(values):
        rows = tf.RaggedTensor.from_row_splits(values, splits, validate=False)
        return tf.ensure_shape(rows.to_tensor(shape=[None, max_predictions]), [None, max_predictions])

    return {
        "input_word_ids": tf.reshape(tf.tensor_scatter_nd_update(flat, places[:, None], shown), tf.shape(ids)),
        "masked_lm_positions": dense(tf.cast(places % length, tf.int32)),
        "masked_lm_ids": dense(were),
        "masked_lm_weights": tf.sequence_mask(counts, max_predictions, tf.float32),
    }
