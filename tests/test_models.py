"""Laws of every model in the table of cases: what changes an answer, and what a model's weights are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_cases import LENGTHS, REAL, B, T, differ, every_model, every_trained_model, inputs, weights_of

from kbert.layout import Padded, Unpadded
from kbert.weights.table import shapes


@every_model
@pytest.mark.parametrize("layout", [Unpadded, Padded])
def test_a_padded_position_never_changes_a_real_one(case, layout):
    model, batch, more = case.make(), inputs(), 3
    model.use_layout(layout)
    longer = {name: tf.pad(x, [[0, 0], [0, more]]) for name, x in batch.items()}
    other = inputs(np.ones([B, T + more], bool), seed=8)
    noisy = {name: tf.where(longer["input_mask"] == 1, x, other[name]) for name, x in longer.items()}
    noisy["input_mask"] = longer["input_mask"]
    expected, actual = model(batch), model(noisy)
    assert differ(case.per_text(actual), case.per_text(expected)) < 1e-6
    if case.per_token:
        assert differ(case.per_token(actual)[:, :T][REAL], case.per_token(expected)[REAL]) < 1e-6


@every_model
@pytest.mark.parametrize("layout", [Unpadded, Padded])
def test_batch_neighbours_never_change_a_texts_answer(case, layout):
    model, batch = case.make(), inputs()
    model.use_layout(layout)
    together = case.per_text(model(batch))
    for row, length in enumerate(LENGTHS):
        alone = case.per_text(model({name: x[row : row + 1, :length] for name, x in batch.items()}))
        assert differ(alone[0], together[row]) < 1e-5
    order = [3, 0, 4, 2, 1]
    moved = case.per_text(model({name: tf.gather(x, order) for name, x in batch.items()}))
    assert differ(moved, tf.gather(together, order)) < 1e-5


@every_model
def test_padding_removed_or_kept_answers_are_equal(case):
    model, batch = case.make(), inputs()
    removed = model(batch)
    model.use_layout(Padded)
    kept = model(batch)
    assert differ(case.per_text(removed), case.per_text(kept)) < 1e-5
    if case.per_token:
        assert differ(case.per_token(removed)[REAL], case.per_token(kept)[REAL]) < 1e-5


@every_model
def test_a_batch_of_no_texts_has_no_answers(case):
    assert case.per_text(case.make()({name: x[:0] for name, x in inputs().items()})).shape[0] == 0


@every_model
def test_answers_depend_on_the_text(case):
    """So that the laws above can fail."""
    model = case.make()
    assert differ(case.per_text(model(inputs())), case.per_text(model(inputs(seed=5)))) > 1e-2


@every_model
def test_half_precision_is_close_to_float32(case):
    full, half = case.make(), case.make(dtype="mixed_bfloat16")
    assert all(weight.dtype == "float32" for weight in half.named_weights().values())
    expected, actual = case.per_text(full(inputs())), case.per_text(half(inputs()))
    spread = float(np.std(expected))
    assert 0 < differ(expected, actual) < 0.1 * max(spread, 1.0)
    assert differ(case.per_text(half.in_float32()(inputs())), expected) < 1e-6


@every_trained_model
def test_a_head_drops_in_training_and_never_at_inference(case):
    model, batch = case.make(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0), inputs()
    model.encoder.embeddings.dropout_rate = 0.0
    for block in model.encoder.blocks:
        block.rate = 0.0
    plain, first, second = (case.per_text(model(batch, training=training)) for training in (False, True, True))
    assert differ(plain, first) > 1e-2
    assert differ(first, second) > 1e-2
    assert differ(plain, case.per_text(model(batch))) == 0


@every_model
def test_in_float32_a_float32_model_is_itself(case):
    model = case.make()
    assert model.in_float32() is model


@every_model
def test_named_weights_are_those_of_the_table_and_no_others(case):
    model = case.make()
    expected = {**shapes(model.config), **case.head}
    assert {name: tuple(weight.shape) for name, weight in model.named_weights().items()} == expected
    frozen = [
        name
        for name in expected
        if name.startswith("pooler/") and not getattr(model, "encoder", model).pooler.trainable
    ]
    assert len(model.named_weights()) == len(model.trainable_weights) + len(frozen)


@every_model
def test_equal_seeds_give_equal_weights_and_other_seeds_others(case):
    first, again, other = (weights_of(case.make(seed=seed)) for seed in (1, 1, 2))
    random = [name for name in first if np.std(first[name])]  # biases and norms start as constants
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert random and all(differ(first[name], other[name]) > 1e-3 for name in random)
    assert len({first[name].tobytes() for name in random}) == len(random)


@every_model
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_saved_model_loads_as_it_was(case, dtype, tmp_path):
    model, path = case.make(seed=3, dtype=dtype), tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is case.model
    assert (loaded.config, loaded.labels, loaded.seed) == (model.config, model.labels, model.seed)
    assert loaded.compute_dtype == model.compute_dtype
    np.testing.assert_array_equal(case.per_text(loaded(inputs())), case.per_text(model(inputs())))


@every_model
def test_saved_weights_load_into_another_model(case, tmp_path):
    model, other, path = case.make(seed=3), case.make(seed=4), tmp_path / "model.weights.h5"
    model.save_weights(path)
    other.load_weights(path)
    assert all(np.array_equal(x, weights_of(other)[name]) for name, x in weights_of(model).items())
