"""Self-attention (Vaswani et al. 2017, section 3.2) with query, key and value from one matrix product.

B batch, T tokens, N real tokens in the batch, D width, H heads, K = D / H width of a head.
"""

import math

import keras
from keras import ops

from kbert import chains
from kbert.dropout import dropout
from kbert.layout import Layout


class SelfAttention(keras.layers.Layer):
    """softmax(Q K^T / sqrt(K) + mask) V, then a projection; Q, K and V are the thirds of x W + b.

    Args:
        width: D.
        num_heads: H, divides D.
        dropout_rate: of the attention probabilities.
        kernel_initializer: name -> initializer, called with "query_key_value" and "output".
        dtype: Keras dtype or policy.

    Shapes: [N, D] -> [N, D].
    """

    def __init__(self, width: int, num_heads: int, dropout_rate: float, kernel_initializer, **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.head_width, self.dropout_rate = num_heads, width // num_heads, dropout_rate
        self.query_key_value = keras.layers.Dense(
            3 * width,
            kernel_initializer=kernel_initializer("query_key_value"),
            dtype=self.dtype_policy,
            name="query_key_value",
        )
        self.project = keras.layers.Dense(
            width, kernel_initializer=kernel_initializer("output"), dtype=self.dtype_policy, name="output"
        )

    def build(self, input_shape):
        self.query_key_value.build(input_shape)
        self.project.build(input_shape)

    def call(self, x, layout: Layout, seed=None):
        return self.project(self.context(x, layout, seed))  # [N, D]

    def context(self, x, layout: Layout, seed=None):
        """What the heads gathered, before the projection: [N, D] -> [N, D]."""
        heads = layout.to_rows(
            self.query_key_value(x), 3, self.num_heads, self.head_width
        )  # [N, 3 D] -> [B, T, 3, H, K]
        query, key, value = ops.unstack(ops.transpose(heads, [2, 0, 3, 1, 4]), 3)  # [B, H, T, K]
        gather = chains.attend if layout.compiles and seed is not None else attend
        context = gather(query, key, value, layout.mask_bias, self.dropout_rate, seed)  # [B, T, H, K]
        return ops.reshape(layout.to_tokens(context), [-1, self.project.units])


def attend(query, key, value, mask_bias, dropout_rate: float, seed=None):
    """softmax(Q K^T / sqrt(K) + mask_bias) V.

    Args:
        query, key, value: [B, H, T, K].
        mask_bias: [B, 1, 1, T], added to the scores.
        dropout_rate, seed: see `kbert.dropout.dropout`.

    Returns:
        [B, T, H, K]
    """
    scores = ops.matmul(query, ops.transpose(key, [0, 1, 3, 2])) * (1.0 / math.sqrt(query.shape[-1]))  # [B, H, T, T]
    probabilities = dropout(ops.softmax(scores + ops.cast(mask_bias, scores.dtype)), dropout_rate, seed)
    return ops.transpose(ops.matmul(probabilities, value), [0, 2, 1, 3])
