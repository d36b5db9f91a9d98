"""What a pre-training is asked for: phases of length, rates, and what is written when."""

from dataclasses import dataclass

import keras

from kbert.lamb import lamb, usual_rate
from kbert.optimizer import adamw
from kbert.recipe import EXCHANGES

OPTIMIZERS = ("adamw", "lamb")
BERT_RATE = 1e-4  # Devlin et al. 2019, appendix A.2


@dataclass(frozen=True)
class Phase:
    """Steps of batches of one shape.

    >>> Phase(max_length=128, batch_size=32, steps=0)
    Traceback (most recent call last):
    ValueError: steps is 1 or more; got 0.
    """

    max_length: int
    batch_size: int
    steps: int

    def __post_init__(self):
        for name in ("max_length", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more; got {getattr(self, name)}.")


@dataclass(frozen=True)
class PretrainingRecipe:
    """How a model is pre-trained; the numbers are those of Devlin et al. 2019, appendix A.2.

    Args:
        phases: one after another under one schedule, e.g. nine tenths of the steps at 128 tokens, then 512.
        optimizer: "adamw" or "lamb".
        learning_rate: the highest, after the warm-up; None: 1e-4 for AdamW, for LAMB `kbert.lamb.usual_rate`.
        warmup: share of all steps over which the rate rises.
        weight_decay: decoupled; none for norms and biases.
        clip_norm: largest norm of all gradients together.
        power: of the fall of the rate, see `WarmupPolynomialDecay`.
        exchange: numbers in which replicas tell each other gradients, "float32" or "bfloat16".
        accumulate: parts that a batch is computed in, one after another; divides every batch size.
        checkpoint_steps: a checkpoint every so many steps; None for none.
        checkpoint_minutes: and every so many minutes; None for none. There is one at the end of a phase in any case.
        keep: how many checkpoints stay.
        evaluate_steps: held-out text is scored every so many steps, and at the end of a phase; None: only there.
        log_steps: a line of metrics.jsonl every so many steps.
        spike: a line's loss above this multiple of the median of the 50 before it, and 1 above it, stops; None: none.
    """

    phases: tuple[Phase, ...]
    optimizer: str = "adamw"
    learning_rate: float | None = None
    warmup: float = 0.01
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    power: float = 1.0
    exchange: str = "float32"
    accumulate: int = 1
    checkpoint_steps: int | None = None
    checkpoint_minutes: float | None = 10.0
    keep: int = 2
    evaluate_steps: int | None = None
    log_steps: int = 50
    spike: float | None = 2.0

    def __post_init__(self):
        if not self.phases:
            raise ValueError("phases is one Phase or more; got none.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is one of {', '.join(OPTIMIZERS)}; got {self.optimizer!r}.")
        if self.exchange not in EXCHANGES:
            raise ValueError(f"exchange is one of {', '.join(EXCHANGES)}; got {self.exchange!r}.")
        for name in ("learning_rate", "checkpoint_minutes", "clip_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} is above 0; got {getattr(self, name)}.")
        for name in ("accumulate", "checkpoint_steps", "keep", "evaluate_steps", "log_steps"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more; got {getattr(self, name)}.")
        for name in ("weight_decay", "power"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is 0 or more; got {getattr(self, name)}.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps, from 0 to below 1; got {self.warmup}.")
        if self.spike is not None and not self.spike > 1:
            raise ValueError(f"spike is a multiple above 1, or None; got {self.spike}.")
        for phase in self.phases:
            if phase.batch_size % self.accumulate:
                raise ValueError(f"accumulate divides the batch size; got {self.accumulate} and {phase.batch_size}.")

    @property
    def steps(self) -> int:
        """Of all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        usual = BERT_RATE if self.optimizer == "adamw" else usual_rate(self.phases[0].batch_size)
        return usual if self.learning_rate is None else self.learning_rate

    def make_optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer with its schedule over all steps."""
        make = {"adamw": adamw, "lamb": lamb}[self.optimizer]
        numbers = (self.rate, self.steps, self.warmup, self.weight_decay, self.clip_norm, self.power)
        return make(*numbers, exchange=self.exchange)
