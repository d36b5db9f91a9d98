"""Recipe: how a model is fine-tuned, checked at birth."""

from dataclasses import dataclass

from kbert.freezing import Freeze, checked_freeze

EXCHANGES = ("float32", "bfloat16")  # numbers in which replicas tell each other gradients
HEAD_TIMES = 20.0  # a new head's rate over the encoder's while the encoder is not trained as a whole


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned; the numbers are those of Devlin et al. 2019, appendix A.3.

    Args:
        epochs: passes over the training set.
        learning_rate: the highest, after the warm-up.
        warmup: share of all steps over which the rate rises.
        weight_decay: decoupled; none for norms and biases.
        clip_norm: largest norm of all gradients together.
        exchange: numbers in which replicas tell each other gradients, "float32" or "bfloat16".
        best: which figure of the dev set decides the best epoch, highest first: one of the model's `figures`; None for
            the first of them.
        freeze: what keeps its weights: None for nothing, "all" for the whole encoder (a head on fixed features),
            "embeddings", or a number N for the embeddings and the first N blocks.
        stages: epochs of two stages before `epochs`, which then are those of the third: the head alone on fixed
            features; the head with the pooler and the last block; the whole network. Each stage has a warm-up of its
            own. See `kbert.freezing.stages`.
        layer_decay: rate of a block over that of the block above it; 1 for one rate. See `kbert.freezing.layer_rates`.
        head_rate: the highest rate of the task's head; None for `learning_rate`, 20 times it in the first two stages.
        lora: rank of the low-rank updates that are trained in the place of the encoder; None for none. The model that
            is left has them merged. See `kbert.lora`.
        lora_alpha: they count alpha / rank; None for the rank.
        label_smoothing: probability that all classes share.
        patience: stop after so many epochs without a better figure, in the last stage; None for never.
        min_delta: a figure is better, for `patience`, where it is higher by more than this.

    >>> Recipe(epochs=0)
    Traceback (most recent call last):
    ValueError: epochs is 1 or more; got 0.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    exchange: str = "float32"
    best: str | None = None
    freeze: Freeze = None
    stages: tuple[int, int] = (0, 0)
    layer_decay: float = 1.0
    head_rate: float | None = None
    lora: int | None = None
    lora_alpha: float | None = None
    label_smoothing: float = 0.0
    patience: int | None = None
    min_delta: float = 0.0

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(f"epochs is 1 or more; got {self.epochs}.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is above 0; got {self.learning_rate}.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps, from 0 to below 1; got {self.warmup}.")
        if self.exchange not in EXCHANGES:
            raise ValueError(f"exchange is one of {', '.join(EXCHANGES)}; got {self.exchange!r}.")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is 0 or more; got {self.weight_decay}.")
        object.__setattr__(self, "freeze", checked_freeze(self.freeze))
        object.__setattr__(self, "stages", tuple(self.stages))
        if len(self.stages) != 2 or not all(isinstance(n, int) and n >= 0 for n in self.stages):
            raise ValueError(f"stages is two numbers of epochs, 0 or more; got {self.stages}.")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay is above 0 and at most 1; got {self.layer_decay}.")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is a share, from 0 to below 1; got {self.label_smoothing}.")
        if self.min_delta < 0:
            raise ValueError(f"min_delta is 0 or more; got {self.min_delta}.")
        for name in ("lora", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is 1 or more; got {value}.")
        for name in ("head_rate", "lora_alpha"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is above 0; got {value}.")
        if self.lora and self.freeze == "all":
            raise ValueError(
                f"lora trains updates of the encoder, and freeze='all' none; got lora {self.lora}. Drop one."
            )

    @property
    def all_epochs(self) -> int:
        """Epochs of all stages."""
        return sum(self.stages) + self.epochs

    @property
    def chooses_weights(self) -> bool:
        """Whether it says what of a model is trained; else that is as the model has it."""
        return self.freeze is not None or any(self.stages) or self.lora is not None

    def figure(self, model) -> str:
        """The figure of the dev set that decides the best epoch of a model.

        Raises:
            ValueError: the model has none of that name.
        """
        best = self.best or model.figures[0]
        if best not in model.figures:
            raise ValueError(f"best is {' or '.join(model.figures)} for {model.task}; got {best}.")
        return best

    def head_factor(self, stage: str) -> float:
        """What the learning rate is multiplied by for the head, in a stage."""
        if self.head_rate is None:
            return HEAD_TIMES if stage in ("features", "head") else 1.0
        return self.head_rate / self.learning_rate
