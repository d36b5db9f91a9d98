"""Chains: what a block computes between two matrix products, each compiled by XLA to one pass over memory.

A step of training on a CPU spends more time on such chains, done operation by operation, than on its products, which
stay with oneDNN. A chain is compiled once a shape, so this is for batches whose shapes do not change (`layout.Static`).
Gradients are written out, and compiled as well.

N tokens, D width, F inner width, B batch, H heads, T tokens of a row, K width of a head.
"""

import math
from functools import partial

import tensorflow as tf

from kbert.dropout import kept, noise

compiled = partial(tf.function, jit_compile=True, autograph=False)
SQRT_2_OVER_PI, CUBIC = math.sqrt(2.0 / math.pi), 0.044715  # of GELU's tanh form (Hendrycks and Gimpel 2016)


def product(dense, x):
    """x W of a Dense layer, in its type; the bias is left to the chain that follows. [N, D] -> [N, F]."""
    return tf.matmul(tf.cast(x, dense.compute_dtype), tf.cast(dense.kernel, dense.compute_dtype))


def activate(x, bias, name: str):
    """activation(x + bias), in float32 inside. x [N, F] of any float type, bias float32 [F] -> [N, F] like x."""
    forward, backward = _ACTIVATIONS[name]

    @tf.custom_gradient
    def chain(x, bias):
        return forward(x, bias), lambda upstream: backward(upstream, x, bias)

    return chain(x, tf.cast(bias, tf.float32))


def add_and_norm(x, y, bias, norm, rate: float, seed):
    """norm(x + dropout(y + bias)).

    Args:
        x: float32 [N, D].
        y: [N, D] of any float type.
        bias: float32 [D].
        norm: a `kbert.norm.LayerNorm`.
        rate, seed: see `kbert.dropout.dropout`; rate 0 drops nothing.

    Returns:
        float32 [N, D]
    """
    bits = noise(tf.shape(y), rate, seed)

    @tf.custom_gradient
    def chain(x, y, bias, gamma, beta):
        out, normed, scale = _add_and_norm(x, y, bias, gamma, beta, bits, rate, norm.epsilon)
        return out, lambda upstream: _add_and_norm_gradient(upstream, normed, scale, gamma, bits, rate, y.dtype)

    return chain(x, y, *(tf.cast(weight, tf.float32) for weight in (bias, norm.gamma, norm.beta)))


def attend(query, key, value, mask_bias, rate: float, seed):
    """dropout(softmax(Q K^T / sqrt(K) + mask_bias)) V, as `kbert.attention.attend`."""
    scale = 1.0 / math.sqrt(query.shape[-1])
    bits = noise(tf.concat([tf.shape(query)[:-1], tf.shape(key)[2:3]], axis=0), rate, seed)

    @tf.custom_gradient
    def probabilities(query, key, mask_bias):
        scores = tf.matmul(query, key, transpose_b=True) * scale + mask_bias  # [B, H, T, T], one operation of oneDNN
        full = tf.nn.softmax(scores)

        def gradient(upstream):
            into = _softmax_gradient(upstream, full, bits, rate, scale)
            return tf.matmul(into, key), tf.matmul(into, query, transpose_a=True), None

        return _drop(full, bits, rate), gradient

    context = tf.matmul(probabilities(query, key, tf.cast(mask_bias, query.dtype)), value)
    return tf.transpose(context, [0, 2, 1, 3])  # [B, T, H, K]


@compiled
def _add_and_norm(x, y, bias, gamma, beta, bits, rate, epsilon):
    z = x + (tf.cast(y, tf.float32) + bias) * kept(bits, rate)
    centred = z - tf.reduce_mean(z, axis=1, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=1, keepdims=True) + epsilon)  # [N, 1]
    normed = centred * scale
    return normed * gamma + beta, normed, scale


@compiled
def _add_and_norm_gradient(upstream, normed, scale, gamma, bits, rate, dtype):
    g = upstream * gamma
    along = tf.reduce_mean(g * normed, axis=1, keepdims=True)
    into_x = scale * (g - tf.reduce_mean(g, axis=1, keepdims=True) - normed * along)
    into_y = into_x * kept(bits, rate)
    sums = (tf.reduce_sum(values, axis=0) for values in (into_y, upstream * normed, upstream))  # bias, gamma, beta
    return into_x, tf.cast(into_y, dtype), *sums


@compiled
def _drop(full, bits, rate):
    return tf.cast(tf.cast(full, tf.float32) * kept(bits, rate), full.dtype)


@compiled
def _softmax_gradient(upstream, full, bits, rate, scale):
    into_full, p = tf.cast(upstream, tf.float32) * kept(bits, rate), tf.cast(full, tf.float32)
    into_scores = p * (into_full - tf.reduce_sum(into_full * p, axis=-1, keepdims=True))
    return tf.cast(into_scores * scale, full.dtype)


def _gelu_tanh(x):
    return 0.5 * x * (1.0 + tf.tanh(x * (SQRT_2_OVER_PI + SQRT_2_OVER_PI * CUBIC * x * x)))


def _gelu_tanh_slope(x):
    square = x * x
    t = tf.tanh(x * (SQRT_2_OVER_PI + SQRT_2_OVER_PI * CUBIC * square))
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * (SQRT_2_OVER_PI + 3.0 * SQRT_2_OVER_PI * CUBIC * square)


def _gelu_erf(x):
    return 0.5 * x * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


def _gelu_erf_slope(x):
    density = tf.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi))
    return 0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5))) + x * density


def _relu_slope(x):
    return tf.cast(x > 0.0, tf.float32)


def _activation(value, slope) -> tuple:
    @compiled
    def forward(x, bias):
        return tf.cast(value(tf.cast(x, tf.float32) + bias), x.dtype)

    @compiled
    def backward(upstream, x, bias):
        into = tf.cast(upstream, tf.float32) * slope(tf.cast(x, tf.float32) + bias)
        return tf.cast(into, x.dtype), tf.reduce_sum(into, axis=0)

    return forward, backward


_ACTIVATIONS = {
    "gelu_tanh": _activation(_gelu_tanh, _gelu_tanh_slope),
    "gelu_erf": _activation(_gelu_erf, _gelu_erf_slope),
    "relu": _activation(tf.nn.relu, _relu_slope),
}
