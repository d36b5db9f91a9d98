"""Regression, served: texts or pairs of texts in, a number out.

B texts, W rows of tokens.
"""

import keras
import tensorflow as tf

from export.long_texts import TextServing


class Regression(TextServing):
    """Answers of a regressor for texts or for pairs of texts.

    Args: see `export.long_texts.TextServing`; the model is a `kbert.Regressor` in float32.

    Answers: `score` float [B]. Strings are `text`, or `text_a` and `text_b`, [B].
    """

    def rows(self, model: keras.Model, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Numbers, float [W]."""
        return model(inputs, training=False)

    def told(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"score": rows}
