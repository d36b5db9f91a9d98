"""When a pre-training goes astray: a loss that is no number, or that leaps."""

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from kbert.pretraining.checkpoints import StepCheckpoints
from kbert.pretraining.stepwise import EachStep
from kbert.watching import TrainingDiverged

SPIKE_WINDOW, SPIKE_LEAST = 50, 10  # lines that a spike is measured by, and without which there is none
SPIKE_RISE = 1.0  # nats: near a loss of 0 a multiple of it is no spike
REMEDY = "Start anew with a lower learning rate or a longer warm-up; a run in a shorter type may need float32."


class StopOnDivergence(EachStep):
    """Raises `TrainingDiverged` where a loss is NaN or infinite, or a line's is far above those before it.

    Args:
        checkpoints: of which the last good one is named.
        spike: a line is refused whose loss is above this multiple of the median of the lines before it, and above that
            median by SPIKE_RISE; None for none.
        lines: of the run before, where it is resumed.
        warmup_steps: whose lines are not looked at.
    """

    def __init__(
        self, checkpoints: StepCheckpoints, spike: float | None, lines: Sequence[Mapping[str, Any]], warmup_steps: int
    ):
        super().__init__()
        self.checkpoints, self.spike, self.warmup_steps = checkpoints, spike, warmup_steps
        self.losses, self.good = deque(maxlen=SPIKE_WINDOW), 0
        for line in lines:
            self.accept(line)

    def after(self, step, logs):
        if not math.isfinite(logs["loss"]):
            raise TrainingDiverged(
                f"The loss must stay finite; it is {logs['loss']} at step {step}, "
                f"and {self.checkpoints.told(step - 1)}. {REMEDY}"
            )

    def check(self, line: Mapping[str, Any]) -> None:
        """Holds a new line of training to those before it."""
        usual = statistics.median(self.losses) if len(self.losses) >= SPIKE_LEAST else math.inf
        if self.spike and line["loss"] > max(self.spike * usual, usual + SPIKE_RISE):
            raise TrainingDiverged(
                f"The loss must not leap; it is {line['loss']:.4g} at step {line['step']} after a median of "
                f"{usual:.4g}, and {self.checkpoints.told(self.good)}. {REMEDY}"
            )
        self.accept(line)

    def accept(self, line: Mapping[str, Any]) -> None:
        if "loss" in line and line["step"] > self.warmup_steps:
            self.losses.append(line["loss"])
            self.good = line["step"]
