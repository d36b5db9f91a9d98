"""Both layouts hold the same tokens; what stands at padding is never seen and sends no gradient back."""

import numpy as np
import pytest
import tensorflow as tf

from kbert.layout import BLOCKED, Padded, Unpadded

LENGTHS = (3, 5, 1, 4)
B, T, W, H, K = len(LENGTHS), max(LENGTHS) + 1, 6, 3, 2  # T is over the longest: a column of nothing but padding
N = sum(LENGTHS)
MASK = (np.arange(T) < np.array(LENGTHS)[:, None]).astype("int32")
KINDS = pytest.mark.parametrize("kind", [Unpadded, Padded])


def noise(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def real(tokens, kind):
    """The real ones of [N, ...] or [B * T, ...] tokens."""
    return np.asarray(tokens)[MASK.reshape(-1) == 1] if kind is Padded else np.asarray(tokens)


@KINDS
def test_tokens_are_the_real_slots_in_order(kind):
    rows = noise(B, T, W)
    tokens = kind(tf.constant(MASK)).to_tokens(rows)
    assert len(tokens) == (N if kind is Unpadded else B * T)
    np.testing.assert_array_equal(real(tokens, kind), rows.numpy()[MASK == 1])


@KINDS
def test_tokens_come_back_to_their_places(kind):
    layout, rows = kind(tf.constant(MASK)), noise(B, T, W)
    again = layout.to_rows(layout.to_tokens(rows), H, K)
    assert again.shape == (B, T, H, K)
    np.testing.assert_array_equal(again.numpy().reshape(B, T, W)[MASK == 1], rows.numpy()[MASK == 1])
    assert np.isfinite(again).all()


@KINDS
def test_first_is_the_token_at_position_0_of_every_row(kind):
    layout, rows = kind(tf.constant(MASK)), noise(B, T, W)
    np.testing.assert_array_equal(layout.first(layout.to_tokens(rows)), rows[:, 0])


@KINDS
def test_positions_count_from_0_in_every_row(kind):
    positions = real(kind(tf.constant(MASK)).positions, kind)
    np.testing.assert_array_equal(positions, [t for length in LENGTHS for t in range(length)])


@KINDS
def test_mask_bias_blocks_padding_alone(kind):
    bias = kind(tf.constant(MASK)).mask_bias
    assert bias.shape == (B, 1, 1, T)
    np.testing.assert_array_equal(bias[:, 0, 0], np.where(MASK, 0.0, BLOCKED))


def test_blocked_is_nothing_after_softmax_in_every_precision():
    for dtype in ("float32", "bfloat16", "float16"):
        assert float(tf.exp(tf.cast(BLOCKED, dtype))) == 0.0


def gradient(function, x, weights):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(function(x) * weights)
    return tf.convert_to_tensor(tape.gradient(loss, x)).numpy()


def test_gradient_of_to_tokens_is_that_of_taking_the_real_slots():
    rows, weights = noise(B, T, W), noise(N, W, seed=1)
    ours = gradient(Unpadded(tf.constant(MASK)).to_tokens, rows, weights)
    np.testing.assert_allclose(ours, gradient(lambda x: tf.boolean_mask(x, MASK == 1), rows, weights), atol=1e-5)


def test_gradient_of_to_rows_is_that_of_placing_tokens_among_zeros():
    """The weights are not 0 at padding: what comes back from there is dropped."""
    tokens, weights = noise(N, W), noise(B, T, H, K, seed=1)
    layout = Unpadded(tf.constant(MASK))
    slots = tf.where(MASK == 1)

    def reference(x):
        return tf.reshape(tf.scatter_nd(slots, x, [B, T, W]), [B, T, H, K])

    ours = gradient(lambda x: layout.to_rows(x, H, K), tokens, weights)
    np.testing.assert_allclose(ours, gradient(reference, tokens, weights), atol=1e-5)


def test_gradient_of_first_is_that_of_taking_the_starts():
    tokens, weights = noise(N, W), noise(B, W, seed=1)
    starts = np.cumsum((0, *LENGTHS[:-1]))
    ours = gradient(Unpadded(tf.constant(MASK)).first, tokens, weights)
    reference = gradient(lambda x: tf.gather(x, starts), tokens, weights)
    np.testing.assert_allclose(ours, reference, atol=1e-5)


@KINDS
def test_a_batch_of_no_rows_has_no_tokens(kind):
    layout = kind(tf.zeros([0, T], tf.int32))
    tokens = layout.to_tokens(tf.zeros([0, T, W]))
    assert tokens.shape == (0, W)
    assert layout.to_rows(tokens, W).shape == (0, T, W)
    assert layout.first(tokens).shape == (0, W)


def test_padded_shapes_are_static_where_the_masks_are():
    shapes = []

    @tf.function(input_signature=[tf.TensorSpec([B, T], tf.int32), tf.TensorSpec([B, T, W])], autograph=False)
    def trace(mask, rows):
        layout = Padded(mask)
        tokens = layout.to_tokens(rows)
        shapes.extend(x.shape.as_list() for x in (tokens, layout.positions, layout.mask_bias, layout.first(tokens)))
        shapes.append(layout.to_rows(tokens, H, K).shape[1:].as_list())
        return tokens

    trace.get_concrete_function()
    assert shapes == [[B * T, W], [B * T], [B, 1, 1, T], [B, W], [T, H, K]]


@KINDS
def test_sizes_may_be_unknown_when_traced(kind):
    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None, W])], autograph=False
    )
    def there_and_back(mask, rows):
        layout = kind(mask)
        return layout.to_rows(layout.to_tokens(rows), W)

    rows = noise(B, T, W)
    np.testing.assert_array_equal(there_and_back(MASK, rows).numpy()[MASK == 1], rows.numpy()[MASK == 1])
