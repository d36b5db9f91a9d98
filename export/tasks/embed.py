"""Embedding, served: texts in, a vector for each out.

B texts, W windows of all texts, D width.
"""

import keras
import tensorflow as tf

from export.long_texts import TextServing
from kbert.pooling import unit_length
from pipelines import WordPiece


class Embedding(TextServing):
    """Vectors of a `kbert.Embedder`: `text` string [B] -> `embedding` float [B, D].

    Of a long text that is seen through windows it is the mean, or in each place the largest number, of the windows'
    vectors; with length 1 again where the model's have that.

    Args: see `export.long_texts.TextServing`; the model is in float32.
    """

    def __init__(
        self,
        model: keras.Model,
        wordpiece: WordPiece,
        max_length: int,
        window: int | None = None,
        merge: str = "mean",
    ):
        self.normalize = model.normalize
        super().__init__(model, wordpiece, max_length, window=window, merge=merge)

    def rows(self, model: keras.Model, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Vectors of rows, float [W, D]."""
        return model(inputs, training=False)

    def told(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        merged = self.window is not None and self.normalize
        return {"embedding": unit_length(rows) if merged else rows}
