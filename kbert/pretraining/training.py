"""Pre-training: `model.fit` over phases of batches, with a run directory from which a killed run goes on, bit for bit.

pretrain() compiles, fits with the callbacks of `stepwise`, and leaves the last step's weights in the model.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kbert.pretraining.checkpoints import StepCheckpoints
from kbert.pretraining.divergence import StopOnDivergence
from kbert.pretraining.recipe import Phase, PretrainingRecipe
from kbert.pretraining.stepwise import HeldOut, SaveSteps, StepLines, end_expected, value
from kbert.replica_batches import worker_of
from kbert.runs import Run
from kbert.tensorboard import Scalars
from kbert.waiting import WaitClock
from kbert.workers import agree_on_start, any_of, lost_in_a_line

__all__ = ["DataStopped", "Phase", "PretrainingRecipe", "pretrain"]


class DataStopped(ValueError):
    """The batches ended, or could not be read, before the training was done."""


def pretrain(
    model: keras.Model,
    data: Callable | Sequence[Callable],
    run: Run | str,
    recipe: PretrainingRecipe,
    *,
    held_out: Sequence = (),
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Pre-trains a model.

    Args:
        model: a `kbert.Pretrainer`, not yet compiled.
        data: for each phase a function `after` -> endless tf.data.Dataset of batches, e.g. of `pipelines.pretraining`;
            `after` is None, or the place (epoch, window, row) of the last row that was trained on.
        run: folder for checkpoints/, logs/ and metrics.jsonl, new or empty; or a `Run`, used as it is.
        recipe: phases, rates, what is written when.
        held_out: for each phase a tf.data.Dataset of batches to score, or nothing.
        resume: go on after the newest checkpoint that is whole, or start where there is none; the bits are those of a
            run that was never stopped.
        callbacks: any of Keras'.
        stop: asked after each step; where True, a checkpoint is saved and `Stopped` raised.

    Returns:
        {"steps", figures of the last line of training, `val_...` of the last scoring, "tokens_per_second",
        "wait_share", "tokens", "seconds"}, the last four of all steps; `wait_share` is the share of the time of steps,
        but for those that compiled, in which they waited for data, None where there was no other step.

    Raises:
        TrainingDiverged: the loss is no longer finite, or leapt; names the step and the last good checkpoint.
        WorkerLost: another worker of the strategy went away.
        DataStopped: the data ended or could not be read; names what and the last checkpoint.
        Stopped: as `stop` asked.
        OSError: a file that cannot be written, by name; an earlier checkpoint stays good.
        RunError: the folder is in use, and `resume` is False.
    """
    run = run if isinstance(run, Run) else Run.start(run) if not resume else Run(run)
    datas = [data] if callable(data) else list(data)
    check(model, datas, recipe, held_out)
    model.compile(recipe.make_optimizer(), accumulate=recipe.accumulate)
    model.optimizer.build(model.trainable_variables)
    checkpoints = StepCheckpoints(run, recipe.keep)
    state = (checkpoints.restore(model) if resume else None) or {"step": 0}
    agree_on_start(model, state["step"])
    run.forget_metrics_after(state["step"], by="step")
    ends = list(itertools.accumulate(phase.steps for phase in recipe.phases))
    board = Scalars(run.logs, run.metrics())

    def add(line):
        run.add_metrics(line)
        board.add(line)

    def add_trained(line):
        add(line)
        guard.check(line)

    guard = StopOnDivergence(checkpoints, recipe.spike, run.metrics(), int(recipe.warmup * recipe.steps))
    clock = WaitClock()
    lines = StepLines(recipe.log_steps, ends, add_trained, state, clock)
    agree = any_of(model.distribute_strategy)
    save = SaveSteps(checkpoints, recipe.checkpoint_steps, recipe.checkpoint_minutes, lines.carry, stop, agree)
    step = state["step"]
    try:
        for number, (phase, end, batches) in enumerate(zip(recipe.phases, ends, datas, strict=True)):
            scoring = (
                [HeldOut(held_out[number], recipe.evaluate_steps, ends, add, lambda: agree([stop()])[0], scored(run))]
                if held_out
                else []
            )
            if step < end:
                given = clock.measured(batches(None if step == end - phase.steps else own_place(model)))
                step = fit(model, given, end - step, [guard, lines, *scoring, *callbacks], save)
            if step < end:  # a callback of the user's stopped it
                break
            for callback in scoring:  # where a resume had no step to make
                callback.set_model(model)
                callback.after(end, {})
    finally:
        board.close()
    return summary(step, run.metrics())


def own_place(model) -> tuple[int, int, int]:
    """The place after which this worker reads on."""
    places = value(model.place).reshape(-1, 3)  # one for all, or one of each worker
    return tuple(places[worker_of(model.distribute_strategy) if len(places) > 1 else 0].tolist())


def fit(model, batches, steps: int, callbacks: Sequence, save: SaveSteps) -> int:
    """Makes steps of one phase, and returns the number of the last one.

    Raises:
        DataStopped: an error of TensorFlow's, told in a line, or batches that end.
    """
    model.make_train_function(force=True)  # one function for two lengths would know neither
    model.make_test_function(force=True)
    try:
        with end_expected(), lost_in_a_line(model.distribute_strategy):
            model.fit(batches, steps_per_epoch=steps, callbacks=[*callbacks, save], shuffle=False, verbose=0)
    except Exception as error:
        if not type(error).__module__.startswith("tensorflow"):
            raise
        raise DataStopped(
            f"The training stopped in step {save.step + 1}: {cause(error)}; {save.checkpoints.told()}. "
            "When that is mended, the same command goes on."
        ) from error
    if save.cut_short():
        raise DataStopped(
            f"Batches must not end before the training; they did after step {save.step}, "
            f"and {save.checkpoints.told()}. Give batches that repeat."
        )
    return save.step


def check(model, datas: Sequence, recipe: PretrainingRecipe, held_out: Sequence) -> None:
    """Holds what is given for the phases to one another.

    Raises:
        ValueError: not one of each for each phase, or a phase that is longer than the model's positions.
    """
    count = len(recipe.phases)
    if len(datas) != count or held_out and len(held_out) != count:
        raise ValueError(
            f"data, and held_out where there is any, are one for each phase, {count}; "
            f"got {len(datas)} and {len(held_out)}."
        )
    replicas = model.distribute_strategy.num_replicas_in_sync
    uneven = [phase.batch_size for phase in recipe.phases if phase.batch_size % (replicas * recipe.accumulate)]
    if recipe.accumulate > 1 and uneven:
        raise ValueError(
            f"batch_size is a multiple of {replicas * recipe.accumulate}, replicas times accumulate; got {uneven[0]}. "
            "Change one of them."
        )
    most, limit = max(phase.max_length for phase in recipe.phases), model.config.max_position_embeddings
    if most > limit:
        raise ValueError(f"max_length is at most {limit} for this model; got {most}. Lower it.")


def cause(error: Exception) -> str:
    """What a Python function within tf.data raised, or an assertion says, in a line; else TensorFlow's first line.

    >>> cause(ValueError("{{function_node f}} Unreadable: no a.txt.\\nTraceback (most recent call last):\\n\\n..."))
    'no a.txt'
    """
    told = str(error)
    raised = re.search(r"\b[A-Z]\w+: (.*?)\s*\nTraceback \(most recent", told, re.DOTALL)
    refused = re.search(r"assertion failed: \[(.*?)\]", told, re.DOTALL)
    found = raised or refused
    return " ".join((found[1] if found else (told.splitlines() or [type(error).__name__])[0]).split()).rstrip(".")


def scored(run: Run) -> int:
    """The last step of which a run has a scoring of held-out text."""
    return max((line["step"] for line in run.metrics() if "val_loss" in line), default=0)


def summary(step: int, lines: Sequence[dict]) -> dict[str, Any]:
    """What `pretrain` returns, from the lines of metrics.jsonl."""
    trained = [line for line in lines if "val_loss" not in line]
    held_out = [line for line in lines if "val_loss" in line]
    seconds = sum(line["seconds"] for line in trained)
    tokens = sum(line["tokens"] for line in trained)
    timed = [line for line in trained if "tokens_per_second" in line]  # the others compiled, and did no more
    times = [line["tokens"] / max(line["tokens_per_second"], 1e-9) for line in timed]
    busy, waited = sum(times), sum(line.get("wait_share", 0.0) * time for line, time in zip(timed, times, strict=True))
    last = {**(trained[-1] if trained else {}), **(held_out[-1] if held_out else {})}
    left_out = ("step", "time", "seconds", "tokens", "learning_rate")
    figures = {name: value for name, value in last.items() if name not in left_out}
    rate = round(sum(line["tokens"] for line in timed) / busy if busy else tokens / max(seconds, 1e-9), 1)
    rates = {"tokens_per_second": rate, "wait_share": round(waited / busy, 4) if busy else None}
    return {"steps": step, **figures, **rates, "tokens": int(tokens), "seconds": round(seconds, 3)}
