"""Word segments: which pieces begin a word, for masking that hides whole words and spans of them.

In most vocabularies a piece without ## begins a word, and then each Chinese character is one. Chinese words are known
from the text, where spaces part them, or from a list of words, matched in the graph.

S sentences, N tokens of all of them, C ideographs among them, V vocabulary.
"""

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.normalize import is_cjk
from pipelines.vocab import UNK
from pipelines.wordpiece import SUFFIX, UNLIMITED, WordPiece, build_tokenizer

PIECES, SPACES = "pieces", "spaces"
ANY_SPACE = r"\p{Z}+"  # beside the white space of ASCII


def tokenize_words(
    sentences: tf.Tensor, wordpiece: WordPiece, words: str = PIECES
) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """The pieces of sentences, and which of them begin a word.

    Args:
        sentences: string [S].
        words: "pieces", where a piece without ## begins a word; "spaces", where white space in the text does and
            nothing else, so that "cat!" is one word; else the path of a list for runs of CJK ideographs: `Segments`.

    Returns:
        What `wordpiece.tokenize(sentences)` gives, int32 [S, (T)], and bool [N] for its flat values.

    Raises:
        FileNotFoundError, ValueError: as `read_words`.
    """
    if words == SPACES:
        return tokenize_spaced(sentences, wordpiece)
    pieces = wordpiece.tokenize(sentences)
    begins = ~tf.gather(tf.constant(continues(wordpiece.vocabulary)), pieces.values)
    if words != PIECES:
        begins = segment(pieces, begins, wordpiece.vocabulary, read_words(words))
    return pieces, begins


def tokenize_spaced(sentences: tf.Tensor, wordpiece: WordPiece) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """As `tokenize_words`, where a word is what white space parts; no rule of BERT's looks across white space."""
    words = tf.strings.split(tf.strings.regex_replace(sentences, ANY_SPACE, " "))  # [S, (W)]
    pieces = wordpiece.tokenize(words.values)
    number = pieces.value_rowids()  # [N]
    begins = tf.concat([[True], number[1:] != number[:-1]], 0)[: tf.size(number)]
    splits = tf.gather(pieces.row_splits, words.row_splits)
    return tf.RaggedTensor.from_row_splits(pieces.values, splits, validate=False), begins


@functools.cache
def continues(vocabulary: tuple[str, ...]) -> np.ndarray:
    """bool [V], True for a piece that goes on with a word."""
    return np.array([token.startswith(SUFFIX) for token in vocabulary])


@functools.cache
def ideographs(vocabulary: tuple[str, ...]) -> np.ndarray:
    """int32 [V], the code point of a token that is a CJK ideograph, else 0."""
    stems = [token.removeprefix(SUFFIX) for token in vocabulary]
    return np.array([ord(stem) if len(stem) == 1 and is_cjk(ord(stem)) else 0 for stem in stems], np.int32)


def segment(pieces: tf.RaggedTensor, begins: tf.Tensor, vocabulary: tuple[str, ...], words: Iterable[str]) -> tf.Tensor:
    """`begins` [N] with runs of ideographs cut into words: from the left the longest of `words`, else a character.

    A run ends with its sentence and at every other token, an unknown one too.

    Raises:
        ValueError: no word can be found, as none is made of two or more of the vocabulary's ideographs.
    """
    codes = ideographs(vocabulary)
    known = {chr(code) for code in codes if code}
    words = sorted({word for word in words if len(word) > 1 and known.issuperset(word)})
    if not words:
        raise ValueError(
            "a word list has words of two and more ideographs, which the vocabulary holds as characters; got none. "
            "Take a vocabulary with split_cjk, as `kbert vocab` makes it, and a list of Chinese words."
        )
    stems = [*sorted(known), *words]
    listed = [UNK, *stems, *(SUFFIX + stem for stem in stems)]
    sizes = tf.constant([0, *(len(stem) for stem in stems * 2)])  # characters of a listed word

    codes = tf.gather(tf.constant(codes), pieces.values)  # [N]
    places = tf.where(codes > 0)[:, 0]  # [C]
    sentence = tf.gather(pieces.value_rowids(), places)
    apart = (places[1:] != places[:-1] + 1) | (sentence[1:] != sentence[:-1])
    firsts = tf.where(tf.concat([tf.ones_like(places[:1], tf.bool), apart], 0))[:, 0]
    runs = tf.RaggedTensor.from_row_splits(
        tf.gather(codes, places), tf.concat([firsts, tf.shape(places, tf.int64)], 0), validate=False
    )
    found = build_tokenizer(listed, UNLIMITED, split=False).tokenize(tf.strings.unicode_encode(runs, "UTF-8")).values
    starts = tf.cumsum(tf.gather(sizes, found), exclusive=True)  # counted in ideographs
    begins &= codes == 0
    return tf.tensor_scatter_nd_update(begins, tf.gather(places, starts)[:, None], tf.ones_like(starts, tf.bool))


def read_words(path: str | Path) -> list[str]:
    """The words of a list: a word a line, UTF-8; what stands behind white space (a count, a class) is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'words is "{PIECES}", "{SPACES}" or a file with a word a line; there is none at {str(path)!r}.'
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"a word list is UTF-8 text; {str(path)!r} is not, at byte {error.start}. Save it as UTF-8."
        ) from None
    return [line.split(maxsplit=1)[0] for line in lines if line.strip()]
