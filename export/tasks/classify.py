"""Serving: strings -> answers as TensorFlow functions, one class a task, on the pipeline that trained the model.

B texts, T tokens, C classes.
"""

import keras
import tensorflow as tf

from export.tracing import is_small, trace
from kbert.layout import Unpadded
from pipelines import WordPiece, pack

ID_TENSORS = ("input_word_ids", "input_mask", "input_type_ids")


class TextClassification:
    """Answers of a classifier for texts or for pairs of texts.

    Args:
        model: a `kbert.Classifier` in float32.
        wordpiece: the tokenizer that it was trained with.
        max_length: most tokens of a packed text; longer texts are cut.
        pair: each answer is for two texts.

    Functions of tensors, each a signature of the SavedModel:
        serving_default: `text` (or `text_a`, `text_b`), string [B] -> `classes` string [B, C], `scores` float [B, C]
            which sum to 1, `label` string [B].
        tokenize: the same strings -> the three id tensors, int32 [B, T], T the longest of the batch.
        from_ids: the three id tensors -> what serving_default gives.

    `variables` are what the module that is saved has to hold.
    """

    def __init__(self, model: keras.Model, wordpiece: WordPiece, max_length: int, pair: bool = False):
        self.wordpiece, self.max_length = wordpiece, max_length
        self.text_names = ("text_a", "text_b") if pair else ("text",)
        self.labels = tuple(model.labels)
        ids = [tf.TensorSpec([None, None], tf.int32, name) for name in ID_TENSORS]
        self.variables = [weight.value for weight in model.weights if not is_small(weight)]
        layout = model.use_layout(Unpadded)  # also for a model that was trained padded, under XLA
        try:
            self._from_ids = trace(lambda *tensors: self._answer(model, *tensors), model, ids)
        finally:
            model.use_layout(layout)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The three functions by their names, traced."""
        texts = [tf.TensorSpec([None], tf.string, name) for name in self.text_names]
        ids = [tf.TensorSpec([None, None], tf.int32, name) for name in ID_TENSORS]
        return {
            "serving_default": tf.function(self.serve, autograph=False).get_concrete_function(*texts),
            "tokenize": tf.function(self.tokenize, autograph=False).get_concrete_function(*texts),
            "from_ids": tf.function(self.from_ids, autograph=False).get_concrete_function(*ids),
        }

    def tokenize(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] -> the three id tensors, int32 [B, T]."""
        return pack([self.wordpiece.tokenize(text) for text in texts], self.wordpiece, self.max_length)

    def from_ids(self, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors -> classes, scores, label."""
        return self._from_ids(*ids)

    def serve(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] -> classes, scores, label."""
        packed = self.tokenize(*texts)
        return self.from_ids(*(packed[name] for name in ID_TENSORS))

    def _answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.nn.softmax(model(dict(zip(ID_TENSORS, ids, strict=True)), training=False))  # [B, C]
        labels = tf.constant(self.labels)
        return {
            "classes": tf.tile(labels[tf.newaxis], [tf.shape(scores)[0], 1]),
            "scores": scores,
            "label": tf.gather(labels, tf.argmax(scores, axis=-1)),
        }
