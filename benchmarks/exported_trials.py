"""A trial of `benchmarks.exported`: a model trained for a few steps, texts, and its own answers to them.

An answer is what is said and the numbers that come with it; both sides are brought into this form, the trained model's
from its logits, the served one's from its outputs. N texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.worker import BATCH, MAX_LENGTH, Job

ASKED, STEPS, RATE = 500, 100, 1e-4
SIZES = {"batch_size": BATCH, "max_length": MAX_LENGTH}
EPOCHS = range(50)  # more than any of these steps take


class Answer(NamedTuple):
    """What is said to a text, and its numbers, float [...]."""

    said: Any
    numbers: np.ndarray


Rows = Sequence[dict[str, np.ndarray]]


@dataclass(frozen=True)
class Trial:
    """A model and what it is asked.

    Args:
        model: trained, in float32.
        strings: of `serving_default` by name, N each.
        evaluate: the model's own answers, N.
        read: outputs of the SavedModel, N rows -> answers.
        settings: arguments of `export.saved_model`.
    """

    model: Any
    strings: dict[str, Sequence]
    evaluate: Callable[[], list[Answer]]
    read: Callable[[Rows], list[Answer]]
    settings: dict[str, Any] = field(default_factory=lambda: {"max_length": MAX_LENGTH})


def asked(job: Job) -> int:
    """How many texts."""
    return job.amounts.questions or ASKED


def spread(values: Sequence, count: int) -> list:
    """So many of them, evenly over the whole."""
    return [values[place * len(values) // count] for place in range(min(count, len(values)))]


def train(job: Job, model, batches, steps: int = STEPS, rate: float = RATE) -> None:
    """A few steps."""
    import kbert

    steps = min(steps, job.amounts.steps)
    model.compile(kbert.adamw(rate, total_steps=steps))
    model.fit(batches, steps_per_epoch=steps, verbose=0)
