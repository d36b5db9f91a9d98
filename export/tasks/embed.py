"""Embedding, served: texts in, a vector for each out.

B texts, T tokens, D width.
"""

import keras
import tensorflow as tf

from export.serving import ID_TENSORS, Serving


class Embedding(Serving):
    """Vectors of a `kbert.Embedder`: `text` string [B] -> `embedding` float [B, D]. Longer texts are cut.

    Args: see `Serving`.
    """

    def answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors [B, T] -> embedding."""
        return {"embedding": model(dict(zip(ID_TENSORS, ids, strict=True)), training=False)}
