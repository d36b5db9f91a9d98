"""Layer normalization over the width (Ba, Kiros and Hinton 2016)."""

import keras
from keras import ops


class LayerNorm(keras.layers.Layer):
    """gamma * (x - mean(x)) / sqrt(var(x) + epsilon) + beta, in float32 and out in float32.

    Sums over blocks so keep their precision under any policy, and a CPU has no bfloat16 arithmetic but matrix products.

    Its gradient is written out: with y the normalized input, r = 1 / sqrt(var + epsilon) and g = gamma * upstream,
    dx = r * (g - mean(g) - y * mean(g * y)), fewer passes over memory than differentiating each step takes.

    Args:
        epsilon: added to the variance.

    Shapes: [N, D] -> [N, D].
    """

    def __init__(self, epsilon: float, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        width = input_shape[-1]
        self.gamma = self.add_weight(name="gamma", shape=(width,), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(width,), initializer="zeros")

    def call(self, x):
        return _normalize(x, self.epsilon) * self.gamma + self.beta  # [N, D]


def _normalize(x, epsilon: float):
    @ops.custom_gradient
    def forward(x):
        centred = x - ops.mean(x, axis=-1, keepdims=True)  # [N, D]
        scale = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)  # [N, 1]
        y = centred * scale

        def gradient(*upstream):
            g = upstream[0]
            return scale * (g - ops.mean(g, axis=-1, keepdims=True) - y * ops.mean(g * y, axis=-1, keepdims=True))

        return y, gradient

    return forward(x)
