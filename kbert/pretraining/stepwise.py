"""Callbacks that count steps over resumes and phases: what of a training is written, scored, kept and refused."""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kbert.pretraining.checkpoints import StepCheckpoints
from kbert.replica_figures import figures_kept, figures_of, set_figures
from kbert.waiting import WaitClock
from kbert.watching import TrainingDiverged

Line = dict[str, Any]  # of metrics.jsonl


class Stopped(Exception):
    """A training that was asked to stop and did, after a step and with its checkpoint; the same command goes on."""

    def __init__(self, step: int):
        super().__init__(f"stopped after step {step}, with a checkpoint")
        self.step = step


class EachStep(keras.callbacks.Callback):
    """Calls `after(step, logs)` after each step; steps count from 1 at the start of the training."""

    step = 0

    def on_train_begin(self, logs=None):
        self.step = int(value(self.model.optimizer.iterations))

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.after(self.step, logs or {})

    def after(self, step: int, logs: dict[str, float]) -> None:
        raise NotImplementedError


class StepLines(EachStep):
    """Makes a line every few steps, of the figures since the line before, and starts the figures anew.

    A line has the step, the model's logs, the rate of the step, `seconds` of the steps (with waiting for data, without
    callbacks), `tokens_per_second` (without the first step of a fit, which compiles), `wait_share`, the share of that
    time in which the steps waited for data, and `time` of the clock.

    Args:
        every: steps.
        ends: steps that have a line in any case.
        add: what takes a line.
        carried: of the checkpoint that a resume starts from, as `carry` gave it.
        clock: of the batches, see `kbert.waiting`.
    """

    def __init__(
        self, every: int, ends: Sequence[int], add: Callable[[Line], None], carried: Line | None, clock: WaitClock
    ):
        super().__init__()
        self.every, self.ends, self.add, self.carried = every, set(ends), add, carried or {}
        self.clock = clock
        self.seconds = self.carried.get("seconds", 0.0)

    def carry(self) -> Line:
        """What a resume in the middle of two lines needs for the second one."""
        return {"figures": figures_of(self.model), "seconds": self.seconds}

    def on_epoch_begin(self, epoch, logs=None):
        if "figures" in self.carried:
            set_figures(self.model, self.carried.pop("figures"))  # Keras has just reset them
        self.timed = self.counted = self.waited = 0.0
        self.seen = None  # tokens until the step before; None: there was none in this fit

    def on_train_batch_begin(self, batch, logs=None):
        self.begun, self.waited_before = time.perf_counter(), self.clock.seconds

    def after(self, step, logs):
        spent = time.perf_counter() - self.begun
        self.seconds += spent
        if self.seen is not None:
            self.timed, self.counted = self.timed + spent, self.counted + logs["tokens"] - self.seen
            self.waited += self.clock.seconds - self.waited_before
        self.seen = logs["tokens"]
        if step % self.every and step not in self.ends:
            return
        line = {"step": step, **logs, "learning_rate": self.rate(step)}
        if self.timed:
            line["tokens_per_second"] = round(self.counted / self.timed, 1)
            line["wait_share"] = round(min(1.0, self.waited / self.timed), 4)
        self.add({**line, "seconds": round(self.seconds, 4), "time": round(time.time(), 2)})
        self.model.reset_metrics()
        self.seconds = self.timed = self.counted = self.waited = self.seen = 0.0

    def rate(self, step: int) -> float:
        """The rate that the step was made with."""
        schedule = self.model.optimizer._learning_rate
        return float(value(schedule(step - 1) if callable(schedule) else schedule))


class HeldOut(EachStep):
    """Scores text that is not trained on: a line of `val_loss`, `val_masked_accuracy` and so on every few steps.

    The figures are also in the step's logs, for the callbacks after this one.

    Args:
        batches: a tf.data.Dataset that can be read again.
        every: steps; None for the ends alone.
        ends: steps after which it is done in any case.
        add: what takes a line.
        stop: as in `SaveSteps`; a scoring that is under way is dropped, and done again by the resume.
        done: the last step that has such a line.
    """

    def __init__(self, batches, every: int | None, ends: Sequence[int], add, stop: Callable[[], bool], done: int = 0):
        super().__init__()
        self.batches, self.every, self.ends, self.add = batches, every, set(ends), add
        self.stop, self.done = stop, done

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.after(self.step, {})

    def after(self, step, logs):
        if step <= self.done or not (step in self.ends or (self.every and step % self.every == 0)):
            return
        with figures_kept(self.model), end_expected():
            given = self.model.evaluate(self.batches, verbose=0, return_dict=True, callbacks=[StopScoring(self.stop)])
        if self.model.stop_evaluating:
            return
        if not given:
            raise ValueError("Text that is held out must make at least one row; got none. Hold out a greater share.")
        self.done = step
        figures = {f"val_{name}": given[name] for name in given if name not in ("tokens", "real_share")}
        self.add({"step": step, **figures, "time": round(time.time(), 2)})
        logs.update(figures)


class StopScoring(keras.callbacks.Callback):
    """Ends `evaluate` after a batch where `stop()`."""

    def __init__(self, stop: Callable[[], bool]):
        super().__init__()
        self.stop = stop

    def on_test_batch_end(self, batch, logs=None):
        if self.stop():
            self.model.stop_evaluating = True


class SaveSteps(EachStep):
    """Saves a checkpoint every few steps or minutes, at the end of each fit, and when asked to stop. The last callback.

    Args:
        checkpoints: where.
        every: steps, or None.
        minutes: or None.
        carry: JSON-able, what else a resume needs.
        stop: whether to stop: asked after each step; then `Stopped` is raised, with a checkpoint of that step.
        agree: answers of this worker -> those of all, see `kbert.workers.any_of`.
    """

    def __init__(self, checkpoints: StepCheckpoints, every: int | None, minutes: float | None, carry, stop, agree=list):
        super().__init__()
        self.agree = agree
        self.checkpoints, self.every, self.carry, self.stop = checkpoints, every, carry, stop
        self.seconds = math.inf if minutes is None else 60 * minutes

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.first = self.saved = self.step
        self.saved_at = time.monotonic()

    def after(self, step, logs):
        stop, late = self.agree([self.stop(), time.monotonic() - self.saved_at >= self.seconds])
        due = self.every and step % self.every == 0
        if due or stop or late:
            self.save(step)
        if stop:
            raise Stopped(step)

    def on_train_end(self, logs=None):
        if self.step > self.saved and not self.cut_short():
            self.save(self.step)

    def cut_short(self) -> bool:
        """Whether the data ended too early. Parts of the step that lacked data were done, so nothing is saved then."""
        return self.step - self.first < self.params["steps"] and not self.model.stop_training

    def save(self, step: int) -> None:
        if not all(np.isfinite(value(weight).sum()) for weight in self.model.trainable_variables):
            raise TrainingDiverged(
                f"Weights must stay finite; some are not after step {step}, and {self.checkpoints.told(step - 1)}. "
                "Start anew with a lower learning rate."
            )
        self.checkpoints.save(self.model, {"step": step, **self.carry()})
        self.saved, self.saved_at = step, time.monotonic()


def value(variable) -> np.ndarray:
    """A Keras variable or a tensor as an array."""
    return np.asarray(variable.numpy())  # also of a variable that has a copy on each replica


@contextlib.contextmanager
def end_expected() -> Iterator[None]:
    """Without Keras' warning that data of unknown length has come to its end."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        yield
