"""Checkpoints by step: whole or absent, the newest whole one is restored, what is damaged is known and passed over."""

import resource

import numpy as np
import pytest
from pretraining_cases import RECIPE, toy

from kbert import checkpoints
from kbert.pretraining.checkpoints import StepCheckpoints
from kbert.pretraining.stepwise import SaveSteps
from kbert.runs import Run, RunError
from kbert.tensorboard import Scalars
from kbert.watching import TrainingDiverged


def ready(seed=1):
    model = toy(seed=seed)
    model.compile(RECIPE.make_optimizer())
    model.optimizer.build(model.trainable_variables)
    return model


def weight(model):
    return model.named_weights()["masked_tokens/bias"]


@pytest.fixture(scope="module")
def model():
    return ready()


def fill(run, model, steps, keep=9):
    """A checkpoint of each step, whose weights say which."""
    kept = StepCheckpoints(run, keep)
    for step in steps:
        weight(model).assign(np.full(weight(model).shape, step))
        kept.save(model, {"step": step, "seconds": 0.25})
    return kept


def test_the_newest_is_restored_with_its_state(tmp_path, model):
    kept = fill(Run(tmp_path), model, (300, 1000))
    assert [path.name for path in sorted(Run(tmp_path).checkpoints.iterdir())] == [
        "step-00000300.safetensors",
        "step-00001000.safetensors",
    ]
    other = ready(seed=2)
    assert kept.restore(other) == {"step": 1000, "seconds": 0.25}
    assert (np.asarray(weight(other).value) == 1000).all()
    for new, old in zip(
        [*other.variables, *other.optimizer.variables], [*model.variables, *model.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(new.value, old.value)


def test_the_last_few_stay_and_those_after_a_resume_go(tmp_path, model):
    kept = fill(Run(tmp_path), model, (3, 5, 8, 13), keep=2)
    assert kept.steps() == [8, 13]
    kept.save(model, {"step": 9})  # 13 was passed over
    assert kept.steps() == [8, 9]


def cut(content):
    return content[: len(content) - 7]


def turned(content):
    return content[:-30] + bytes([content[-30] ^ 1]) + content[-29:]


def renamed(content):
    return content.replace(rb"step\": 8", rb"step\": 9")


DAMAGES = {"cut": cut, "one bit": turned, "state": renamed, "empty": lambda content: b"", "head": lambda c: c[:40]}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_passed_over_with_a_warning(damage, tmp_path, model):
    kept = fill(Run(tmp_path), model, (3, 8))
    whole = kept.path(8).read_bytes()
    assert damage(whole) != whole
    kept.path(8).write_bytes(damage(whole))
    with pytest.warns(
        UserWarning, match="step-00000008.safetensors is damaged and passed over for that of step 3"
    ) as told:
        assert kept.restore(model)["step"] == 3
    assert len(told) == 1 and (np.asarray(weight(model).value) == 3).all()


def test_where_all_are_damaged_the_model_is_as_it_was(tmp_path):
    model = ready()
    kept = fill(Run(tmp_path), model, (3,))
    kept.path(3).write_bytes(turned(kept.path(3).read_bytes()))
    weight(model).assign(np.full(weight(model).shape, 7))
    with pytest.warns(UserWarning, match="passed over for the start"):
        assert kept.restore(model) is None
    assert (np.asarray(weight(model).value) == 7).all()


def test_none_is_none(tmp_path, model):
    assert StepCheckpoints(Run(tmp_path)).restore(model) is None
    assert StepCheckpoints(Run(tmp_path)).told() == "there is no checkpoint yet"


def test_one_of_another_model_is_refused(tmp_path, model):
    kept = fill(Run(tmp_path), model, (3,))
    other = toy(type_vocab_size=3)
    other.compile(RECIPE.make_optimizer())
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(ValueError, match="fits the model that wrote it; .*embeddings/segment"):
        kept.restore(other)


def test_no_room_leaves_the_one_before_and_nothing_half_written(tmp_path, model):
    kept = fill(Run(tmp_path), model, (3,))
    before = kept.path(3).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))  # the system refuses the rest
    try:
        with pytest.raises(OSError) as error:
            kept.save(model, {"step": 8})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(kept.path(8))
    assert error.value.strerror == (
        f"File too large, so step 8 has no checkpoint; the last checkpoint is {kept.path(3)}"
    )
    assert [path.name for path in Run(tmp_path).checkpoints.iterdir()] == [kept.path(3).name]
    assert kept.path(3).read_bytes() == before and kept.restore(model)["step"] == 3


def test_a_full_disk_at_the_last_moment_is_named_too(tmp_path, model, monkeypatch):
    kept = fill(Run(tmp_path), model, (3,))

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device, so step 8 has no checkpoint.*step-00000003"):
        kept.save(model, {"step": 8})
    assert kept.steps() == [3] and not list(Run(tmp_path).checkpoints.glob(".*"))


def test_a_copy_of_a_run_gets_no_checkpoints(tmp_path, model):
    assert fill(Run(tmp_path, is_copy=True), model, (3,)).steps() == []


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    model = ready()
    kept = fill(Run(tmp_path), model, (3,))
    save = SaveSteps(kept, 4, None, dict, lambda: False)
    save.set_model(model)
    save.on_train_begin()
    save.after(4, {})
    weight(model).assign(np.full(weight(model).shape, np.nan))
    with pytest.raises(TrainingDiverged, match="not after step 8, and the last checkpoint is .*step-00000004"):
        save.after(8, {})
    assert kept.steps() == [3, 4]


def test_checkpoints_come_by_the_clock(tmp_path, model, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    weight(model).assign(np.zeros(weight(model).shape))
    save = SaveSteps(StepCheckpoints(Run(tmp_path), 9), None, 1.5, dict, lambda: False)
    save.set_model(model)
    save.on_train_begin()
    for step in range(1, 8):
        clock[0] += 40.0
        save.after(step, {})
    assert StepCheckpoints(Run(tmp_path)).steps() == [3, 6]


def test_one_process_at_a_time_and_what_killed_ones_left_goes(tmp_path):
    run = Run(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    (run.checkpoints / ".step-00000008.safetensors.4242").write_bytes(b"half")
    (run.folder / ".preset.a_b1c2d3").mkdir()
    (run.folder / ".mine").write_text("kept")
    with run.locked():
        assert sorted(path.name for path in run.folder.rglob("*")) == [".mine", "checkpoints"]
        with pytest.raises(RunError, match="One process at a time"), Run(tmp_path / "run").locked():
            pass
    with run.locked():
        pass


def test_tensorboard_has_each_line_once_however_often_it_starts(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines = [
        {"step": 3, "loss": 2.5, "tokens": 9.0, "time": 100.0},
        {"step": 5, "val_loss": 2.25, "time": 101.0},
        {"step": 6, "loss": 2.0, "tokens": 9.0, "time": 102.0},
    ]
    first = Scalars(tmp_path, [])
    for line in [*lines, {"step": 9, "loss": 1.5, "time": 103.0}]:
        first.add(line)  # not closed: as if killed
    second = Scalars(tmp_path, lines)  # resumed after step 6
    second.add({"step": 9, "loss": 1.25, "time": 113.0})
    second.close()
    seen = {}
    for part in ("train", "held_out"):
        events = EventAccumulator(str(tmp_path / part)).Reload()
        seen[part] = {
            tag: [(e.step, e.value, e.wall_time) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
        }
    assert seen["train"] == {"loss": [(3, 2.5, 100.0), (6, 2.0, 102.0), (9, 1.25, 113.0)]}
    assert seen["held_out"] == {"loss": [(5, 2.25, 101.0)]}


def test_a_checkpoint_of_finetuning_has_its_digest_too(tmp_path, model):
    path = tmp_path / "last.safetensors"
    checkpoints.save(path, model, {"epoch": 1}, with_optimizer=True)
    path.write_bytes(turned(path.read_bytes()))
    with pytest.raises(checkpoints.DamagedCheckpoint, match="last.safetensors is damaged.*--overwrite"):
        checkpoints.restore(path, model, with_optimizer=True)
