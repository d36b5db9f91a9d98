"""What of a model is trained, at which rates and for how long: laws of the choices of a Recipe on a toy model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_training import BATCH, LABELS, ROWS, STEPS, Killed, KillIn, dev, epochs_of, rows, toy

from kbert import chains
from kbert.class_weights import weigh
from kbert.dropout import Seed
from kbert.freezing import freeze_weights, layer_rates, learning
from kbert.lora import add_lora, has_lora, merge_lora, merged_weights
from kbert.losses import SmoothedCrossEntropy
from kbert.optimizer import adamw
from kbert.recipe import HEAD_TIMES, Recipe
from kbert.runs import Run
from kbert.training import finetune

BLOCKS = 2
RATE = 2e-2


def arrays(model):
    return {name: np.array(keras.ops.convert_to_numpy(weight)) for name, weight in model.named_weights().items()}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def scored(values):
    """A dev set whose accuracy is given, an epoch a value."""
    left = iter(values)
    return lambda model: {"accuracy": float(next(left)), "loss": 1.0}


def groups(names):
    return {name.partition("/")[0] for name in names}


FROZEN = {
    "all": {"embeddings", "layer_0", "layer_1", "pooler"},
    "embeddings": {"embeddings"},
    0: {"embeddings"},
    1: {"embeddings", "layer_0"},
    2: {"embeddings", "layer_0", "layer_1"},
    None: set(),
}


@pytest.mark.parametrize("freeze", FROZEN, ids=str)
def test_what_is_frozen_is_told_by_the_first_part_of_its_name(freeze):
    model = toy()
    learned = set(learning(model, freeze))
    assert groups(set(model.named_weights()) - learned) == FROZEN[freeze]
    assert groups(learned).isdisjoint(FROZEN[freeze]) and "classifier/kernel" in learned


def test_what_the_preset_did_not_have_learns_in_any_case():
    model = toy()
    model.new_weights = ("pooler/kernel", "pooler/bias")
    assert groups(learning(model, "all")) == {"pooler", "classifier"}


def test_frozen_weights_keep_their_bits_and_have_no_moments(tmp_path):
    model = toy()
    before = arrays(model)
    finetune(model, epochs_of, dev(), tmp_path / "run", Recipe(1, RATE, freeze=1))
    moved = changed(before, arrays(model))
    assert groups(moved) == {"layer_1", "pooler", "classifier"}
    assert groups(set(before) - moved) == {"embeddings", "layer_0"}
    learned = [name for name in before if name.partition("/")[0] in ("layer_1", "pooler", "classifier")]
    assert len(model.optimizer.variables) == 1 + 2 * len(learned)  # the step; two moments a weight
    assert all(weight.trainable for weight in model.named_weights().values())  # as it was


@pytest.mark.parametrize("freeze, first", [("all", BLOCKS), (1, 1), ("embeddings", 0)], ids=str)
def test_no_gradient_goes_back_below_what_learns(freeze, first):
    model = toy()
    freeze_weights(model, freeze)
    inputs, _ = rows(3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs, training=True) ** 2)
    kernels = [model.encoder.embeddings.token, *(block.widen.kernel for block in model.encoder.blocks)]
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels])
    assert [gradient is not None for gradient in gradients] == [False, *(i >= first for i in range(BLOCKS))]


def test_frozen_features_are_those_of_inference():
    model = toy(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    freeze_weights(model, 1)
    inputs, _ = rows(3)
    _, noisy = model.encoder.encode(inputs, Seed(tf.constant([3, 5])))
    _, still = model.encoder.encode(inputs)
    np.testing.assert_array_equal(noisy[0], still[0])
    assert np.abs(noisy[1] - still[1]).max() > 1e-3


def test_freezing_leaves_something_to_train():
    with pytest.raises(ValueError, match="freeze leaves something to train; 'all'"):
        freeze_weights(toy().encoder, "all")
    with pytest.raises(ValueError, match="freeze is at most the model's 2 blocks; got 3"):
        freeze_weights(toy(), 3)


def test_stages_unfreeze_from_the_top(tmp_path):
    class Seen(keras.callbacks.Callback):
        moved, rates = [], []

        def on_epoch_begin(self, epoch, logs=None):
            self.before = arrays(self.model)

        def on_epoch_end(self, epoch, logs=None):
            self.moved.append(groups(changed(self.before, arrays(self.model))))
            self.rates.append(self.model.optimizer.factors.get("classifier/", 1.0))

    recipe = Recipe(1, 1e-3, stages=(1, 1))
    result = finetune(toy(), epochs_of, dev(), tmp_path / "run", recipe, callbacks=[Seen()])
    head = {"classifier"}
    assert Seen.moved == [head, head | {"pooler", "layer_1"}, head | {"pooler", "layer_1", "layer_0", "embeddings"}]
    assert Seen.rates == [HEAD_TIMES, HEAD_TIMES, 1.0]
    assert result["epochs"] == 3 and result["steps"] == 3 * STEPS


def test_rates_fall_from_the_head_to_the_embeddings():
    assert layer_rates(toy(), 1.0) == {}
    rates = layer_rates(toy(), 0.5, head=3.0)
    assert rates == {"classifier/": 3.0, "layer_1/": 0.5, "layer_0/": 0.25, "embeddings/": 0.125}


def stepped(optimizer):
    random = np.random.default_rng(2)
    names = ("layer_0", "classifier")
    weights = [keras.Variable(random.normal(size=[3, 4]).astype("float32"), name=name) for name in names]
    for name, weight in zip(names, weights, strict=True):
        weight._path = f"{name}/kernel"
    optimizer.build(weights)
    for _ in range(3):
        optimizer.apply([tf.constant(random.normal(size=[3, 4]), tf.float32) for _ in names], weights)
    return [weight.numpy() for weight in weights]


def test_a_factor_is_a_rate_of_its_own_and_none_changes_no_bit():
    plain, half = stepped(adamw(0.1, clip_norm=None)), stepped(adamw(0.05, clip_norm=None))
    mixed = stepped(adamw(0.1, clip_norm=None, factors={"layer_0/": 0.5}))
    np.testing.assert_array_equal(mixed, [half[0], plain[1]])
    np.testing.assert_array_equal(stepped(adamw(0.1, clip_norm=None, factors={})), plain)
    assert not np.array_equal(plain[0], half[0])


def test_low_rank_updates_start_at_nothing_and_merge_into_the_kernels():
    model, (inputs, _) = toy(), rows(7)
    before = np.array(model(inputs))
    add_lora(model, 2, alpha=3.0)
    np.testing.assert_array_equal(model(inputs), before)
    random = np.random.default_rng(8)
    for name, weight in model.named_weights().items():
        if name.endswith("lora_kernel_b"):
            weight.assign(random.normal(size=weight.shape))
    learned = np.array(model(inputs))
    assert np.abs(learned - before).max() > 1e-3
    widen, x = model.encoder.blocks[0].widen, tf.constant(random.normal(size=[5, 6]), tf.float32)
    np.testing.assert_allclose(chains.product(widen, x) + widen.bias, widen(x), atol=1e-6)
    merged = merged_weights(model)
    merge_lora(model)
    np.testing.assert_allclose(model(inputs), learned, atol=1e-6)
    assert list(merged) == list(model.named_weights())
    for name, weight in model.named_weights().items():
        np.testing.assert_array_equal(weight, merged[name])
    assert not has_lora(model) and list(model.named_weights()) == list(toy().named_weights())


def test_low_rank_training_leaves_an_ordinary_model(tmp_path):
    model, rank = toy(), 2
    before = arrays(model)
    finetune(model, epochs_of, dev(), tmp_path / "run", Recipe(1, RATE, lora=rank))
    after = arrays(model)
    moved = changed(before, after)
    kernels = [f"layer_{i}/{k}/kernel" for i in range(BLOCKS) for k in ("attention/query_key_value", "widen", "shrink")]
    kernels += [f"layer_{i}/attention/output/kernel" for i in range(BLOCKS)]
    assert moved == {*kernels, "classifier/kernel", "classifier/bias"}
    for name in kernels:
        assert np.linalg.matrix_rank(after[name] - before[name], tol=1e-5) == rank
    inputs, _ = rows(7)
    again = toy(seed=9)
    for name, weight in again.named_weights().items():
        weight.assign(after[name])
    np.testing.assert_allclose(model.predict_on_batch(inputs), again.predict_on_batch(inputs), atol=1e-6)


CHOICES = {
    "stages and rates": Recipe(1, RATE, stages=(1, 1), layer_decay=0.7),
    "low rank, smoothed": Recipe(3, RATE, lora=2, lora_alpha=4.0, label_smoothing=0.2, patience=3),
    "frozen": Recipe(3, RATE, freeze=1, head_rate=0.1),
}


@pytest.mark.parametrize("at", [(1, 2), (2, 0)], ids=str)  # in an epoch, and before the first step of one
@pytest.mark.parametrize("recipe", CHOICES.values(), ids=CHOICES)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(recipe, at, tmp_path):
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    straight, model = toy(), toy(seed=99)
    expected = finetune(straight, epochs_of, dev(), tmp_path / "straight", recipe, class_weight=weights)
    with pytest.raises(Killed):
        killed = [KillIn(*at)]
        finetune(toy(), epochs_of, dev(), tmp_path / "run", recipe, class_weight=weights, callbacks=killed)
    # LoRA's A is drawn from the seed of the process that begins, and restored in the one that goes on.
    result = finetune(model, epochs_of, dev(), tmp_path / "run", recipe, class_weight=weights, resume=True)
    assert result == expected
    for path in ("last_checkpoint", "best_checkpoint"):
        ours, theirs = (getattr(Run(tmp_path / name), path).read_bytes() for name in ("run", "straight"))
        assert ours == theirs
    assert not changed(arrays(straight), arrays(model))


def test_patience_counts_epochs_without_a_better_figure(tmp_path):
    recipe = Recipe(6, 1e-4, patience=2, min_delta=0.05)
    figures = [0.5, 0.6, 0.64, 0.62, 0.9, 0.9]  # 0.64 is best, and not better by more than 0.05
    result = finetune(toy(), epochs_of, scored(figures), tmp_path / "run", recipe)
    assert (result["epochs"], result["best_epoch"], result["best"]) == (4, 3, {"accuracy": 0.64})
    again = finetune(toy(), epochs_of, scored([]), tmp_path / "run", recipe, resume=True)
    assert again == result


def test_patience_starts_anew_with_the_last_stage(tmp_path):
    recipe = Recipe(4, 1e-4, stages=(2, 0), patience=1)
    figures = [0.9, 0.8, 0.3, 0.4, 0.4]
    result = finetune(toy(), epochs_of, scored(figures), tmp_path / "run", recipe)
    assert (result["epochs"], result["best_epoch"]) == (5, 1)


def test_smoothed_labels_share_their_probability():
    logits, labels = np.random.default_rng(1).normal(size=[2, 5, 3]).astype("float32"), [[0, 1, 2, 2, 1]] * 2
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    targets = 0.7 * np.eye(3)[labels] + 0.3 / 3
    expected = -(targets * np.log(p)).sum(-1)
    np.testing.assert_allclose(SmoothedCrossEntropy(0.3, reduction=None)(labels, logits), expected, atol=1e-5)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.array(labels), logits)
    np.testing.assert_allclose(SmoothedCrossEntropy(0.0)(labels, logits), plain, rtol=1e-6)
    again = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossEntropy(0.3)))
    assert again.smoothing == 0.3


def test_smoothing_is_refused_where_no_class_is_chosen(tmp_path):
    model = toy()
    model.smoothed_loss = super(type(model), model).smoothed_loss
    with pytest.raises(ValueError, match="label_smoothing is for a choice of one class"):
        finetune(model, epochs_of, dev(), tmp_path / "run", Recipe(label_smoothing=0.1))
    assert not (tmp_path / "run").exists()


def test_classes_count_what_they_are_given_for_labels_of_any_shape():
    def batches(_):
        labels = np.array([[0, 2, 1], [1, 1, 0]], "int32")
        return tf.data.Dataset.from_tensors(({"x": labels}, labels, np.array([[1.0, 1.0, 0.0]] * 2, "float32")))

    (_, labels, weights) = next(iter(weigh(batches, {1: 3.0, 2: 0.5}, 3)(range(1))))
    np.testing.assert_array_equal(weights, [[1.0, 0.5, 0.0], [3.0, 3.0, 0.0]])
    plain = weigh(epochs_of, {0: 2.0}, len(LABELS))(range(2))
    assert int(plain.cardinality()) == 2 * -(-ROWS // BATCH)
    for wrong in ({3: 1.0}, {0: -1.0}, {0: np.inf}):
        with pytest.raises(ValueError, match="class_weight"):
            weigh(batches, wrong, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"freeze": "pooler"}, {"freeze": -1}, {"freeze": True}, {"stages": (1,)}, {"stages": (1, -1)}),
        *({"layer_decay": 0.0}, {"layer_decay": 1.5}, {"head_rate": 0.0}, {"lora": 0}, {"lora_alpha": -1.0}),
        *({"label_smoothing": 1.0}, {"patience": 0}, {"min_delta": -0.1}, {"lora": 4, "freeze": "all"}),
    ],
    ids=str,
)
def test_a_recipe_is_checked_at_birth(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=name) as error:
        Recipe(**wrong)
    assert str(value) in str(error.value)
