"""Classification, served: texts or pairs of texts in, a score for each class out.

B texts, T tokens, C classes.
"""

import keras
import tensorflow as tf

from export.serving import ID_TENSORS, Serving
from pipelines import WordPiece


def text_inputs(pair: bool) -> dict[str, tf.TensorSpec]:
    """Specs of the strings that tasks on texts or on pairs of texts take."""
    return {name: tf.TensorSpec([None], tf.string, name) for name in (("text_a", "text_b") if pair else ("text",))}


class TextClassification(Serving):
    """Answers of a classifier for texts or for pairs of texts.

    Args:
        model: a `kbert.Classifier` in float32.
        wordpiece, max_length: see `Serving`.
        pair: each answer is for two texts.

    Answers: `classes` string [B, C], `scores` float [B, C] which sum to 1, `label` string [B]. Strings are `text`, or
    `text_a` and `text_b`, [B].
    """

    def __init__(self, model: keras.Model, wordpiece: WordPiece, max_length: int, pair: bool = False):
        self.inputs = text_inputs(pair)
        super().__init__(model, wordpiece, max_length)

    def answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors -> classes, scores, label."""
        scores = tf.nn.softmax(model(dict(zip(ID_TENSORS, ids, strict=True)), training=False))  # [B, C]
        labels = tf.constant(self.labels)
        return {
            "classes": tf.tile(labels[tf.newaxis], [tf.shape(scores)[0], 1]),
            "scores": scores,
            "label": tf.gather(labels, tf.argmax(scores, axis=-1)),
        }
