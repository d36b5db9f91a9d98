"""Heads: what a task puts on the encoder's vectors.

B batch, D width, C classes, M masked tokens, V vocabulary.
"""

import keras
from keras import ops

from kbert.activations import activation
from kbert.config import BertConfig
from kbert.dropout import dropout
from kbert.norm import LayerNorm


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


class MaskedTokens(keras.layers.Layer):
    """norm(activation(x W + c)) E^T + b: which token stands behind a mask; E is the encoder's token table.

    The activation and the norm's epsilon are the encoder's (Devlin et al. 2019, section 3.1; google-research/bert
    run_pretraining.py).

    Args:
        config: D, V, activation, epsilon.
        kernel_initializer: a Keras initializer.
        dtype: Keras dtype or policy; the product with the table is computed in it.

    Shapes: [M, D] and [V, D] -> [M, V].
    """

    def __init__(self, config: BertConfig, kernel_initializer, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.vocab_size = config.vocab_size
        self.activation = activation(config.hidden_act)
        self.transform = keras.layers.Dense(
            config.hidden_size, kernel_initializer=kernel_initializer, dtype=self.dtype_policy, name="transform"
        )
        self.norm = LayerNorm(config.layer_norm_eps, name="norm")

    def build(self, input_shape):
        self.transform.build(input_shape)
        self.norm.build(input_shape)
        self.bias = self.add_weight(
            name="bias", shape=(self.vocab_size,), initializer="zeros", dtype="float32", autocast=False
        )

    def call(self, x, table):
        dtype = self.compute_dtype
        return ops.matmul(ops.cast(self.transformed(x), dtype), ops.transpose(ops.cast(table, dtype))) + ops.cast(
            self.bias, dtype
        )  # [M, V]

    def transformed(self, x):
        """norm(activation(x W + c)): [M, D] -> float32 [M, D]."""
        return self.norm(ops.cast(self.activation(self.transform(x)), "float32"))
