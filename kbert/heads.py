"""Heads: what a task puts on the encoder's vectors.

B batch, D width, C classes.
"""

import keras

from kbert.dropout import dropout


class SequenceHead(keras.layers.Dense):
    """Dropout and a projection of one vector a text: [B, D] -> float32 [B, C] (Devlin et al. 2019, section 4.1).

    Args:
        num_outputs: C.
        dropout_rate: of the vector.
        kernel_initializer: a Keras initializer.
    """

    def __init__(self, num_outputs: int, dropout_rate: float, kernel_initializer, **kwargs):
        super().__init__(num_outputs, kernel_initializer=kernel_initializer, dtype="float32", **kwargs)
        self.dropout_rate = dropout_rate

    def call(self, x, seed=None):
        return super().call(dropout(x, self.dropout_rate, seed))
