"""Strings -> rows of ids by what devices have: TensorFlow Text's two fast operations, and TFLite's own.

B texts, T tokens of a row (known before), N pieces of all texts, b bytes of a text after normalization.

Devices have no operation on ragged tensors and none of `pipelines.normalize`'s. So this is the fast road of
`pipelines.wordpiece` for every text, also where it is not exact (`pipelines.agreement` knows on which characters it
is), and rows are filled from flat pieces, as `pipelines.packing` lays them out.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_text as tf_text

from pipelines import WordPiece
from pipelines.packing import PAIR_SPECIALS, SINGLE_SPECIALS, shared_room
from pipelines.wordpiece import build_tokenizer

NO_PLACE = -1


class Pieces(NamedTuple):
    """Pieces of B texts: ids, starts, ends int32 [N], in bytes of the text as given; splits int32 [B + 1]."""

    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    splits: tf.Tensor

    @property
    def counts(self) -> tf.Tensor:
        """Pieces of each text, int32 [B, 1]."""
        return (self.splits[1:] - self.splits[:-1])[:, tf.newaxis]


class Rows(NamedTuple):
    """Rows of a batch: what a model reads, and where its tokens stand in the texts.

    ids, mask (1 = a token), types (1 = second text and its [SEP]); starts, ends: bytes of the text that the token is
    of, which types tells, -1 at special tokens and padding. int32 [B, T] each.
    """

    ids: tf.Tensor
    mask: tf.Tensor
    types: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor


class DeviceTokenizer:
    """A tokenizer's fast road.

    Args:
        wordpiece: whose vocabulary and rules it has.

    Raises:
        ValueError: its normalization is not to be had on devices: lower-casing that keeps accents.
    """

    def __init__(self, wordpiece: WordPiece):
        if wordpiece.lowercase != wordpiece.strip_accents:
            raise ValueError(
                "Text goes into a TFLite file where a tokenizer lower-cases and strips accents, or does neither; this "
                f"one has lowercase={wordpiece.lowercase}, strip_accents={wordpiece.strip_accents}. Give it ids: "
                "--input ids."
            )
        self.specials = (wordpiece.pad_id, wordpiece.cls_id, wordpiece.sep_id)
        with tf.init_scope():
            self._normalizer = (
                tf_text.FastBertNormalizer(lower_case_nfd_strip_accents=True) if wordpiece.lowercase else None
            )
            self._pieces = build_tokenizer(wordpiece.vocabulary, wordpiece.max_word_length, split=True)

    def split(self, texts: tf.Tensor, places: bool = False) -> Pieces:
        """Texts, string [B] -> their pieces; without `places` starts and ends mean nothing."""
        if self._normalizer is None:
            ids, starts, ends = self._pieces.tokenize_with_offsets(texts)
            return flat(ids, starts, ends)
        if not places:
            ids, starts, ends = self._pieces.tokenize_with_offsets(self._normalizer.normalize(texts))
            return flat(ids, starts, ends)
        plain, offsets = self._normalizer.normalize_with_offsets(texts)
        ids, starts, ends = self._pieces.tokenize_with_offsets(plain)
        return flat(ids, *(self._in_text(ids, offsets, where) for where in (starts, ends)))

    def _in_text(self, ids, offsets, where):
        """Bytes of normalized texts -> bytes of the texts as given, as a ragged tensor like `where`."""
        splits = ids.row_splits
        # The text that a piece is of, by counting the texts that began before it: no ragged operation is needed.
        piece = tf.range(tf.size(where.values, tf.int64))
        text = tf.reduce_sum(tf.cast(splits[tf.newaxis, 1:] <= piece[:, tf.newaxis], tf.int64), 1)
        at = tf.gather(offsets.row_splits, text) + where.values
        return where.with_values(tf.gather(offsets.values, at))


class ExactTokenizer:
    """The tokenizer itself, in the form of `DeviceTokenizer`; starts and ends are characters."""

    def __init__(self, wordpiece: WordPiece):
        self.specials, self._wordpiece = (wordpiece.pad_id, wordpiece.cls_id, wordpiece.sep_id), wordpiece

    def split(self, texts: tf.Tensor, places: bool = False) -> Pieces:
        """Texts, string [B] -> their pieces."""
        return flat(*self._wordpiece.tokenize_with_offsets(texts))


def flat(ids: tf.RaggedTensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> Pieces:
    """The flat values of ragged pieces, in int32."""
    return Pieces(ids.values, *(tf.cast(part, tf.int32) for part in (starts.values, ends.values, ids.row_splits)))


def rows_of(texts: list[Pieces], kept: list[tf.Tensor], specials: tuple[int, int, int], length: int) -> Rows:
    """Rows `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]` of exactly `length` tokens.

    Every place of a row says which entry of one flat table it shows: [PAD], [CLS], [SEP], then all pieces.

    Args:
        texts: one or two.
        kept: of each, how many of its pieces a row has: int32 [B, 1].
        specials: ids of [PAD], [CLS], [SEP].
        length: T.
    """
    place = tf.range(length)[tf.newaxis]  # [1, T]
    first = texts[0]
    middle = kept[0] + 1  # [B, 1], where the first [SEP] stands
    entry = place + (first.splits[:-1, tf.newaxis] + 2)  # [B, T]
    end = middle
    if len(texts) == 2:
        end = middle + kept[1] + 1
        before = texts[1].splits[:-1, tf.newaxis] + (tf.size(first.ids) + 2) - middle
        entry = tf.where(place < middle, entry, place + before)
    entry = tf.where((place == middle) | (place == end), 2, entry)
    entry = tf.where(place == 0, 1, entry)
    entry = tf.where(place <= end, entry, 0)
    nowhere = tf.fill([3], NO_PLACE)
    table = tf.concat([tf.constant(specials), *(text.ids for text in texts)], 0)
    starts, ends = (tf.concat([nowhere, *(getattr(text, name) for text in texts)], 0) for name in ("starts", "ends"))
    return Rows(
        tf.gather(table, entry),
        tf.cast(place <= end, tf.int32),
        tf.cast((place > middle) & (place <= end), tf.int32),
        tf.gather(starts, entry),
        tf.gather(ends, entry),
    )


def packed(texts: list[Pieces], specials: tuple[int, int, int], length: int) -> Rows:
    """Rows of texts or pairs that are cut where they are too long, as `pipelines.packing` cuts them."""
    if len(texts) == 1:
        kept = [tf.minimum(texts[0].counts, length - SINGLE_SPECIALS)]
    else:
        kept = list(shared_room(texts[0].counts, texts[1].counts, length - PAIR_SPECIALS))
    return rows_of(texts, kept, specials, length)


def asked(question: Pieces, context: Pieces, specials: tuple[int, int, int], length: int, most: int) -> Rows:
    """Rows of questions, of which `most` tokens are kept, with as much of the beginning of their contexts as fits."""
    of_question = tf.minimum(question.counts, most)
    of_context = tf.minimum(context.counts, length - PAIR_SPECIALS - of_question)
    return rows_of([question, context], [of_question, of_context], specials, length)
