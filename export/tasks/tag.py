"""Tagging, served: texts in; words, their tags and entities out, with characters of the text.

B texts, T tokens, W words of the longest text, E entities of the richest, R windows, C tags.
"""

import keras
import numpy as np
import tensorflow as tf

from export.entities import find_entities, find_words, rows, substrings
from export.serving import ID_TENSORS, Serving
from kbert.tasks.crf import log_marginals, step_table
from kbert.tasks.viterbi import best_tags
from pipelines import WordPiece, pack
from pipelines.packing import SINGLE_SPECIALS
from pipelines.windows import most_context, windows
from pipelines.word_segments import continues


class Tagging(Serving):
    """Answers of a tagger for texts of any length; one that is longer than a row is seen through windows.

    Words are the tokenizer's: what white space, punctuation and ideographs part. Their scores come from the window that
    shows their first piece with the most context, and are decoded for the whole text at once.

    Args:
        model: a `kbert.Tagger` in float32.
        wordpiece, max_length: see `Serving`.
        window: windows start every so many tokens; None is half of a row.

    Answers: `tokens`, `tags` string, `starts`, `ends` int32 (characters of the text), `scores` float: [B, W];
    `entities` (substrings of the text), `entity_labels` string, `entity_starts`, `entity_ends` int32, `entity_scores`
    float: [B, E]; padding is "" and -1. A word's score is the probability of its tag, an entity's the mean of its
    words'. `from_ids` knows no text: it answers `tags`, `scores` [B, T] at the first token of every word. `tokenize`
    gives the row of a text's beginning.

    Raises:
        ValueError: a window below 1, or a max_length without room for a token.
    """

    def __init__(self, model: keras.Model, wordpiece: WordPiece, max_length: int, window: int | None = None):
        self.room = max_length - SINGLE_SPECIALS
        if self.room < 1 or (window is not None and window < 1):
            raise ValueError(
                f"max_length is over {SINGLE_SPECIALS}, and window 1 or more tokens; got {max_length} and {window}."
            )
        self.stride = max(self.room // 2, 1) if window is None else window
        self.legal, self.crf = model.legal, model.crf
        self.transitions = np.asarray(model.transitions(), "float32")
        self.goes_on = continues(wordpiece.vocabulary)
        super().__init__(model, wordpiece, max_length)

    def answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors -> logits of every token, [B, T, C]."""
        return {"logits": model(dict(zip(ID_TENSORS, ids, strict=True)), training=False)}

    def from_ids(self, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The id tensors -> `tags` and `scores` [B, T], "" and -1 at tokens that go on with a word."""
        token, mask, _ = ids
        special = (token == self.wordpiece.cls_id) | (token == self.wordpiece.sep_id)
        begins = (mask > 0) & ~special & ~tf.gather(self.goes_on, token)  # [B, T]
        places = tf.where(begins)  # [N, 2]
        logits = tf.gather_nd(self.ask(*ids)["logits"], places)  # [N, C]
        tags, scores = self._decode(logits, places[:, 0], tf.shape(token)[0])
        shape = tf.shape(token, tf.int64)
        return {
            "tags": tf.tensor_scatter_nd_update(tf.fill(shape, ""), places, tf.gather(self.labels, tags)),
            "scores": tf.tensor_scatter_nd_update(tf.fill(shape, -1.0), places, scores),
        }

    def serve(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings -> answers."""
        size = tf.shape(texts[0])[0]
        ids, starts, ends = self.wordpiece.tokenize_with_offsets(texts[0])
        begins = ~tf.gather(self.goes_on, ids.values)
        codes = tf.strings.unicode_decode(texts[0], "UTF-8")
        words = find_words(begins, starts, ends, codes)
        tags, scores = self._decode(tf.boolean_mask(self._logits(ids), begins), words.text, size)
        found = find_entities(words, tags, scores, self.labels)
        of_words = {
            "tokens": substrings(codes, words),
            "tags": tf.gather(self.labels, tags),
            "starts": words.start,
            "ends": words.end,
            "scores": scores,
        }
        of_entities = {
            "entities": substrings(codes, found.spans),
            "entity_labels": found.label,
            "entity_starts": found.spans.start,
            "entity_ends": found.spans.end,
            "entity_scores": found.score,
        }
        return {
            **{name: rows(values, words.text, size) for name, values in of_words.items()},
            **{name: rows(values, found.spans.text, size) for name, values in of_entities.items()},
        }

    def _logits(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Logits of all pieces of texts, [pieces, C], each from the window that shows it best."""
        cut = windows(ids, self.room, self.stride)
        packed = pack([cut.ids], self.wordpiece, self.max_length)
        logits = self.ask(*(packed[name] for name in ID_TENSORS))["logits"]  # [R, T, C]
        row = cut.ids.value_rowids()
        at = tf.range(tf.size(row, row.dtype)) - tf.gather(cut.ids.row_splits, row)
        places = tf.stack([row, at + 1], 1)  # behind [CLS]
        # The pieces that a text's windows decide on follow one another as they do in the text.
        return tf.gather_nd(logits, tf.boolean_mask(places, most_context(cut).values))

    def _decode(self, logits: tf.Tensor, text: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Tags int32 [N] and their probabilities [N] of words with these logits [N, C], each text's together."""
        words = tf.RaggedTensor.from_value_rowids(
            logits, tf.cast(text, tf.int64), tf.cast(size, tf.int64), validate=False
        )
        lengths = tf.cast(words.row_lengths(), tf.int32)  # [B]
        width = tf.maximum(tf.reduce_max(lengths), 1)  # the maximum of no texts is the least integer
        dense = words.to_tensor(0.0, shape=[None, None, len(self.labels)])
        dense = tf.pad(dense, [[0, 0], [0, width - tf.shape(dense)[1]], [0, 0]])  # [B, W, C]
        there = tf.sequence_mask(lengths, width)
        best = best_tags(dense, lengths, self.legal, self.transitions)
        if self.crf:
            likely = tf.exp(log_marginals(dense, there, step_table(self.transitions, self.legal)))
        else:
            likely = tf.nn.softmax(dense)
        chosen = tf.gather(likely, tf.maximum(best, 0), batch_dims=2)  # [B, W]
        return tf.boolean_mask(best, there), tf.boolean_mask(chosen, there)
