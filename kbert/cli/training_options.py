"""Options that say how a model is trained, as groups for `kbert.cli.grouping`: what a `kbert.Recipe` has, and more."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from kbert.cli.strategy_options import Exchange

if TYPE_CHECKING:
    from kbert.recipe import Recipe


@dataclass(frozen=True)
class TrainingOptions:
    """A Recipe as options."""

    epochs: Annotated[int, Option(min=1, help="Passes over the training file.")] = 3
    learning_rate: Annotated[float, Option(help="The highest, after the warm-up.")] = 5e-5
    warmup: Annotated[float, Option(help="Share of the steps over which the rate rises.")] = 0.1
    weight_decay: Annotated[float, Option(help="Decoupled; none for norms and biases.")] = 0.01
    exchange: Exchange = "float32"
    best: Annotated[
        str | None,
        Option(help="Figure of the dev set that decides the best epoch, e.g. macro_f1; else the task's first."),
    ] = None
    freeze: Annotated[
        str | None,
        Option(
            metavar="all|embeddings|N",
            help="What keeps its weights: all of the encoder (a head on fixed features), the embeddings, or these and "
            "the first N blocks.",
        ),
    ] = None
    stages: Annotated[
        str | None,
        Option(
            metavar="N,M",
            help="Gradual unfreezing: N epochs of the head on fixed features, M of the head and the last block, then "
            "--epochs of the whole network.",
        ),
    ] = None
    layer_decay: Annotated[
        float, Option(help="Rate of a block over that of the block above it; the embeddings' is the lowest.")
    ] = 1.0
    head_rate: Annotated[
        float | None, Option(help="Highest rate of the task's head; else the rate, 20 times it before the last stage.")
    ] = None
    lora: Annotated[
        int | None,
        Option(min=1, metavar="RANK", help="Train low-rank updates of the encoder; the RUN has them merged."),
    ] = None
    lora_alpha: Annotated[float | None, Option(help="The updates count alpha / rank; else 1.")] = None
    label_smoothing: Annotated[float, Option(help="Probability that all classes share, for choices of one class.")] = (
        0.0
    )
    patience: Annotated[
        int | None, Option(min=1, help="Stop after so many epochs without a better figure, in the last stage.")
    ] = None
    min_delta: Annotated[float, Option(min=0, help="By more than this a figure is better, for --patience.")] = 0.0

    def recipe(self) -> "Recipe":
        """The recipe.

        Raises:
            ValueError: a value that is out of its range; says which.
        """
        from kbert.recipe import Recipe

        said = {name: value for name, value in vars(self).items() if name != "stages"}
        return Recipe(**said, stages=two_numbers(self.stages))


@dataclass(frozen=True)
class RepeatOptions:
    """One training or several, and on what besides the training file."""

    seeds: Annotated[
        int | None, Option(min=2, help="Train with so many seeds, from --seed on; RUNs and their spread in --out.")
    ] = None
    folds: Annotated[
        int | None,
        Option(min=2, help="Cross-validate on --train alone, without --dev; RUNs and their spread in --out."),
    ] = None
    augment: Annotated[
        str | None,
        Option(
            metavar="PRESET", help="Add a copy of each text with words replaced by what its masked-token head says."
        ),
    ] = None
    augment_share: Annotated[float, Option(min=0.01, max=1, help="Share of a text's words that are replaced.")] = 0.15

    def check(self, dev: Path | None) -> None:
        """Holds the options to one another, and to --dev.

        Raises:
            WrongUse: seeds and folds, or no dev set.
        """
        from kbert.cli.errors import WrongUse

        if self.seeds and self.folds:
            raise WrongUse("--seeds and --folds exclude each other.")
        if self.folds and dev is not None:
            raise WrongUse(f"--folds holds out parts of --train; leave out --dev {dev}.")
        if not self.folds and dev is None:
            raise WrongUse(
                "Missing option '--dev': labelled texts that decide the best epoch; or cross-validate with --folds."
            )


def two_numbers(stages: str | None) -> tuple[int, ...]:
    """The epochs of --stages.

    >>> two_numbers("1,2"), two_numbers(None)
    ((1, 2), (0, 0))
    >>> two_numbers("1")
    Traceback (most recent call last):
    ValueError: --stages is two numbers of epochs with a comma between them, as 1,1; got '1'.
    """
    if stages is None:
        return 0, 0
    parts = [part.strip() for part in stages.split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"--stages is two numbers of epochs with a comma between them, as 1,1; got {stages!r}.")
    return tuple(map(int, parts))
