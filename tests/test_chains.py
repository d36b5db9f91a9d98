"""Laws of the compiled chains: each equals the operations that it stands for, and so does its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert import chains
from kbert.activations import activation
from kbert.attention import attend
from kbert.dropout import Seed, dropout
from kbert.norm import LayerNorm
from kbert.pretraining.vocabulary_loss import vocabulary_cross_entropy

N, D, F, B, H, T, K, M, V = 11, 6, 10, 3, 2, 5, 4, 7, 23
SEED = Seed(tf.constant([3, 8]))
RATE = 0.25


def draw(*shape, seed=0):
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape), tf.float32)


def values_and_gradients(function, *arguments):
    with tf.GradientTape() as tape:
        for argument in arguments:
            tape.watch(argument)
        value = function(*arguments)
        loss = tf.reduce_sum(value * tf.reshape(tf.range(tf.size(value), dtype=tf.float32), tf.shape(value)))
    return [value, *tape.gradient(loss, arguments)]


def assert_equal(left, right, atol=1e-4):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=atol, rtol=1e-4)


@pytest.mark.parametrize("name", ["gelu_erf", "gelu_tanh", "relu"])
def test_activate_is_the_activation_of_x_plus_bias(name):
    plain = activation(name)
    ours = values_and_gradients(lambda x, b: chains.activate(x, b, name), draw(N, F), draw(F))
    assert_equal(ours, values_and_gradients(lambda x, b: plain(x + b), draw(N, F), draw(F)))


@pytest.mark.parametrize("rate", [0.0, RATE])
def test_add_and_norm_is_the_norm_of_x_plus_dropout_of_y_plus_bias(rate):
    norm = LayerNorm(1e-3)
    norm.build((None, D))
    norm.gamma.assign(draw(D, seed=1))
    norm.beta.assign(draw(D, seed=2))
    arguments = draw(N, D), draw(N, D, seed=3), draw(D, seed=4)
    ours = values_and_gradients(lambda x, y, b: chains.add_and_norm(x, y, b, norm, rate, SEED), *arguments)
    assert_equal(ours, values_and_gradients(lambda x, y, b: norm(x + dropout(y + b, rate, SEED)), *arguments))


@pytest.mark.parametrize("weight", ["gamma", "beta"])
def test_add_and_norm_has_gradients_for_the_norm(weight):
    norm = LayerNorm(1e-3)
    norm.build((None, D))
    variable = getattr(norm, weight).value

    def gradient(function):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(draw(N, D), draw(N, D, seed=3), draw(D, seed=4)) * draw(N, D, seed=5))
        return tape.gradient(loss, variable)

    ours = gradient(lambda x, y, b: chains.add_and_norm(x, y, b, norm, RATE, SEED))
    assert_equal([ours], [gradient(lambda x, y, b: norm(x + dropout(y + b, RATE, SEED)))])


@pytest.mark.parametrize("rate", [0.0, RATE])
@pytest.mark.parametrize("bias", [(B, 1, 1, T), (B, 1, T, T)], ids=["a mask a row", "a mask a token"])
def test_attend_is_attention(rate, bias):
    mask = tf.where(draw(*bias, seed=6) > 0.8, -1e4, 0.0)
    arguments = [draw(B, H, T, K, seed=seed) for seed in (7, 8, 9)]
    ours = values_and_gradients(lambda q, k, v: chains.attend(q, k, v, mask, rate, SEED), *arguments)
    assert_equal(ours, values_and_gradients(lambda q, k, v: attend(q, k, v, mask, rate, SEED), *arguments), 1e-3)


def test_vocabulary_cross_entropy_is_the_softmax_cross_entropy_of_the_logits():
    labels, weights = tf.constant([3, 3, 0, 22, 9, 1, 7]), tf.constant([1.0, 0.5, 1, 2, 0, 1, 1])

    def ours(x, table, bias):
        return vocabulary_cross_entropy(x, table, bias, labels, weights, "float32")[0]

    def plain(x, table, bias):
        logits = tf.matmul(x, table, transpose_b=True) + bias
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits) * weights)

    arguments = draw(M, D), draw(V, D), draw(V)
    scaled = [lambda *a, f=f: 0.3 * f(*a)[None] for f in (ours, plain)]  # the gradient follows what comes after
    for left, right in ((ours, plain), tuple(scaled)):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(arguments)
            sums = left(*arguments), right(*arguments)
        assert_equal([sums[0]], [sums[1]])
        assert_equal(tape.gradient(sums[0], arguments), tape.gradient(sums[1], arguments))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_right_answers_are_those_of_the_greatest_logit(dtype):
    x, table, bias = draw(M, D), draw(V, D), draw(V)
    best = keras.ops.argmax(tf.matmul(x, table, transpose_b=True) + bias, axis=1)
    labels = tf.tensor_scatter_nd_update(tf.cast(best, tf.int32), [[2], [4]], [(best[2] + 1) % V, (best[4] + 1) % V])
    _, right, total = vocabulary_cross_entropy(x, table, bias, labels, tf.range(1.0, M + 1), dtype)
    assert float(right) == sum(range(1, M + 1)) - 3 - 5
    assert float(total) == sum(range(1, M + 1))


def test_a_probability_of_zero_has_a_finite_loss():
    x = tf.constant([[200.0, 0, 0, 0, 0, 0]])
    table = tf.concat([tf.ones([1, D]), -tf.ones([V - 1, D])], 0)
    loss, *_ = vocabulary_cross_entropy(x, table, tf.zeros([V]), tf.constant([5]), tf.ones([1]), "float32")
    assert 80 < float(loss) < 90
