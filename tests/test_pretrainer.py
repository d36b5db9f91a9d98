"""Laws of the model that is pre-trained: layouts, parts, shared rows and recomputation change nothing but the cost."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kbert
from kbert.config import BertConfig
from kbert.layout import Padded, Static, Unpadded
from kbert.presets import open_preset, save_preset
from kbert.pretraining.pretrainer import Pretrainer
from kbert.weights.google import TABLE
from kbert.weights.table import expand

B, T, P, D, H, F, L, V = 4, 9, 3, 6, 2, 10, 2, 23
LENGTHS = (9, 5, 7, 3)
PLACE = tf.constant([[2, 5, row] for row in range(B)], tf.int64)


def build(rate=0.0, dtype="float32", **arguments):
    config = BertConfig(
        vocab_size=V,
        hidden_size=D,
        num_hidden_layers=L,
        num_attention_heads=H,
        intermediate_size=F,
        max_position_embeddings=T + 2,
        initializer_range=0.3,
        hidden_dropout_prob=rate,
        attention_probs_dropout_prob=rate,
    )
    return Pretrainer(config, seed=1, dtype=dtype, **arguments)


def batch(seed=0):
    random = np.random.default_rng(seed)
    mask = np.arange(T) < np.array(LENGTHS)[:, None]
    counts = np.array([3, 1, 2, 0])
    real = np.arange(P) < counts[:, None]
    places = np.stack([np.sort(random.choice(np.arange(1, n), P, n < P + 1)) for n in LENGTHS])
    inputs = {
        "input_word_ids": random.integers(5, V, [B, T]) * mask,
        "input_mask": mask,
        "input_type_ids": mask & (np.arange(T) >= 3),
        "masked_lm_positions": places * real,
    }
    labels = {"masked_lm_ids": random.integers(5, V, [B, P]) * real, "next_sentence_labels": np.array([0, 1, 1, 0])}
    inputs, labels = ({k: tf.constant(v, tf.int32) for k, v in part.items()} for part in (inputs, labels))
    return {**inputs, "place": PLACE}, labels, {"masked_lm_weights": tf.constant(real, tf.float32)}


def step(model, data, **compiled):
    """The weights after one step of plain gradient descent, and the figures."""
    model.compile(keras.optimizers.SGD(0.1), **compiled)
    figures = model.train_step(data)
    return {name: weight.numpy() for name, weight in model.named_weights().items()}, figures


def assert_same(left, right, atol=1e-6):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=atol, err_msg=name)


@pytest.mark.parametrize("layout", [Padded, Unpadded])
def test_the_layout_never_changes_a_step(layout):
    one, other = build(), build()
    one.compile(keras.optimizers.SGD(0.1))
    other.compile(keras.optimizers.SGD(0.1))
    assert one.encoder.layout is Static
    other.use_layout(layout)
    left, right = one.train_step(batch()), other.train_step(batch())
    assert float(left["loss"]) == pytest.approx(float(right["loss"]), abs=1e-5)
    assert_same(*({n: w.numpy() for n, w in model.named_weights().items()} for model in (one, other)))


def test_every_weight_learns():
    model = build()
    before = {name: weight.numpy() for name, weight in model.named_weights().items()}
    after, _ = step(model, batch())
    still = [name for name in before if np.array_equal(before[name], after[name])]
    assert still == []


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_makes_the_step_of_the_whole(parts):
    whole, _ = step(build(), batch())
    assert_same(step(build(), batch(), accumulate=parts)[0], whole)


def test_parts_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(tf.errors.InvalidArgumentError):
        step(build(), batch(), accumulate=3)
    with pytest.raises(ValueError, match="accumulate is 1 or more.*got 0"):
        build().compile(accumulate=0)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_recomputation_makes_the_same_step(rate):
    assert_same(step(build(rate, recompute=True), batch())[0], step(build(rate), batch())[0])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_recomputation_trains_on_masked_tokens_alone(accumulate):
    found = []
    for recompute in (True, False):
        model = build(0.1, recompute=recompute, next_sentence=False)
        model.compile(kbert.adamw(0.02), accumulate=accumulate)  # rows are filled: `Static`
        found.append(model.fit(tf.data.Dataset.from_tensors(batch()).repeat(2), verbose=0).history["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_loss_is_that_of_the_logits():
    model, data = build(), batch()
    inputs, labels, weights = data
    outputs = model(inputs)
    assert outputs["masked_tokens"].shape == (B, P, V)
    assert outputs["next_sentence"].shape == (B, 2)
    masked = tf.nn.sparse_softmax_cross_entropy_with_logits(labels["masked_lm_ids"], outputs["masked_tokens"])
    masked = tf.reduce_sum(masked * weights["masked_lm_weights"]) / 6
    pairs = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels["next_sentence_labels"], outputs["next_sentence"])
    )
    model.compile()
    figures = {name: float(value) for name, value in model.test_step(data).items()}
    assert figures["masked_loss"] == pytest.approx(float(masked), abs=1e-5)
    assert figures["loss"] == pytest.approx(float(masked + pairs), abs=1e-5)
    assert figures["perplexity"] == pytest.approx(float(tf.exp(masked)), rel=1e-5)
    assert figures["tokens"] == sum(LENGTHS)
    assert figures["real_share"] == pytest.approx(sum(LENGTHS) / (B * T))


def test_the_head_reads_the_token_table():
    model, (inputs, *_) = build(), batch()
    before = model(inputs)["masked_tokens"].numpy()
    table = model.encoder.embeddings.token
    unused = 1  # the batch's ids are 0 and from 5 on
    table.assign(tf.tensor_scatter_nd_add(table.value, [[unused]], tf.range(1.0, D + 1)[None]))
    changed = np.abs(model(inputs)["masked_tokens"].numpy() - before).max(axis=(0, 1))
    assert changed[unused] > 0.01
    assert np.delete(changed, unused).max() == 0


def packed():
    """Two rows of `batch` in one, as `pipelines.rows.pack_rows` would write them, and the same two alone."""
    inputs, labels, weights = batch(3)
    alone = [tf.nest.map_structure(lambda x, row=row: x[row : row + 1], (inputs, labels, weights)) for row in (1, 3)]
    sizes = [LENGTHS[1], LENGTHS[3]]

    def join(name, fill=0):
        parts = [one[0][name][0, :n] for one, n in zip(alone, sizes, strict=True)]
        row = tf.concat([*parts, tf.fill([T - sum(sizes)], fill)], 0)
        return row[None]

    together = {name: join(name) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    together["input_example_ids"] = tf.constant([[1] * sizes[0] + [2] * sizes[1] + [0] * (T - sum(sizes))])
    together["first_positions"] = tf.constant([[0, sizes[0], 0]])
    together["masked_lm_positions"] = tf.constant([[2, sizes[0] + 1, 0]])
    return together, [one[0] for one in alone], sizes


@pytest.mark.parametrize("layout", [Padded, Unpadded])
def test_examples_that_share_a_row_do_not_see_each_other(layout):
    model = build()
    model.use_layout(layout)
    together, (first, second), sizes = packed()
    first["masked_lm_positions"], second["masked_lm_positions"] = tf.constant([[2]]), tf.constant([[1]])
    shared = model(together)
    for place, alone in enumerate((first, second)):
        answer = model({k: v for k, v in alone.items() if k != "place"})
        np.testing.assert_allclose(shared["masked_tokens"][0, place], answer["masked_tokens"][0, 0], atol=1e-5)
        np.testing.assert_allclose(shared["next_sentence"][0, place], answer["next_sentence"][0], atol=1e-5)


def test_the_model_remembers_the_place_of_the_last_example():
    model = build()
    assert model.place.numpy().tolist() == [0, 0, -1]
    step(model, batch())
    assert model.place.numpy().tolist() == [2, 5, B - 1]
    assert "place" not in model.named_weights()


def test_a_model_without_pairs_has_no_head_for_them():
    inputs, labels, weights = batch()
    model = build(next_sentence=False)
    assert not [name for name in model.named_weights() if name.startswith("next_sentence")]
    _, figures = step(model, (inputs, {"masked_lm_ids": labels["masked_lm_ids"]}, weights))
    assert "next_sentence_accuracy" not in figures
    assert float(figures["loss"]) == float(figures["masked_loss"])


def test_figures_are_means_since_the_last_reset():
    model, data = build(), batch()
    model.compile(keras.optimizers.SGD(0.5))
    losses = []
    for _ in range(3):
        losses.append(float(model.train_step(data)["loss"]))
        model.reset_metrics()
    assert losses[2] < losses[0]
    other = build()
    other.compile(keras.optimizers.SGD(0.5))
    for _ in range(3):
        figures = other.train_step(data)
    assert float(figures["loss"]) == pytest.approx(sum(losses) / 3, rel=1e-4)
    assert float(figures["tokens"]) == 3 * sum(LENGTHS)


def test_the_end_of_the_data_is_no_batch():
    one, many = build(), build()
    one.compile()
    many.compile()
    alone = one.test_step(batch())
    batches = tf.data.Dataset.from_tensors(batch()).repeat(3).filter(lambda *_: True)  # of a length that is not known
    one.fit(batches, verbose=0)
    assert int(one.optimizer.iterations) == 3
    figures = many.evaluate(batches, verbose=0, return_dict=True)
    assert figures.pop("tokens") == 3 * sum(LENGTHS)
    for name, value in figures.items():
        assert value == pytest.approx(float(alone[name]), rel=1e-5), name


def test_fit_learns_by_heart():
    model = build(dtype="mixed_bfloat16")
    model.compile(kbert.adamw(0.02, weight_decay=0.0))
    data = tf.data.Dataset.from_tensors(batch()).repeat()
    losses = model.fit(data, steps_per_epoch=40, epochs=3, verbose=0).history
    assert losses["masked_accuracy"][-1] > 0.95
    assert losses["next_sentence_accuracy"][-1] > 0.95


def test_its_config_makes_the_same_model():
    model = build(recompute=True, next_sentence=False)
    copy = Pretrainer.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert copy.named_weights().keys() == model.named_weights().keys()
    assert copy.encoder.recompute


def test_googles_own_pretraining_weights_load_and_leave_under_googles_names(shared_data, tmp_path):
    folder = shared_data / "keras_bert_test_checkpoint"
    model = Pretrainer.from_preset(str(folder), lowercase=True)
    assert model.new_weights == ()
    arrays = {name: weight.numpy() for name, weight in model.named_weights().items()}
    save_preset(tmp_path / "google", model.config, arrays, model.tokenizer, layout="google")
    again = open_preset(tmp_path / "google", lowercase=True).read_weights()
    assert_same(again, arrays, atol=0)
    theirs = dict(tf.train.list_variables(str(tmp_path / "google" / "bert_model.ckpt")))
    there = dict(tf.train.list_variables(str(next(folder.glob("*.index")).with_suffix(""))))
    names = {name for row in expand(TABLE, model.config.num_hidden_layers) for name in row.theirs if name in there}
    assert {name: theirs[name] for name in names} == {name: there[name] for name in names}
    assert any(name.startswith("cls/seq_relationship") for name in names)


def test_batches_of_any_size_are_trained_on():
    model = build(rate=0.1)
    model.compile(keras.optimizers.SGD(0.1))
    rows = tf.data.Dataset.from_tensor_slices(batch()).repeat(2)
    model.fit(rows.batch(3), verbose=0)  # 3, 3 and 2 rows
    assert model.place.numpy().tolist() == [2, 5, B - 1]
