"""The texts on which TensorFlow Text's fused normalization and splitting is Google's, as two regular expressions.

FastBertNormalizer and FastWordpieceTokenizer work code point by code point; so where they agree with Google's rules on
a code point between two letters, they agree on every text made of such code points. Left out are newer letters, control
and format characters, ligatures, full-width forms, where they do not; and the final sigma, which hangs on neighbours.
"""

import functools
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from pipelines.normalize import SIGMA, UNIFIED, Normalizer, Rules, assigned_characters

ASCII = r"[\t\n\r -~]*"  # texts on which all of it is plain: no more than lower-casing, a character is a byte
GROWTH = 9  # bytes that a character of the class makes at most: a Hangul syllable is three letters of three bytes


class Agreement(NamedTuple):
    """A text that fully matches `texts` and does not match `long_word` has the same words both ways."""

    texts: str
    long_word: str


@functools.cache
def fused_normalizer(rules: Rules):
    """string [B] -> string [B]: as much of the normalization as one operation does."""
    if rules.lowercase and rules.strip_accents:
        return tf_text.FastBertNormalizer(lower_case_nfd_strip_accents=True).normalize
    return tf.strings.lower if rules.lowercase else tf.identity  # without encoding="utf-8": ICU's depends on the locale


@functools.cache
def find_agreement(rules: Rules, max_word_length: int) -> Agreement | None:
    """Compares both on assigned code points, of blocks of ideographs on the first and the last.

    None where the word limit is too small to be told in bytes.
    """
    longest = max_word_length // GROWTH
    if not longest:
        return None
    characters = [*assigned_characters(), *(chr(end) for block in UNIFIED for end in block)]
    texts = tf.constant(["a" + c + "b" for c in characters])
    exact = Normalizer(rules).split(texts)
    exact_words = tf.RaggedTensor.from_row_splits(exact.words, exact.line_splits)
    fused = fused_normalizer(rules)(texts)
    splitter = tf_text.FastWordpieceTokenizer(["[UNK]", "a"], max_bytes_per_word=max_word_length)  # a word is one [UNK]
    _, starts, ends = splitter.tokenize_with_offsets(fused)
    fused_words = tf.strings.substr(tf.gather(fused, starts.value_rowids()), starts.values, (ends - starts).values)
    fused_words = starts.with_values(fused_words)
    agrees = join(exact_words) == join(fused_words)
    agrees &= tf.strings.length(fused).numpy() <= GROWTH + 2
    codes = np.array([ord(c) for c in characters])
    if rules.lowercase:
        agrees &= codes != SIGMA
    if rules.strip_accents:
        agrees &= np.array([unicodedata.combining(c) == 0 or unicodedata.category(c) == "Mn" for c in characters])
    breaks = agrees & (exact_words.row_lengths().numpy() > 1)
    texts, ends_of_words = (ranges(with_blocks(codes[chosen])) for chosen in (agrees, breaks))
    return Agreement(f"[{texts}]*", f"(?s).*[^{ends_of_words}]{{{longest + 1}}}.*")


def with_blocks(codes: np.ndarray) -> np.ndarray:
    """`codes` with the blocks of ideographs whose ends they hold, ascending."""
    blocks = [np.arange(first, last + 1) for first, last in UNIFIED if {first, last} <= set(codes.tolist())]
    return np.unique(np.concatenate([codes, *blocks]))


def join(words: tf.RaggedTensor) -> np.ndarray:
    """Strings [B, (W)] -> [B], spaces between."""
    return tf.strings.reduce_join(words, axis=1, separator=" ").numpy()


def ranges(codes: Iterable[int]) -> str:
    r"""Ascending code points as the inside of a character class of RE2.

    Example:
        >>> ranges([97, 98, 99, 101])
        '\\x{61}-\\x{63}\\x{65}-\\x{65}'
    """
    codes = np.asarray(codes)
    gaps = np.flatnonzero(np.diff(codes) > 1)
    firsts, lasts = codes[np.concatenate([[0], gaps + 1])], codes[np.concatenate([gaps, [len(codes) - 1]])]
    return "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in zip(firsts, lasts, strict=True))
