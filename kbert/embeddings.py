"""Embeddings: token + position + segment, norm, dropout (Devlin et al. 2019, figure 2).

B batch, T tokens, N real tokens in the batch, D width, V vocabulary, P positions, S segments.
"""

import keras
from keras import ops

from kbert.dropout import dropout
from kbert.gradients import lookup
from kbert.layout import Layout
from kbert.norm import LayerNorm


class Embeddings(keras.layers.Layer):
    """norm(token[id] + position[t] + segment[type]), then dropout.

    Args:
        sizes: rows of the three tables, (V, P, S).
        width: D.
        dropout_rate: of the sum.
        epsilon: of the norm.
        kernel_initializer: name -> initializer, called with "token", "position" and "segment".
        tied: a head reads the token table too, so that its gradient is a whole table anyway.
        dtype: Keras dtype or policy.

    Shapes: ids and types int32 [N] -> [N, D].
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        width: int,
        dropout_rate: float,
        epsilon: float,
        kernel_initializer,
        tied: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tied = tied
        self.sizes, self.width, self.dropout_rate = sizes, width, dropout_rate
        self.kernel_initializer = kernel_initializer
        self.norm = LayerNorm(epsilon, name="norm")

    def build(self, input_shape=None):
        # Rows are cast after they are taken: casting a table of 30,522 rows costs more than the rest of this layer.
        self.token, self.position, self.segment = (
            self.add_weight(
                name=name,
                shape=(rows, self.width),
                initializer=self.kernel_initializer(name),
                dtype="float32",
                autocast=False,
            )
            for name, rows in zip(("token", "position", "segment"), self.sizes, strict=True)
        )
        self.norm.build((None, self.width))

    def call(self, ids, types, layout: Layout, seed=None):
        token = lookup(self.token, ids) if self.tied else ops.take(self.token, ids, axis=0)
        x = token + ops.take(self.segment, types, axis=0)  # [N, D]
        x = x + ops.take(self.position, layout.positions, axis=0)  # [N, D]
        return dropout(self.norm(x), self.dropout_rate, seed)
