"""Callbacks of our training: what is scored, written down, kept and refused while `model.fit` runs."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kbert import checkpoints
from kbert.runs import Run
from kbert.workers import as_first


class TrainingDiverged(ValueError):
    """The loss is no longer a number."""


class StopOnNaN(keras.callbacks.Callback):
    """Raises `TrainingDiverged` at the first step whose loss is NaN or infinite.

    Args:
        steps_before: steps of the epochs that were done before this fit.
    """

    def __init__(self, steps_before: int = 0):
        super().__init__()
        self.step = steps_before

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"The loss must stay finite; it is {loss} at step {self.step}. "
                "Lower the learning rate, or use float32 where the run is in a shorter type."
            )


class DevScores(keras.callbacks.Callback):
    """Scores the dev set after every epoch and puts the figures in the epoch's logs, for all callbacks after this one.

    Adds `val_NAME` for every figure that is a number. Of several workers the first one's count for all: they decide
    which epoch is kept, and whether another follows.

    Args:
        score: model -> figures, and details that are no numbers.
    """

    def __init__(self, score: Callable[[keras.Model], Mapping[str, Any]]):
        super().__init__()
        self.score = score

    def on_epoch_end(self, epoch, logs=None):
        figures = {name: value for name, value in self.score(self.model).items() if isinstance(value, float)}
        figures = as_first(self.model.distribute_strategy, figures)
        logs.update({f"val_{name}": value for name, value in figures.items()})


class MetricsFile(keras.callbacks.Callback):
    """Writes metrics.jsonl: a line every `every` steps, and one an epoch.

    A step's line has the mean loss of the steps since the line before; an epoch's has the epoch's means, the figures
    of the dev set, and its seconds.

    Args:
        run: whose file.
        every: steps.
        steps_before: steps of the epochs that were done before this fit.
    """

    def __init__(self, run: Run, every: int, steps_before: int = 0):
        super().__init__()
        self.run, self.every, self.step = run, every, steps_before

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.begin = epoch + 1, time.perf_counter()
        self.done, self.lost = 0, 0.0  # steps of this epoch that have a line, and their losses' sum

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.every:
            return
        total = logs["loss"] * (batch + 1)  # Keras gives the mean of the epoch so far
        loss, self.done, self.lost = (total - self.lost) / (batch + 1 - self.done), batch + 1, total
        self.run.add_metrics({"epoch": self.epoch, "step": self.step, "loss": loss, "learning_rate": self.rate()})

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.begin, 3)
        self.run.add_metrics({"epoch": epoch + 1, "step": self.step, "seconds": seconds, **(logs or {})})

    def rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class Checkpoints(keras.callbacks.Callback):
    """Keeps the last epoch, to resume from, and the best one.

    The best is written before the last: a kill between the two repeats one epoch, and gives the same bits.

    Args:
        run: where.
        state: {"epoch": epochs done, "best": {"epoch", "score"} or None}, as the last checkpoint has it; and, where
            there is a patience, "mark": {"epoch", "score"} of the last epoch that was better by more than `min_delta`.
        monitor: the key of the logs that is highest at the best epoch.

    Attributes:
        begin: epochs before this stage: its patience starts anew.
        patience, min_delta: see `kbert.Recipe`.
    """

    begin, patience, min_delta = 0, None, 0.0

    def __init__(self, run: Run, state: dict[str, Any], monitor: str):
        super().__init__()
        self.run, self.state, self.monitor = run, state, monitor

    def on_epoch_end(self, epoch, logs=None):
        score, best = float(logs[self.monitor]), self.state["best"]
        if best is None or score > best["score"]:
            best = {"epoch": epoch + 1, "score": score}
            checkpoints.save(self.run.best_checkpoint, self.model, best, with_optimizer=False)
        mark = self.state.get("mark")
        self.state = {"epoch": epoch + 1, "best": best}
        if self.patience:
            if mark is None or mark["epoch"] <= self.begin or score > mark["score"] + self.min_delta:
                mark = {"epoch": epoch + 1, "score": score}
            self.state["mark"] = mark
        checkpoints.save(self.run.last_checkpoint, self.model, self.state, with_optimizer=True)
        if out_of_patience(self.state, self.patience):
            self.model.stop_training = True


def out_of_patience(state: dict[str, Any], patience: int | None) -> bool:
    """Whether the state of `Checkpoints` says that so many epochs have passed since the last better one.

    >>> out_of_patience({"epoch": 5, "mark": {"epoch": 3, "score": 0.5}}, patience=2)
    True
    """
    return bool(patience and "mark" in state and state["epoch"] - state["mark"]["epoch"] >= patience)
