"""LAMB takes the steps of algorithm 2 of You et al. 2020, written here in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert.lamb import Lamb, lamb, usual_rate
from kbert.optimizer import NOT_DECAYED, WarmupPolynomialDecay

V, D, F, STEPS = 7, 3, 4, 6
# Two kernels of one shape share the place where their steps are made; `still` starts at 0, where there is no ratio.
SHAPES = {"token": (V, D), "kernel": (D, F), "second": (D, F), "still": (F,), "bias": (F,), "gamma": (D,), "beta": (D,)}
ROWS = (6, 2, 2, 0, 2)  # ids of a batch: one comes three times
RATE, DECAY, CLIP, EPSILON = 0.05, 0.3, 0.7, 1e-2  # an epsilon so large that its place in the formula shows


def start():
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape) * (name != "still") for name, shape in SHAPES.items()}


def variables():
    return [keras.Variable(value.astype("float32"), name=name) for name, value in start().items()]


def gradients(step):
    random = np.random.default_rng(step + 1)
    given = {name: random.normal(size=shape) for name, shape in SHAPES.items()}
    given["token"] = np.zeros((V, D))
    rows = random.normal(size=(len(ROWS), D))
    np.add.at(given["token"], list(ROWS), rows)
    return given, rows


def tensors(step):
    given, rows = gradients(step)
    sparse = tf.IndexedSlices(tf.constant(rows, tf.float32), tf.constant(ROWS), tf.constant([V, D]))
    return [sparse, *(tf.constant(given[name], tf.float32) for name in list(SHAPES)[1:])]


def reference(steps=STEPS, rate=lambda step: RATE, decay=DECAY, beta_1=0.9, beta_2=0.999):
    """Algorithm 2, line by line, in float64."""
    x = start()
    m, v = ({name: np.zeros(shape) for name, shape in SHAPES.items()} for _ in range(2))
    for t in range(1, steps + 1):
        g = gradients(t - 1)[0]
        norm = np.sqrt(sum(np.sum(value**2) for value in g.values()))
        for name in SHAPES:
            clipped = g[name] * min(1.0, CLIP / norm)
            m[name] = beta_1 * m[name] + (1 - beta_1) * clipped
            v[name] = beta_2 * v[name] + (1 - beta_2) * clipped**2
            r = (m[name] / (1 - beta_1**t)) / (np.sqrt(v[name] / (1 - beta_2**t)) + EPSILON)
            if name in NOT_DECAYED:
                x[name] = x[name] - rate(t - 1) * r
                continue
            u = r + decay * x[name]
            size, length = np.linalg.norm(x[name]), np.linalg.norm(u)
            x[name] = x[name] - rate(t - 1) * (size / length if size > 0 and length > 0 else 1.0) * u
    return x


def ours(rate=RATE, decay=DECAY):
    return Lamb(rate, weight_decay=decay, global_clipnorm=CLIP, epsilon=EPSILON, not_decayed=NOT_DECAYED)


def train(optimizer, steps=range(STEPS), weights=None, in_graph=False):
    weights = weights or variables()
    optimizer.build(weights)
    apply = tf.function(optimizer.apply, autograph=False) if in_graph else optimizer.apply
    for step in steps:
        apply(tensors(step))
    return {weight.name: weight.numpy() for weight in weights}


@pytest.mark.parametrize("decay", [DECAY, 0.0], ids=["decay", "no decay"])
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_steps_are_those_of_the_paper(in_graph, decay):
    got, expected, before = train(ours(decay=decay), in_graph=in_graph), reference(decay=decay), start()
    for name in SHAPES:
        assert not np.allclose(got[name], before[name], atol=1e-2), name
        np.testing.assert_allclose(got[name], expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_the_schedule_decides_each_step():
    schedule = WarmupPolynomialDecay(RATE, total_steps=STEPS, warmup_steps=2, power=2.0)
    rates = [float(schedule(step)) for step in range(STEPS)]
    assert len(set(rates)) == STEPS - 1
    got, expected = train(ours(schedule)), reference(rate=rates.__getitem__)
    for name in SHAPES:
        np.testing.assert_allclose(got[name], expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_the_step_of_a_matrix_is_as_long_as_the_matrix_times_the_rate():
    got, before = train(ours(), steps=range(1)), start()
    for name in ("token", "kernel", "second"):
        length = np.linalg.norm(got[name] - before[name])
        assert length == pytest.approx(RATE * np.linalg.norm(before[name]), rel=1e-5)


def test_a_run_is_lamb_with_its_epsilon_and_a_schedule():
    optimizer = lamb(RATE, total_steps=50, warmup=0.2, weight_decay=0.1, clip_norm=0.5, power=2.0)
    assert (optimizer.epsilon, optimizer.weight_decay, optimizer.global_clipnorm) == (1e-6, 0.1, 0.5)
    assert optimizer._learning_rate.get_config() == WarmupPolynomialDecay(RATE, 50, 10, 2.0).get_config()


def test_resumed_from_its_variables_it_goes_on_as_if_never_stopped():
    expected = train(ours())
    first, second, weights = ours(), ours(), variables()
    train(first, range(2), weights)
    second.build(weights)
    for new, old in zip(second.variables, first.variables, strict=True):
        new.assign(old)
    got = train(second, range(2, STEPS), weights)
    for name in SHAPES:
        np.testing.assert_array_equal(got[name], expected[name])


def test_optimizer_comes_back_from_its_config():
    optimizer = lamb(RATE, total_steps=9, weight_decay=0.2, clip_norm=0.7)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, Lamb) and again.get_config() == optimizer.get_config()
    first, second = train(optimizer), train(again)
    assert all(np.array_equal(first[name], second[name]) for name in SHAPES)


def test_the_usual_rate_doubles_with_four_times_the_batch():
    assert usual_rate(2048) == pytest.approx(2 * usual_rate(512)) and usual_rate(32768) == 5e-3
