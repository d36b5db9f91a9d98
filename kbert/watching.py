"""Callbacks of our training: what is scored, written down, kept and refused while `model.fit` runs."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kbert import checkpoints
from kbert.runs import Run


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

    Adds `val_NAME` for every figure that is a number.

    Args:
        score: model -> figures, and details that are no numbers.
    """

    def __init__(self, score: Callable[[keras.Model], Mapping[str, Any]]):
        super().__init__()
        self.score = score

    def on_epoch_end(self, epoch, logs=None):
        figures = self.score(self.model)
        logs.update({f"val_{name}": value for name, value in figures.items() if isinstance(value, float)})


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
        state: {"epoch": epochs done, "best": {"epoch", "score"} or None}, as the last checkpoint has it.
        monitor: the key of the logs that is highest at the best epoch.
    """

    def __init__(self, run: Run, state: dict[str, Any], monitor: str):
        super().__init__()
        self.run, self.state, self.monitor = run, state, monitor

    def on_epoch_end(self, epoch, logs=None):
        score, best = float(logs[self.monitor]), self.state["best"]
        if best is None or score > best["score"]:
            best = {"epoch": epoch + 1, "score": score}
            checkpoints.save(self.run.best_checkpoint, self.model, best, with_optimizer=False)
        self.state = {"epoch": epoch + 1, "best": best}
        checkpoints.save(self.run.last_checkpoint, self.model, self.state, with_optimizer=True)
