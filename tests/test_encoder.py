"""The encoder's arithmetic: formulas and their written-out gradients against plain ones in TensorFlow and NumPy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert.activations import activation, gelu_erf, gelu_tanh
from kbert.attention import attend
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.layout import Padded
from kbert.norm import LayerNorm

B, T, D, H, K, F, L, V = 2, 5, 6, 3, 4, 10, 2, 23
N, EPSILON = 7, 1e-3


def noise(*shape, seed=0, scale=1.0):
    return tf.constant(scale * np.random.default_rng(seed).normal(size=shape), tf.float32)


def value_and_gradients(function, *arguments):
    """What a function gives, and the gradients of a weighted sum of it."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        y = function(*arguments)
        total = tf.reduce_sum(y * noise(*y.shape, seed=9))
    return [y, *tape.gradient(total, arguments)]


def assert_same(ours, reference, tolerance=1e-5):
    for left, right in zip(ours, reference, strict=True):
        np.testing.assert_allclose(left, right, atol=tolerance)


def normalize(x, gamma, beta):
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    return gamma * centred / tf.sqrt(tf.reduce_mean(centred**2, axis=-1, keepdims=True) + EPSILON) + beta


REFERENCES = {
    "gelu_erf": (gelu_erf, lambda x: 0.5 * x * (1 + tf.math.erf(x / math.sqrt(2)))),
    "gelu_tanh": (gelu_tanh, lambda x: 0.5 * x * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    "relu": (activation("relu"), lambda x: tf.maximum(x, 0)),
}


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", REFERENCES)
def test_activations_and_their_gradients_are_the_formulas(name, in_graph):
    ours, reference = REFERENCES[name]
    x = noise(N, F, scale=3.0)
    if in_graph:
        ours = tf.function(ours, autograph=False)
    assert_same(value_and_gradients(ours, x), value_and_gradients(reference, x))


@pytest.mark.parametrize("name", REFERENCES)
def test_activations_are_finite_far_out(name):
    y, gradient = value_and_gradients(activation(name), tf.constant([[-1e4, -50.0, 0.0, 50.0, 1e4]]))
    np.testing.assert_allclose(y, [[0, 0, 0, 50, 1e4]], atol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_activations_keep_the_type(name):
    assert activation(name)(tf.cast(noise(N, F), "bfloat16")).dtype == "bfloat16"


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_layer_norm_and_its_gradients_are_the_formula(scale):
    layer, x, gamma, beta = LayerNorm(EPSILON), noise(N, D, scale=scale), noise(D, seed=1), noise(D, seed=2)
    layer.build((None, D))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    weights = noise(N, D, seed=3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y * weights)
    ours = [y, *tape.gradient(total, [x, layer.gamma.value, layer.beta.value])]
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        y = normalize(x, gamma, beta)
        total = tf.reduce_sum(y * weights)
    reference = [y, *tape.gradient(total, [x, gamma, beta])]
    for left, right in zip(ours, reference, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5, rtol=1e-4)


def test_layer_norm_is_float32_under_any_policy():
    layer = LayerNorm(EPSILON)
    layer.build((None, D))
    assert layer(tf.cast(noise(N, D), "bfloat16")).dtype == "float32"


def test_attention_and_its_gradients_are_the_formula():
    """Vaswani et al. 2017, equation 1, a head and a row at a time; the last two keys are padding."""
    query, key, value = (noise(B, H, T, K, seed=seed) for seed in range(3))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "int32")

    def reference(query, key, value):
        rows = []
        for b in range(B):
            real = int(mask[b].sum())
            heads = [
                tf.nn.softmax(query[b, h] @ tf.transpose(key[b, h, :real]) / math.sqrt(K)) @ value[b, h, :real]
                for h in range(H)
            ]
            rows.append(tf.stack(heads, axis=1))  # [T, H, K]
        return tf.reshape(tf.stack(rows), [B, T, H * K])

    def ours(query, key, value):
        bias = Padded(tf.constant(mask)).mask_bias
        return tf.reshape(attend(query, key, value, bias, 0.0), [B, T, H * K])

    assert_same(value_and_gradients(ours, query, key, value), value_and_gradients(reference, query, key, value))


def encoder(**changes):
    sizes = {
        "vocab_size": V,
        "hidden_size": D,
        "num_hidden_layers": L,
        "num_attention_heads": H,
        "intermediate_size": F,
        "max_position_embeddings": T + 4,
        "type_vocab_size": 2,
    }
    return Encoder(BertConfig(**{**sizes, **changes}))


def inputs(length=T, seed=0):
    ids = tf.constant(np.random.default_rng(seed).integers(0, V, [B, length]), tf.int32)
    mask = tf.constant(np.arange(length) < np.array([[length], [length - 2]]), tf.int32)
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": tf.roll(mask, 2, axis=1)}


def test_outputs_are_named_shaped_and_ordered():
    outputs = encoder()(inputs())
    assert set(outputs) == {"sequence_output", "pooled_output", "encoder_outputs"}
    assert outputs["sequence_output"].shape == (B, T, D)
    assert outputs["pooled_output"].shape == (B, D)
    assert [tokens.shape for tokens in outputs["encoder_outputs"]] == [(B, T, D)] * L
    np.testing.assert_array_equal(outputs["encoder_outputs"][-1], outputs["sequence_output"])


def test_pooled_output_is_a_projection_of_the_first_token():
    model = encoder()
    outputs, weights = model(inputs()), model.named_weights()
    projected = outputs["sequence_output"][:, 0] @ weights["pooler/kernel"].value + weights["pooler/bias"].value
    np.testing.assert_allclose(outputs["pooled_output"], tf.tanh(projected), atol=1e-6)


def test_sequence_output_is_zero_at_padding():
    for layout in (None, Padded):
        model, batch = encoder(), inputs()
        if layout:
            model.use_layout(layout)
        outputs = model(batch)
        for tokens in outputs["encoder_outputs"]:
            assert not np.any(tokens.numpy()[batch["input_mask"].numpy() == 0])


def test_position_segment_and_order_matter():
    model, batch = encoder(initializer_range=0.5), inputs()
    plain = model(batch)["pooled_output"]
    for changed in (
        batch | {"input_type_ids": 1 - batch["input_type_ids"]},
        batch | {"input_word_ids": tf.reverse(batch["input_word_ids"], axis=[1])},
        batch | {"input_mask": tf.ones_like(batch["input_mask"])},
    ):
        assert np.abs(model(changed)["pooled_output"] - plain).max() > 1e-3


def test_dropout_is_drawn_anew_each_step_and_never_at_inference():
    model, batch = encoder(hidden_dropout_prob=0.5), inputs()
    first, second = (model(batch, training=True)["pooled_output"].numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_array_equal(model(batch)["pooled_output"], model(batch)["pooled_output"])


def test_every_place_that_drops_has_its_rate_and_a_seed_of_its_own(monkeypatch):
    """Embeddings, and in each block attention's probabilities and both sums (Devlin et al. 2019, appendix A.2)."""
    model, seen = encoder(hidden_dropout_prob=0.25, attention_probs_dropout_prob=0.5), []

    def record(x, rate, seed):
        seen.append((len(x.shape), rate, tuple(seed.key.numpy().tolist())))
        return x

    for module in ("attention", "embeddings", "encoder"):
        monkeypatch.setattr(f"kbert.{module}.dropout", record)
    model(inputs(), training=True)
    block = [(4, 0.5), (2, 0.25), (2, 0.25)]  # rank and rate: [B, H, T, T], then [N, D] twice
    assert [place[:2] for place in seen] == [(2, 0.25), *block * L]
    assert len({seed for *_, seed in seen}) == len(seen)


def weighted(outputs):
    """One number that depends on every weight."""
    tokens, pooled = outputs["sequence_output"], outputs["pooled_output"]
    return tf.reduce_sum(tokens**2 * noise(B, T, D)) + tf.reduce_sum(pooled * noise(B, D))


def test_gradient_of_the_whole_encoder_is_the_same_in_both_layouts():
    model, batch = encoder(initializer_range=0.3), inputs()
    gradients = []
    for layout in (model.layout, Padded):
        model.use_layout(layout)
        with tf.GradientTape() as tape:
            total = weighted(model(batch))
        variables = [variable.value for variable in model.trainable_variables]
        gradients.append([tf.convert_to_tensor(g) for g in tape.gradient(total, variables)])
    assert_same(*gradients, tolerance=1e-4)


def test_gradient_of_the_whole_encoder_is_its_slope():
    """Every written-out gradient at once, against a difference in float32 along a random direction."""
    model, batch = encoder(initializer_range=0.3), inputs()
    variables = [variable.value for variable in model.trainable_variables]
    directions = [noise(*variable.shape, seed=i) for i, variable in enumerate(variables)]
    with tf.GradientTape() as tape:
        total = weighted(model(batch))
    slope = sum(
        float(tf.reduce_sum(tf.convert_to_tensor(g) * d))
        for g, d in zip(tape.gradient(total, variables), directions, strict=True)
    )
    step, ends = 1e-3, []
    for sign in (1.0, -2.0):
        for variable, direction in zip(variables, directions, strict=True):
            variable.assign_add(sign * step * direction)
        ends.append(float(weighted(model(batch))))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.02)


def test_the_graph_has_the_names_of_a_keras_model():
    """So that summaries, callbacks and checkpoints of Keras find their way."""
    model = encoder()
    assert model.count_params() == sum(int(np.prod(weight.shape)) for weight in model.named_weights().values())
    assert isinstance(model, keras.Model)
    assert model.built
