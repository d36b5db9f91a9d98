"""Classification, served: texts or pairs of texts in, a score for each class out.

B texts, T tokens, C classes.
"""

import keras
import tensorflow as tf

from export.long_texts import TextServing


class TextClassification(TextServing):
    """Answers of a classifier for texts or for pairs of texts.

    Args: see `export.long_texts.TextServing`; the model is a `kbert.Classifier` in float32.

    Answers: `classes` string [B, C], `scores` float [B, C] which sum to 1, `label` string [B]. Strings are `text`, or
    `text_a` and `text_b`, [B].
    """

    def rows(self, model: keras.Model, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Probabilities, float [W, C]."""
        return tf.nn.softmax(model(inputs, training=False))

    def told(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = rows
        if self.window is not None and self.merge == "max":
            scores /= tf.reduce_sum(scores, axis=-1, keepdims=True)
        labels = tf.constant(self.labels)
        return {
            "classes": tf.tile(labels[tf.newaxis], [tf.shape(scores)[0], 1]),
            "scores": scores,
            "label": tf.gather(labels, tf.argmax(scores, axis=-1)),
        }
