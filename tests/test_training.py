"""Training on a toy model: what is kept, what a resume repeats, what stops it."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert import checkpoints, training
from kbert.config import BertConfig
from kbert.runs import Run, RunError
from kbert.tasks.classify import Classifier
from kbert.tasks.classify_scores import answers
from kbert.training import Recipe, finetune
from kbert.watching import TrainingDiverged

V, T, C, ROWS, BATCH, EPOCHS = 23, 5, 3, 44, 8, 3
STEPS = -(-ROWS // BATCH)
LABELS = ("low", "middle", "high")


def toy(seed=1, **kwargs):
    config = BertConfig(
        vocab_size=V,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=T + 2,
        **kwargs,
    )
    return Classifier(config, labels=LABELS, seed=seed)


def rows(count=ROWS):
    ids = np.random.default_rng(4).integers(5, V, [count, T]).astype("int32")
    inputs = {"input_word_ids": ids, "input_mask": np.ones_like(ids), "input_type_ids": np.zeros_like(ids)}
    return inputs, (ids[:, 0] % C).astype("int32")


def epoch_of(epoch):
    """Another order every epoch, a function of the epoch alone."""
    inputs, labels = rows()
    order = np.random.default_rng(epoch).permutation(len(labels))
    shuffled = {name: values[order] for name, values in inputs.items()}
    return tf.data.Dataset.from_tensor_slices((shuffled, labels[order])).batch(BATCH)


def epochs_of(epochs):
    datasets = [epoch_of(epoch) for epoch in epochs]
    whole = datasets[0]
    for dataset in datasets[1:]:
        whole = whole.concatenate(dataset)
    return whole


def dev():
    return tf.data.Dataset.from_tensor_slices(rows(13)).batch(7)


RECIPE = Recipe(epochs=EPOCHS, learning_rate=2e-2)


class Killed(Exception):
    pass


class KillIn(keras.callbacks.Callback):
    """Ends the process's work at a step of an epoch, as a signal would."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at, self.epoch = (epoch, step), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise Killed


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    run = tmp_path_factory.mktemp("straight") / "run"
    model = toy()
    return model, finetune(model, epochs_of, dev(), run, RECIPE), Run(run)


def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(straight, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        finetune(toy(), epochs_of, dev(), folder, RECIPE, callbacks=[KillIn(1, 2)])
    model = toy(seed=99)  # nothing of the new process's starting point may matter
    result = finetune(model, epochs_of, dev(), folder, RECIPE, resume=True)

    expected, expected_result, expected_run = straight
    assert result == expected_result
    for path in ("last_checkpoint", "best_checkpoint"):
        assert getattr(Run(folder), path).read_bytes() == getattr(expected_run, path).read_bytes()
    for weight, right in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(weight, right)

    def timeless(run):
        return [{key: value for key, value in line.items() if key != "seconds"} for line in run.metrics()]

    assert timeless(Run(folder)) == timeless(expected_run)


def test_epochs_differ_so_that_resuming_could_go_wrong(straight):
    losses = [line["loss"] for line in straight[2].metrics() if "val_loss" in line]
    assert len(set(losses)) == EPOCHS and losses[-1] < losses[0]


def test_the_model_ends_with_its_best_epoch(straight):
    model, result, run = straight
    epochs = [line for line in run.metrics() if "val_accuracy" in line]
    best = max(line["val_accuracy"] for line in epochs)
    assert result["best"] == {"accuracy": best}
    assert result["best_epoch"] == next(line["epoch"] for line in epochs if line["val_accuracy"] == best)
    labels, logits = answers(model, dev())
    assert np.mean(labels == logits.argmax(-1)) == pytest.approx(best)


def test_metrics_have_a_line_a_step_and_one_an_epoch(straight):
    lines = straight[2].metrics()
    assert [line["step"] for line in lines if "val_loss" not in line] == list(range(1, EPOCHS * STEPS + 1))
    epochs = [line for line in lines if "val_loss" in line]
    assert [line["step"] for line in epochs] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert {"loss", "accuracy", "seconds", "val_accuracy", "val_macro_f1", "val_mcc"} <= set(epochs[0])
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert max(rates) <= RECIPE.learning_rate and rates[-1] < rates[len(rates) // 2]


def test_losses_of_steps_average_to_the_loss_of_the_epoch():
    every, seen = 2, [4.0, 2.0, 1.0, 3.0]
    recorded = []

    class Notebook:
        add_metrics = staticmethod(recorded.append)

    from kbert.watching import MetricsFile

    callback = MetricsFile(Notebook(), every)
    callback.rate = lambda: 0.5
    callback.on_epoch_begin(0)
    for step in range(len(seen)):
        callback.on_train_batch_end(step, {"loss": float(np.mean(seen[: step + 1]))})
    assert [line["loss"] for line in recorded] == pytest.approx([3.0, 2.0])


def test_tensorboard_has_its_events(straight):
    assert list(straight[2].logs.rglob("events.out.tfevents.*"))


def test_nothing_unfinished_is_left(straight):
    assert not list(straight[2].folder.rglob(".*"))


def test_a_finished_run_resumed_is_not_trained_again(straight, tmp_path):
    import shutil

    shutil.copytree(straight[2].folder, tmp_path / "run")
    model = toy(seed=5)
    assert finetune(model, epochs_of, dev(), tmp_path / "run", RECIPE, resume=True) == straight[1]
    assert Run(tmp_path / "run").metrics() == straight[2].metrics()


def test_a_resume_before_the_first_epoch_is_done_starts_again(straight, tmp_path):
    with pytest.raises(Killed):
        finetune(toy(), epochs_of, dev(), tmp_path / "run", RECIPE, callbacks=[KillIn(0, 3)])
    assert Run(tmp_path / "run").metrics()
    assert finetune(toy(), epochs_of, dev(), tmp_path / "run", RECIPE, resume=True) == straight[1]
    steps = [line["step"] for line in Run(tmp_path / "run").metrics() if "val_loss" not in line]
    assert steps == list(range(1, EPOCHS * STEPS + 1))


def test_a_plain_dataset_trains_too(tmp_path):
    result = finetune(toy(), epoch_of(0).filter(lambda *_: True), dev(), tmp_path / "run", Recipe(epochs=2))
    assert result["steps"] == 2 * STEPS


def test_any_callback_of_keras_works_and_sees_our_figures(tmp_path):
    stop = keras.callbacks.EarlyStopping("val_macro_f1", mode="max", patience=0, min_delta=2.0)
    result = finetune(toy(), epochs_of, dev(), tmp_path / "run", RECIPE, callbacks=[stop])
    assert result["epochs"] == 2


def test_class_weights_change_what_is_learned(tmp_path, straight):
    model = toy()
    finetune(model, epochs_of, dev(), tmp_path / "run", RECIPE, class_weight={0: 1.0, 1: 1e-9, 2: 1e-9})
    assert (answers(model, dev())[1].argmax(-1) == 0).all()
    assert (answers(straight[0], dev())[1].argmax(-1) != 0).any()


def test_a_loss_that_is_no_number_stops_with_its_step(tmp_path):
    model = toy()

    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 3:
                model.classifier.kernel.assign(np.full([6, C], np.nan))

    with pytest.raises(TrainingDiverged, match="nan at step 4.*Lower the learning rate"):
        finetune(model, epochs_of, dev(), tmp_path / "run", RECIPE, callbacks=[Poison()])


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds files.*--resume or --overwrite"):
        finetune(toy(), epochs_of, dev(), tmp_path, RECIPE)


def test_only_a_run_is_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no task.json"):
        Run.start(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "task.json").write_text("{}")
    run = Run.start(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").exists()  # until it is known that the new run can begin
    run.begin({"task": "classify"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "task.json"]  # not a run's: not ours


def test_a_resume_with_other_settings_names_what_differs(tmp_path):
    run = Run.start(tmp_path / "run")
    run.write_task({"task": "classify", "labels": ["a", "b"], "settings": {"epochs": 3, "seed": 0}})
    run.check_same({"task": "classify", "labels": ["a", "b"], "settings": {"epochs": 3, "seed": 0}})
    with pytest.raises(RunError, match="seed was 0 and is 7") as error:
        run.check_same({"task": "classify", "labels": ["a", "b"], "settings": {"epochs": 3, "seed": 7}})
    assert "epochs" not in str(error.value)


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    run = Run(tmp_path)
    run.add_metrics({"epoch": 1, "step": 4})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "st')
    assert run.metrics() == [{"epoch": 1, "step": 4}]
    run.forget_metrics_after(0)
    assert run.metrics() == []


def test_a_checkpoint_of_another_model_is_refused(straight):
    other = Classifier(toy().config, labels=LABELS[:2])
    with pytest.raises(ValueError, match="fits the model that wrote it.*classifier/kernel"):
        checkpoints.restore(straight[2].best_checkpoint, other, with_optimizer=False)


def test_whoever_may_read_the_folder_may_read_the_checkpoint(straight):
    path = straight[2].last_checkpoint
    assert path.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o666


def test_checkpoints_are_whole_or_absent(straight, tmp_path, monkeypatch):
    import safetensors.numpy

    def dies(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.numpy, "save_file", dies)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(tmp_path / "last.safetensors", straight[0], {}, with_optimizer=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"learning_rate": 0.0}, {"warmup": 1.0}, {"weight_decay": -1.0}], ids=str
)
def test_a_recipe_is_checked_at_birth(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is.*got {value}"):
        Recipe(**wrong)


@pytest.mark.parametrize(
    "dataset, told",
    [
        (lambda: epoch_of(0).repeat(), "an epoch has an end"),
        (lambda: epoch_of(0).take(0), "at least one batch"),
    ],
    ids=["endless", "empty"],
)
def test_an_epoch_without_end_or_batch_is_refused(dataset, told):
    with pytest.raises(ValueError, match=f"(?i){told}"):
        training.length(dataset())


def test_task_json_survives_other_alphabets(tmp_path):
    run = Run(tmp_path)
    run.write_task({"labels": ["好", "não"]})
    assert run.task == {"labels": ["好", "não"]} and "好" in (tmp_path / "task.json").read_text("utf-8")
    assert json.loads((tmp_path / "task.json").read_text("utf-8")) == run.task


def test_the_best_epoch_is_told_by_a_figure_that_the_model_has():
    assert Recipe().figure(toy()) == "accuracy" and Recipe(best="mcc").figure(toy()) == "mcc"
    with pytest.raises(ValueError, match="best is accuracy or macro_f1 or mcc for classify; got f1"):
        Recipe(best="f1").figure(toy())
