"""Masked tokens, served: texts with [MASK] in, the likeliest tokens and the whole texts that they make out.

B texts, T tokens, N masks of all texts, M masks of the text with the most, K answers a mask, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import keras
import tensorflow as tf

from export.serving import ID_TENSORS, IDS, Serving
from pipelines import WordPiece, pack
from pipelines.vocab import MASK
from pipelines.wordpiece import SUFFIX

SPACE_AT_END = r"[\t-\r\x1c-\x20\x{85}\p{Z}]+$"  # what str.rstrip takes away; \s of TensorFlow knows ASCII alone
WHOLE = 1 << 30  # characters: to the end of any text


class FillMask(Serving):
    """Answers of a model with a head for masked tokens.

    Args:
        model: a `kbert.Pretrainer` in float32.
        wordpiece: made with keep_special=True, so that a [MASK] in a text stays whole.
        max_length: most tokens of a text, special tokens included; masks behind them are not answered.
        top_k: K, answers a mask; less where the vocabulary is smaller.

    Answers: `tokens` string [B, M, K], the likeliest first; `scores` float [B, M, K], their probabilities; `sequences`
    string [B, M, K], the text with this mask filled and all others left, where a token that continues a word is joined
    to what stands before. Texts with fewer masks than M, none at all perhaps, have "" and -1. Bytes that are not UTF-8
    come back as U+FFFD. `from_ids` answers `tokens` and `scores`.

    Raises:
        ValueError: top_k is below 1, or the vocabulary has no [MASK].
    """

    model_inputs: Mapping[str, tf.TensorSpec] = MappingProxyType({**IDS, "slots": tf.TensorSpec([None], tf.int32)})

    def __init__(self, model: keras.Model, wordpiece: WordPiece, max_length: int, top_k: int = 5):
        if top_k < 1:
            raise ValueError(f"top_k is a number of answers, 1 at least; got {top_k}.")
        if wordpiece.mask_id is None:
            raise ValueError(f"fill-mask needs a vocabulary with {MASK}; that of this model has none.")
        self.top_k = min(top_k, len(wordpiece.vocabulary))
        self.vocabulary = tf.constant(wordpiece.vocabulary)
        super().__init__(model, wordpiece, max_length)

    def answer(self, model: keras.Model, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors and the slots int32 [N] that are masks -> ids and scores of their tokens, [N, K]."""
        *ids, slots = tensors
        logits = model.logits_at(dict(zip(ID_TENSORS, ids, strict=True)), slots)  # [N, V]
        # A model may have more rows of embeddings than there are tokens: no text reads them.
        scores, tokens = tf.math.top_k(tf.nn.softmax(logits[:, : len(self.wordpiece.vocabulary)]), self.top_k)
        return {"ids": tokens, "scores": scores}

    def from_ids(self, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors -> tokens and scores."""
        return self._filled(ids)[0]

    def serve(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings -> tokens, scores, sequences."""
        (text,) = texts
        ids, starts, ends = self.wordpiece.tokenize_with_offsets(text)
        packed = pack([ids], self.wordpiece, self.max_length)
        answers, (owners, places), tokens = self._filled([packed[name] for name in ID_TENSORS])
        token = tf.gather(ids.row_splits[:-1], owners) + places - 1  # [N], among the tokens of all texts; [CLS] is none
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        whole = tf.gather(text, owners)  # [N]
        start, end = (tf.gather(part.values, token) for part in (starts, ends))
        before = tf.strings.substr(whole, tf.zeros_like(start), start, unit="UTF8_CHAR")
        after = tf.strings.substr(whole, end, tf.fill(tf.shape(end), WHOLE), unit="UTF8_CHAR")
        joined = tf.strings.regex_replace(before, SPACE_AT_END, "")
        continues = tf.strings.regex_full_match(tokens, f"{SUFFIX}.*")  # [N, K]
        before = tf.where(continues, joined[:, None], before[:, None])
        word = tf.strings.regex_replace(tokens, f"^{SUFFIX}", "")
        sequences = tf.strings.join([before, word, tf.broadcast_to(after[:, None], tf.shape(word))])
        return {**answers, "sequences": self._dense(sequences, owners, tf.size(text), "")}

    def sample(self, texts: Sequence[str]) -> dict[str, tf.Tensor]:
        """Texts with masks at both ends; where there are several, an empty one stays as it is."""
        masked = [f"{MASK} {text}{MASK}" if text or len(texts) == 1 else text for text in texts]
        return {"text": tf.constant(masked, tf.string)}

    def sample_words(self, length: int) -> int:
        return super().sample_words(length - 2)  # the two masks

    def _filled(self, ids: Sequence[tf.Tensor]) -> tuple[dict[str, tf.Tensor], tuple, tf.Tensor]:
        """Answers of id tensors; the row and the place of each mask, int64 [N]; and its tokens, string [N, K]."""
        words, mask, _ = ids
        found = tf.where((words == self.wordpiece.mask_id) & (mask > 0))  # [N, 2]
        owners, places = found[:, 0], found[:, 1]
        shape = tf.shape(words, tf.int64)
        answers = self.ask(*ids, tf.cast(owners * shape[1] + places, tf.int32))
        tokens = tf.gather(self.vocabulary, answers["ids"])
        dense = {
            "tokens": self._dense(tokens, owners, shape[0], ""),
            "scores": self._dense(answers["scores"], owners, shape[0], -1.0),
        }
        return dense, (owners, places), tokens

    def _dense(self, values: tf.Tensor, owners: tf.Tensor, rows: tf.Tensor, filler: str | float) -> tf.Tensor:
        """Rows of masks [N, K], and the text of each -> [B, M, K]."""
        ragged = tf.RaggedTensor.from_value_rowids(values, owners, tf.cast(rows, tf.int64), validate=False)
        return ragged.to_tensor(filler, shape=[None, None, self.top_k])
