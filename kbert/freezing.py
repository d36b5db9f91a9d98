"""Freezing: which weights of a model a training leaves as they are, and gradual unfreezing as three stages.

A weight is told by its name in kbert's tables: "embeddings/...", "layer_3/...", "pooler/...", and a task's head. What
is frozen keeps its bits and has no moments in the optimizer. Where nothing below a block learns either, its dropout is
off and no gradient is computed through it (see `Encoder.encode`): what it gives are the features of inference.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

Freeze = str | int | None
ENCODER = ("embeddings/", "layer_", "pooler/")  # first parts of the names of its weights; others are a head's
FREEZE = "all, embeddings, or a number of blocks"


class Stage(NamedTuple):
    """Epochs `begin` to before `end` of a training, in which `freeze` says what is left as it is."""

    name: str
    begin: int
    end: int
    freeze: Freeze


def checked_freeze(freeze: Freeze) -> Freeze:
    """What to freeze, a number of blocks as an int.

    >>> checked_freeze("4"), checked_freeze("all"), checked_freeze(None)
    (4, 'all', None)
    >>> checked_freeze("pooler")
    Traceback (most recent call last):
    ValueError: freeze is all, embeddings, or a number of blocks; got 'pooler'.
    """
    if freeze is None or freeze in ("all", "embeddings"):
        return freeze
    if isinstance(freeze, bool) or not re.fullmatch("[0-9]+", str(freeze)):
        raise ValueError(f"freeze is {FREEZE}; got {freeze!r}.")
    return int(freeze)


def stages(before: tuple[int, int], epochs: int, num_blocks: int, freeze: Freeze = None) -> list[Stage]:
    """Gradual unfreezing from the top (Howard and Ruder 2018, section 3.3) in three stages, without those of no epochs.

    "features": the head alone, on the features of the preset; "head": also the pooler and the last block, which feed
    it; "whole": all, or what `freeze` leaves.

    Args:
        before: epochs of the first two.
        epochs: of the last.
        num_blocks: L.
        freeze: in the last stage.

    >>> [(stage.name, stage.begin, stage.end, stage.freeze) for stage in stages((1, 2), 3, num_blocks=6)]
    [('features', 0, 1, 'all'), ('head', 1, 3, 5), ('whole', 3, 6, None)]
    """
    found, begin = [], 0
    frozen = ("all", num_blocks - 1, freeze)
    for name, count, what in zip(("features", "head", "whole"), (*before, epochs), frozen, strict=True):
        if count:
            found.append(Stage(name, begin, begin + count, what))
            begin += count
    return found


def learning(model, freeze: Freeze) -> Iterator[str]:
    """The names of a model's weights that are trained.

    The head always learns, and so does what the preset did not have (`new_weights`). Where the model has low-rank
    updates (`kbert.lora`), these learn in the place of the encoder's own weights.

    Args:
        model: a `TextModel`.
        freeze: None for nothing; "all" for the encoder, pooler included; "embeddings"; N for the embeddings and the
            first N blocks.

    Raises:
        ValueError: N over the model's blocks.
    """
    blocks = model.config.num_hidden_layers
    if isinstance(freeze, int) and freeze > blocks:
        raise ValueError(f"freeze is at most the model's {blocks} blocks; got {freeze}. Lower it, or freeze all.")
    first = {None: 0, "embeddings": 0, "all": blocks}.get(freeze, freeze)  # block that learns
    names = model.named_weights()
    low_rank = any("/lora_" in name for name in names)
    for name in names:
        group, _, number = name.partition("/")[0].partition("_")
        if not name.startswith(ENCODER) or name in model.new_weights:
            yield name
        elif low_rank and "/lora_" not in name:
            continue
        elif (
            (group == "embeddings" and freeze is None)
            or (group == "pooler" and freeze != "all")
            or (group == "layer" and int(number) >= first)
        ):
            yield name


def freeze_weights(model, freeze: Freeze) -> None:
    """Sets which weights of a model are trained; see `learning`. It is to be compiled after that.

    Raises:
        ValueError: nothing would be left to train; or see `learning`.
    """
    names = set(learning(model, freeze))
    for name, weight in model.named_weights().items():
        if name.startswith(ENCODER):  # a head knows itself what of it is learned
            weight.trainable = name in names
    if not model.trainable_variables:
        raise ValueError(
            f"freeze leaves something to train; {freeze!r} is all that {type(model).__name__} has. "
            "Freeze a number of blocks."
        )


def layer_rates(model, decay: float, head: float = 1.0) -> dict[str, float]:
    """What the learning rate is multiplied by, by the first part of a weight's name; 1 for those that are not there.

    `decay` to the power of the distance from the head: the last block 1, the first L, the embeddings L + 1 (Clark et
    al. 2020, ELECTRA, appendix B; Howard and Ruder 2018, section 3.2). The pooler learns at the rate itself.

    Args:
        model: a `TextModel` of L blocks.
        decay: over 0, at most 1.
        head: factor of the task's head.
    """
    blocks = model.config.num_hidden_layers
    depths = {"embeddings/": blocks + 1, **{f"layer_{i}/": blocks - i for i in range(blocks)}}
    rates = {prefix: decay**depth for prefix, depth in depths.items()} | {f"{name}/": head for name in model.heads}
    return {prefix: factor for prefix, factor in rates.items() if factor != 1.0}
