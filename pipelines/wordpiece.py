"""WordPiece, exact and in the graph: the ids of Google's `tokenization.py` at the speed of TensorFlow Text.

Three roads, told apart line by line, put back in order:
- plain ASCII: lower-case, then FastWordpieceTokenizer does all of it; nothing else runs where every line is such;
- code points on which the fused normalization agrees with Google's (`agreement.py`): that, then the same tokenizer;
- the rest: Google's normalization as a table (`normalize.py`), then FastWordpieceTokenizer on its words.

B lines, T tokens of a line, W words, U units. Source: Devlin et al. 2019, https://github.com/google-research/bert.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.core.pybinds import pywrap_fast_wordpiece_tokenizer_model_builder as model_builder

from pipelines.agreement import ASCII, find_agreement, fused_normalizer
from pipelines.normalize import Normalizer, Rules, Words
from pipelines.vocab import CLS, MASK, PAD, SEP, UNK, check_vocabulary, read_vocabulary, wrong_pairing
from pipelines.wordpiece_model import compact

SUFFIX = "##"
UNLIMITED = 1 << 30  # bytes of a word


class WordPiece:
    """Texts -> WordPiece ids, no special tokens added; one object for eager use, tf.data, tf.function and SavedModel.

    Args:
        vocabulary: path of a vocab.txt, or its tokens in order.
        lowercase: the vocabulary is uncased. A vocabulary that looks otherwise warns (UserWarning).
        strip_accents: drop accents; None is the same as `lowercase`, which is Google's.
        split_cjk: make each CJK ideograph a word, which is Google's.
        max_word_length: a word of more characters is [UNK]; Google's 200, Hugging Face's 100.
        keep_special: [PAD] [UNK] [CLS] [SEP] [MASK] spelled in a text are those tokens; False: split at the brackets.

    A byte sequence that is not UTF-8 is removed, and counts as one character in offsets. Texts of any length are taken,
    and never influence each other. Nothing in the object changes after it is made, so that threads may share it.

    Example:
        >>> wordpiece = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##happy", "cat", "!"])
        >>> wordpiece.tokenize(["Unhappy cät!", ""]).to_list()
        [[4, 5, 6, 7], []]
        >>> ids, starts, ends = wordpiece.tokenize_with_offsets(["Unhappy cät!"])
        >>> list(zip(starts.to_list()[0], ends.to_list()[0]))
        [(0, 2), (2, 7), (8, 11), (11, 12)]

    Raises:
        FileNotFoundError: there is no file `vocabulary`.
        ValueError: the vocabulary is empty, repeats a token or lacks a special token; max_word_length is not positive.
    """

    def __init__(
        self,
        vocabulary: str | Path | Sequence[str],
        lowercase: bool = True,
        *,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
        max_word_length: int = 200,
        keep_special: bool = False,
    ):
        if max_word_length < 1:
            raise ValueError(
                f"max_word_length is a number of characters over 0; got {max_word_length}. Google's is 200."
            )
        if isinstance(vocabulary, (str, Path)):
            self.vocabulary = read_vocabulary(vocabulary)
        else:
            self.vocabulary = tuple(vocabulary)
            check_vocabulary(self.vocabulary)
        if warning := wrong_pairing(self.vocabulary, lowercase):
            warnings.warn(warning, stacklevel=2)
        ids = {token: self.vocabulary.index(token) for token in (PAD, UNK, CLS, SEP, MASK) if token in self.vocabulary}
        self.pad_id, self.unk_id, self.cls_id, self.sep_id = ids[PAD], ids[UNK], ids[CLS], ids[SEP]
        self.mask_id = ids.get(MASK)
        self.lowercase, self.split_cjk, self.max_word_length = bool(lowercase), bool(split_cjk), int(max_word_length)
        self.strip_accents = self.lowercase if strip_accents is None else bool(strip_accents)
        self.keep_special = bool(keep_special)
        rules = Rules(self.lowercase, self.strip_accents, self.split_cjk, tuple(ids) if keep_special else ())
        with tf.init_scope(), tf.device("CPU:0"):
            self._text_pieces = build_tokenizer(self.vocabulary, self.max_word_length, split=True)
            self._word_pieces = build_tokenizer(self.vocabulary, UNLIMITED, split=False)
            self._normalizer = Normalizer(rules)
            self._fused = fused_normalizer(rules._replace(specials=()))
            self._agreement = find_agreement(rules._replace(specials=()), self.max_word_length)

    @classmethod
    def from_spec(cls, spec: Mapping, *, keep_special: bool = False) -> "WordPiece":
        """The tokenizer that a model asks for with its `tokenizer_spec`.

        Args:
            spec: holds `vocabulary`; `lowercase`, `strip_accents`, `split_cjk` where they are not the defaults; and
                `vocab_size`, the most tokens that the model has embeddings for.

        Raises:
            ValueError: the vocabulary has more tokens than `vocab_size`.
        """
        wordpiece = cls(
            spec["vocabulary"],
            spec.get("lowercase", True),
            strip_accents=spec.get("strip_accents"),
            split_cjk=spec.get("split_cjk", True),
            keep_special=keep_special,
        )
        size = spec.get("vocab_size")
        if size is not None and len(wordpiece.vocabulary) > size:
            raise ValueError(
                f"a vocabulary has at most as many tokens as the model has embeddings, {size}; got "
                f"{len(wordpiece.vocabulary)}. Take the vocab.txt that belongs to the model."
            )
        return wordpiece

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and looking takes longer than tracing
    def tokenize(self, texts) -> tf.RaggedTensor:
        """Ids int32 [B, (T)] of `texts`: strings [B], a list of str or bytes, an array or a tensor."""
        texts, plain = self._plain(texts)
        (ids,), splits = tf.cond(
            tf.reduce_all(plain),
            lambda: self._fast(self._lower(texts), offsets=False),
            lambda: self._tokenize_mixed(texts, plain),
        )
        return tf.RaggedTensor.from_row_splits(ids, splits, validate=False)

    @tf.autograph.experimental.do_not_convert
    def tokenize_with_offsets(self, texts) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Ids, starts, ends, int32 [B, (T)] each: token t of text b is made of `texts[b][starts[b, t]:ends[b, t]]`.

        Offsets count characters (code points) of the text as given. What normalization removes between two pieces may
        belong to neither; pieces of one character that decomposes (a Hangul syllable) share it.
        """
        texts, plain = self._plain(texts)
        flat, splits = tf.cond(
            tf.reduce_all(plain),
            lambda: self._fast(self._lower(texts), offsets=True),
            lambda: self._with_exact(
                texts,
                self._fast(self._lower(tf.where(plain, texts, "")), offsets=True),
                tf.where(~plain)[:, 0],
                offsets=True,
            ),
        )
        return tuple(tf.RaggedTensor.from_row_splits(values, splits, validate=False) for values in flat)

    def _plain(self, texts) -> tuple[tf.Tensor, tf.Tensor]:
        """`texts` as a tensor, and which of them take the road of plain ASCII."""
        texts = tf.convert_to_tensor(texts, tf.string)
        if texts.shape.rank not in (1, None):
            raise ValueError(
                f"texts is a list or a vector of strings; got a tensor of shape {texts.shape}. "
                "Write [text] for one text; use tf.reshape(texts, [-1]) for a matrix."
            )
        return texts, self._matches(texts, ASCII)

    def _matches(self, texts: tf.Tensor, pattern: str) -> tf.Tensor:
        """Which texts [B] are all `pattern` and spell no special token that is to stay whole."""
        matches = tf.strings.regex_full_match(texts, pattern)
        if specials := self._normalizer.rules.specials:
            matches &= ~tf.strings.regex_full_match(texts, f"(?s).*({'|'.join(map(re.escape, specials))}).*")
        return matches

    def _lower(self, texts: tf.Tensor) -> tf.Tensor:
        return tf.strings.lower(texts) if self.lowercase else texts

    def _fast(self, texts: tf.Tensor, offsets: bool) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Ids, and offsets where asked for, of normalized texts [B]: flat [tokens], and their row splits [B + 1]."""
        ids, starts, ends = self._text_pieces.tokenize_with_offsets(texts)
        rest = [tf.cast(starts.values, tf.int32), tf.cast(ends.values, tf.int32)] if offsets else []
        return [ids.values, *rest], ids.row_splits

    def _tokenize_mixed(self, texts: tf.Tensor, plain: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Ids of lines of which some are not plain: flat [tokens] in a list, and row splits [B + 1]."""
        others = tf.where(~plain)[:, 0]
        lines = tf.gather(texts, others)
        agrees = self._agrees(lines)
        fused = tf.where(agrees, self._fused(lines), "")
        fast = self._fast(tf.tensor_scatter_nd_update(self._lower(texts), others[:, None], fused), offsets=False)
        exact = tf.boolean_mask(others, ~agrees)
        return tf.cond(tf.size(exact) > 0, lambda: self._with_exact(texts, fast, exact, offsets=False), lambda: fast)

    def _agrees(self, lines: tf.Tensor) -> tf.Tensor:
        """Which of `lines` [B] the fused normalization treats as Google's does."""
        if self._agreement is None:
            return tf.zeros_like(lines, tf.bool)
        texts, long_word = self._agreement
        return self._matches(lines, texts) & ~tf.strings.regex_full_match(lines, long_word)

    def _with_exact(self, texts, fast, rows, offsets: bool) -> tuple[list[tf.Tensor], tf.Tensor]:
        """`fast` with the rows numbered `rows`, which are empty there, taken from the exact road."""
        exact_values, exact_splits = self._exact(tf.gather(texts, rows), offsets)
        values, splits = fast
        size = tf.shape(texts, tf.int64)[0]
        order = size + tf.range(tf.size(rows, tf.int64))
        order = tf.tensor_scatter_nd_update(
            tf.range(size), rows[:, None], order
        )  # [B], rows of both, one after the other
        splits = tf.concat([splits, exact_splits[1:] + splits[-1]], 0)
        merged = [
            tf.gather(tf.RaggedTensor.from_row_splits(tf.concat(pair, 0), splits, validate=False), order)
            for pair in zip(values, exact_values, strict=True)
        ]
        return [part.values for part in merged], merged[0].row_splits

    def _exact(self, texts: tf.Tensor, offsets: bool) -> tuple[list[tf.Tensor], tf.Tensor]:
        split = self._normalizer.split(texts)
        words = tf.where(split.units.row_lengths() > self.max_word_length, UNK, split.words)
        ids, starts, ends = self._word_pieces.tokenize_with_offsets(words)
        rest = place_pieces(split, words, starts, ends) if offsets else []
        return [ids.values, *rest], tf.gather(ids.row_splits, split.line_splits)


def place_pieces(split: Words, words: tf.Tensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> list[tf.Tensor]:
    """Starts and ends of pieces: bytes of `words`, ragged [W, (T)] -> characters of the lines, int32 [tokens] each."""
    units, unit_splits = split.units.values, split.units.row_splits
    sizes = 1 + tf.add_n([tf.cast(units >= least, tf.int64) for least in (0x80, 0x800, 0x10000)])  # bytes in UTF-8
    before = tf.concat([[tf.constant(0, tf.int64)], tf.cumsum(sizes)], 0)  # [U + 1]
    word_starts = tf.gather(before, unit_splits)  # [W + 1]
    word = starts.value_rowids()  # [tokens]
    # A word that stands for another (a long one is [UNK], a marker its special token) is one piece, the whole of it.
    whole = tf.gather(tf.strings.length(words) != tf.cast(word_starts[1:] - word_starts[:-1], tf.int32), word)
    offset = tf.gather(word_starts, word)
    first = tf.searchsorted(before, offset + tf.cast(starts.values, tf.int64), out_type=tf.int64)
    last = tf.searchsorted(before, offset + tf.cast(ends.values, tf.int64), out_type=tf.int64)
    first = tf.where(whole, tf.gather(unit_splits, word), first)
    last = tf.where(whole, tf.gather(unit_splits, word + 1), last)
    return [tf.gather(split.starts, first), tf.gather(split.ends, last - 1)]


def build_tokenizer(vocabulary: Sequence[str], max_bytes_per_word: int, split: bool) -> tf_text.FastWordpieceTokenizer:
    """FastWordpieceTokenizer for texts (`split`) or for single words; one eager constant holds its model."""
    # A token with white space in it (the Chinese vocabulary has U+2028) is no word, but the model finds it: hide it
    # behind a control character, which no road lets through.
    tokens = [token if token.split() == [token] else f"\x01{line}" for line, token in enumerate(vocabulary)]
    model = compact(model_builder.build_fast_wordpiece_model(tokens, max_bytes_per_word, SUFFIX, UNK, not split, False))
    # The class makes a list of Python integers out of bytes, which takes longer than to build the model.
    return tf_text.FastWordpieceTokenizer(
        model_buffer=tf.constant(np.frombuffer(model, np.uint8)), token_out_type=tf.int32
    )
