"""Pre-training on a toy: a resume has the bits of a run never stopped; what is written, refused, named."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pretraining_cases import (
    LENGTHS,
    PHASES,
    RECIPE,
    STEPS,
    WHEN,
    KillAt,
    Killed,
    data,
    dataset,
    held_out,
    timeless,
    toy,
)

from kbert.lamb import Lamb
from kbert.optimizer import AdamW
from kbert.pretraining.checkpoints import StepCheckpoints
from kbert.pretraining.divergence import SPIKE_LEAST, StopOnDivergence
from kbert.pretraining.stepwise import Stopped
from kbert.pretraining.training import DataStopped, Phase, PretrainingRecipe, pretrain
from kbert.runs import Run, RunError
from kbert.watching import TrainingDiverged

SHORT = PretrainingRecipe((Phase(LENGTHS[0], 4, 6),), learning_rate=2e-2, **{**WHEN, "checkpoint_steps": 2})


def train(folder, model=None, recipe=RECIPE, **more):
    run = Run(folder)
    more = {"held_out": held_out(recipe.phases), "resume": True, **more}
    return pretrain(model or toy(), more.pop("data", None) or data(recipe.phases), run, recipe, **more)


def content(run, step=STEPS):
    return StepCheckpoints(run).path(step).read_bytes()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("straight") / "run")
    model = toy()
    return model, train(run.folder, model, resume=False), run


def test_however_often_it_was_killed_a_run_ends_with_the_bits_of_one_that_was_not(straight, tmp_path):
    """Before any checkpoint; at a signal in a scoring, which is dropped and due again; between two lengths; between
    two lines of the second one."""
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[KillAt(2)])
    model = toy()
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, model, stop=lambda: int(model.optimizer.iterations.value) == 5)
    assert stopped.value.step == 5 and StepCheckpoints(Run(tmp_path)).steps() == [4, 5]
    assert not [line for line in Run(tmp_path).metrics() if "val_loss" in line]
    for step in (7, 10):
        with pytest.raises(Killed):
            train(tmp_path, toy(seed=90 + step), callbacks=[KillAt(step)])
    model = toy(seed=99)  # nothing of the new process's starting point may matter
    result = train(tmp_path, model)
    expected, expected_result, expected_run = straight
    for weight, right in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(weight.value, right.value, err_msg=weight.path)
    assert content(Run(tmp_path)) == content(expected_run)
    assert timeless(Run(tmp_path).metrics()) == timeless(expected_run.metrics())
    assert timeless([result]) == timeless([expected_result])


def test_lines_and_scorings_come_at_their_steps_and_at_the_end_of_each_length(straight):
    _, result, run = straight
    lines = run.metrics()
    trained = [line for line in lines if "loss" in line]
    assert [line["step"] for line in trained] == [3, 6, 7, 9, 12]
    assert [line["step"] for line in lines if "val_loss" in line] == [5, 7, 10, 12]
    assert result["steps"] == STEPS and result["loss"] == trained[-1]["loss"]
    assert result["val_masked_accuracy"] == lines[-1]["val_masked_accuracy"]
    wanted = {"loss", "masked_loss", "masked_accuracy", "perplexity", "next_sentence_accuracy", "learning_rate"}
    for line in trained:
        assert wanted | {"real_share", "tokens", "seconds", "time"} <= set(line)
        assert line["perplexity"] == pytest.approx(np.exp(line["masked_loss"]), rel=1e-5)
    rates = {line["step"]: line["learning_rate"] for line in trained}
    shares = {3: 1.0} | {step: (STEPS - step + 1) / 9 for step in (6, 7, 9, 12)}
    assert rates == {step: pytest.approx(2e-2 * share) for step, share in shares.items()}


def test_tokens_are_the_real_ones_of_each_line(straight):
    batches = iter(dataset(LENGTHS[0], 4))
    real = [int(np.sum(next(batches)[0]["input_mask"])) for _ in range(7)]
    told = [line["tokens"] for line in straight[2].metrics() if "tokens" in line]
    assert told[:3] == [sum(real[:3]), sum(real[3:6]), real[6]]


def test_only_the_last_checkpoints_stay(straight):
    assert StepCheckpoints(straight[2]).steps() == [8, STEPS]
    assert not list(straight[2].folder.rglob(".*"))


def test_a_finished_run_resumed_makes_no_step(straight, tmp_path):
    import shutil

    shutil.copytree(straight[2].folder, tmp_path / "run")
    model = toy(seed=5)
    assert train(tmp_path / "run", model) == straight[1]
    np.testing.assert_array_equal(model.place.value, straight[0].place.value)


def test_a_loss_that_is_no_number_names_its_step_and_the_checkpoint_before(tmp_path):
    model = toy()

    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 4:
                model.masked_tokens.bias.assign(np.full(23, np.inf))

    with pytest.raises(TrainingDiverged, match="it is nan at step 5, and the last checkpoint is .*step-00000004"):
        train(tmp_path, model, SHORT, callbacks=[Poison()], held_out=())
    assert StepCheckpoints(Run(tmp_path)).steps() == [2, 4]


def check_losses(folder, losses, spike=2.0, before=(), warmup=0):
    guard = StopOnDivergence(StepCheckpoints(Run(folder)), spike, before, warmup)
    for step, loss in enumerate(losses, start=SPIKE_LEAST * bool(before) + 1):
        guard.check({"step": step, "loss": loss})


def test_a_leap_of_the_loss_names_its_step_and_the_checkpoint_before(tmp_path):
    for step in (9, 12):
        path = StepCheckpoints(Run(tmp_path)).path(step)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    losses = [3.0] * SPIKE_LEAST
    told = "it is 6.01 at step 11 after a median of 3, and the last checkpoint is .*step-00000009"
    with pytest.raises(TrainingDiverged, match=told):
        check_losses(tmp_path, [*losses, 6.01])
    before = [{"step": step + 1, "loss": loss} for step, loss in enumerate(losses)]
    with pytest.raises(TrainingDiverged, match=told):  # of a run that was resumed in between
        check_losses(tmp_path, [6.01], before=[*before, {"step": 10, "val_loss": 1.0}])


@pytest.mark.parametrize(
    "losses, more",
    [
        ([3.0] * SPIKE_LEAST + [5.99], {}),
        ([3.0] * (SPIKE_LEAST - 1) + [99.0], {}),  # too few to know
        ([0.02] * SPIKE_LEAST + [1.01], {}),  # a multiple of next to nothing
        ([3.0] * SPIKE_LEAST + [99.0], {"spike": None}),
        ([0.1] * SPIKE_LEAST + [9.0] * 3, {"warmup": SPIKE_LEAST}),
        ([10.0 / (1 + 0.3 * line) + line % 2 for line in range(200)], {}),  # it falls, and trembles
    ],
    ids=["below", "few", "near 0", "off", "warm-up", "falls"],
)
def test_a_healthy_loss_never_leaps(losses, more, tmp_path):
    check_losses(tmp_path, losses, **more)


def test_data_that_cannot_be_read_is_named_with_the_last_checkpoint(tmp_path):
    def breaking(after):
        def rows():
            for number, batch in enumerate(dataset(LENGTHS[0], 4)):
                if number == 5:
                    raise OSError(5, "Input/output error", "shard-00003.txt")
                yield batch

        return tf.data.Dataset.from_generator(rows, output_signature=dataset(LENGTHS[0], 4).element_spec)

    told = (
        r"stopped in step 6: \[Errno 5\] Input/output error: 'shard-00003.txt'; the last checkpoint is .*step-00000004"
    )
    with pytest.raises(DataStopped, match=told):
        train(tmp_path, None, SHORT, data=[breaking], held_out=())
    ends = [lambda after: dataset(LENGTHS[0], 4, after).take(1)]
    with pytest.raises(DataStopped, match="must not end before the training; they did after step 5"):
        train(tmp_path, None, SHORT, data=ends, held_out=())


def test_one_function_is_one_phase_and_a_new_run_needs_a_new_folder(tmp_path):
    class Enough(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    result = pretrain(toy(), data(SHORT.phases)[0], tmp_path / "run", SHORT, callbacks=[Enough()])
    assert result["steps"] == 3 and StepCheckpoints(Run(tmp_path / "run")).steps() == [2, 3]
    with pytest.raises(RunError, match="holds files"):
        pretrain(toy(), data(SHORT.phases)[0], tmp_path / "run", SHORT)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"data": data()[:1]}, "one for each phase, 2; got 1 and 2"),
        ({"held_out": held_out()[:1]}, "one for each phase, 2; got 2 and 1"),
        (
            {"recipe": PretrainingRecipe((PHASES[0], Phase(14, 2, 3)))},
            "max_length is at most 13 for this model; got 14",
        ),
    ],
    ids=["data", "held out", "length"],
)
def test_phases_are_checked_before_anything_is_written(given, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        train(tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


WRONG = {
    "phases": ((), "one Phase or more"),
    "optimizer": ("sgd", "adamw, lamb; got 'sgd'"),
    "learning_rate": (0.0, "above 0; got 0.0"),
    "checkpoint_minutes": (-1.0, "above 0"),
    "clip_norm": (0.0, "above 0"),
    "accumulate": (3, "divides the batch size; got 3 and 4"),
    "keep": (0, "1 or more; got 0"),
    "log_steps": (0, "1 or more; got 0"),
    "weight_decay": (-0.1, "0 or more"),
    "power": (-1, "0 or more"),
    "warmup": (1.0, "from 0 to below 1; got 1.0"),
    "spike": (1.0, "above 1, or None; got 1.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_recipe_is_checked_at_birth(name):
    value, told = WRONG[name]
    with pytest.raises(ValueError, match=f"{name} .*{told}"):
        PretrainingRecipe(**{"phases": PHASES, name: value})


def test_the_rate_follows_the_optimizer_unless_it_is_given():
    recipe = PretrainingRecipe((Phase(8, 128, 70), Phase(16, 32, 30)), optimizer="lamb", power=2.0, warmup=0.1)
    assert recipe.steps == 100 and recipe.rate == pytest.approx(5e-3 / 16)
    made = recipe.make_optimizer()
    assert isinstance(made, Lamb)
    assert made._learning_rate.get_config() == {
        "learning_rate": recipe.rate,
        "total_steps": 100,
        "warmup_steps": 10,
        "power": 2.0,
    }
    assert isinstance(PretrainingRecipe(PHASES).make_optimizer(), AdamW) and PretrainingRecipe(PHASES).rate == 1e-4
