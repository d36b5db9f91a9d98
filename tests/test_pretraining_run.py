"""Pre-training on a toy: a resume has the bits of a run never stopped; what is written, refused, named."""

import numpy as np
import pytest
from pretraining_cases import RECIPE, STEPS, KillAt, Killed, data, held_out, timeless, toy

from kbert.pretraining import pretrain
from kbert.runs import Run
from kbert.step_checkpoints import StepCheckpoints


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


# Before any checkpoint, after one and between two lines, at a phase's end; in the second phase.
@pytest.mark.parametrize("kills", [(2, 5, 7), (10,)], ids=str)
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(kills, straight, tmp_path):
    for step in kills:
        with pytest.raises(Killed):
            train(tmp_path, callbacks=[KillAt(step)])
    model = toy(seed=99)  # nothing of the new process's starting point may matter
    result = train(tmp_path, model)
    expected, expected_result, expected_run = straight
    for weight, right in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(weight, right, err_msg=weight.path)
    assert content(Run(tmp_path)) == content(expected_run)
    assert timeless(Run(tmp_path).metrics()) == timeless(expected_run.metrics())
    assert timeless([result]) == timeless([expected_result])
