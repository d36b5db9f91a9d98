"""AdamW on the fused kernel takes the steps of Keras' own; the schedule; what is not decayed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert.optimizer import NOT_DECAYED, AdamW, WarmupPolynomialDecay, adamw

V, D, F, STEPS = 7, 3, 4, 5
SHAPES = {"token": (V, D), "kernel": (D, F), "bias": (F,), "gamma": (D,), "beta": (D,)}
ROWS = (6, 2, 2, 0, 2)  # ids of a batch: one comes three times


def variables():
    random = np.random.default_rng(0)
    return [keras.Variable(random.normal(size=shape).astype("float32"), name=name) for name, shape in SHAPES.items()]


def gradients(step, scale=1.0):
    random = np.random.default_rng(step + 1)
    noise = {name: tf.constant(scale * random.normal(size=shape), tf.float32) for name, shape in SHAPES.items()}
    rows = tf.constant(scale * random.normal(size=(len(ROWS), D)), tf.float32)
    return [tf.IndexedSlices(rows, tf.constant(ROWS), tf.constant([V, D])), *list(noise.values())[1:]]


def dense(gradient):
    return tf.convert_to_tensor(gradient)


def train(optimizer, given=gradients, in_graph=False):
    weights = variables()
    optimizer.build(weights)
    apply = optimizer.apply
    if in_graph:
        apply = tf.function(apply, autograph=False)
    for step in range(STEPS):
        apply(given(step), weights) if not in_graph else apply(given(step))
    return {weight.name: weight.numpy() for weight in weights}


def excluding(optimizer):
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer


ARGUMENTS = {
    "plain": {},
    "decay": {"weight_decay": 0.3},
    "clipped": {"weight_decay": 0.3, "global_clipnorm": 0.5},
    "not reached": {"weight_decay": 0.3, "global_clipnorm": 1e4},
    "each clipped": {"clipnorm": 0.7},
    "values clipped": {"clipvalue": 0.2},
    "accumulated": {"weight_decay": 0.3, "global_clipnorm": 0.5, "gradient_accumulation_steps": 2},
    "averaged": {"weight_decay": 0.3, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    "other betas": {"beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3},
}


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_steps_are_those_of_keras(arguments, in_graph):
    """Keras is given the sum of equal rows, which is the gradient; its own clipping counts each row apart.

    The rate is small: Keras rounds 1 - beta_2 otherwise than TensorFlow's kernel, by 2e-5 of a step.
    """
    arguments = {"learning_rate": 5e-3, "weight_decay": 0.0, "epsilon": 1e-6, **arguments}
    ours = train(excluding(AdamW(**arguments)), in_graph=in_graph)
    keras_own = train(excluding(keras.optimizers.AdamW(**arguments)), lambda step: [dense(g) for g in gradients(step)])
    start = {weight.name: weight.numpy() for weight in variables()}
    for name in SHAPES:
        assert not np.allclose(ours[name], start[name], atol=1e-3)
        np.testing.assert_allclose(ours[name], keras_own[name], atol=1e-6, err_msg=name)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad .* keras.optimizers.AdamW"):
        AdamW(0.1, amsgrad=True)


def test_steps_are_those_of_keras_on_a_schedule():
    schedule = WarmupPolynomialDecay(5e-3, total_steps=STEPS, warmup_steps=2)
    ours = train(adamw(5e-3, total_steps=STEPS, warmup=0.4, weight_decay=0.2, clip_norm=0.5))
    keras_own = keras.optimizers.AdamW(schedule, weight_decay=0.2, global_clipnorm=0.5, epsilon=1e-6)
    theirs = train(excluding(keras_own), lambda step: [dense(g) for g in gradients(step)])
    for name in SHAPES:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6, err_msg=name)


def test_kernels_and_tables_alone_decay():
    still = train(adamw(0.1, weight_decay=0.5, clip_norm=None), lambda step: [0.0 * dense(g) for g in gradients(step)])
    for weight in variables():
        factor = 1.0 if weight.name in NOT_DECAYED else (1 - 0.1 * 0.5) ** STEPS
        np.testing.assert_allclose(still[weight.name], factor * weight.numpy(), rtol=1e-5)


def test_no_step_is_longer_than_the_clipped_gradient_asks():
    """Adam's step does not see a constant scale, so the norm shows in the second moment."""
    optimizer = AdamW(0.1, weight_decay=0.0, global_clipnorm=1.0)
    weights = variables()
    optimizer.build(weights)
    optimizer.apply(gradients(0, scale=100.0), weights)
    norm = sum(float(np.sum(velocity.numpy())) for velocity in optimizer._velocities) / (1 - optimizer.beta_2)
    assert norm == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.25), (2, 0.75), (3, 1.0), (4, 1.0), (8, 0.5), (12, 0.0), (13, 0.0), (99, 0.0)]
)
def test_rate_rises_over_warmup_then_falls_to_0(step, share):
    schedule = WarmupPolynomialDecay(0.02, total_steps=12, warmup_steps=4)
    assert float(schedule(tf.constant(step))) == pytest.approx(0.02 * share, abs=1e-9)


def test_rate_without_warmup_starts_at_its_highest():
    assert float(WarmupPolynomialDecay(0.02, total_steps=10, warmup_steps=0)(0)) == pytest.approx(0.02)


@pytest.mark.parametrize(("total", "warmup"), [(0, 0), (5, 5), (5, -1), (3, 7)])
def test_warmup_must_be_shorter_than_training(total, warmup):
    with pytest.raises(ValueError, match=f"warmup_steps must lie in .* got {warmup} and {total}"):
        WarmupPolynomialDecay(1.0, total_steps=total, warmup_steps=warmup)


def test_rate_is_constant_without_a_number_of_steps():
    assert float(adamw(0.03).learning_rate) == pytest.approx(0.03)


@pytest.mark.parametrize("total", [None, 9])
def test_optimizer_comes_back_from_its_config(total):
    optimizer = adamw(0.03, total_steps=total, weight_decay=0.2, clip_norm=0.7)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, AdamW)
    assert again.get_config() == optimizer.get_config()
    first, second = train(optimizer), train(again)  # what is not decayed is part of it
    assert all(np.array_equal(first[name], second[name]) for name in SHAPES)


def test_resumed_from_its_variables_it_goes_on_as_if_never_stopped():
    whole, first, second = (adamw(0.1, total_steps=STEPS, weight_decay=0.2) for _ in range(3))
    expected = train(whole)
    weights = variables()
    first.build(weights)
    for step in range(2):
        first.apply(gradients(step), weights)
    second.build(weights)
    for ours, theirs in zip(second.variables, first.variables, strict=True):
        ours.assign(theirs)
    for step in range(2, STEPS):
        second.apply(gradients(step), weights)
    for weight in weights:
        np.testing.assert_array_equal(weight.numpy(), expected[weight.name])


@pytest.mark.parametrize(("power", "share"), [(0.0, 1.0), (0.5, 0.5**0.5), (1.0, 0.5), (2.0, 0.25)])
def test_power_bends_the_fall_and_not_the_rise(power, share):
    schedule = WarmupPolynomialDecay(0.02, total_steps=12, warmup_steps=4, power=power)
    assert float(schedule(8)) == pytest.approx(0.02 * share)
    assert float(schedule(0)) == pytest.approx(0.02 * 0.25)
    assert float(schedule(12)) == (pytest.approx(0.02) if power == 0 else 0.0)


def test_a_rate_never_rises_with_negative_power():
    with pytest.raises(ValueError, match="power is 0 or more; got -1"):
        WarmupPolynomialDecay(0.02, total_steps=12, warmup_steps=4, power=-1)
