"""Options of tasks on single texts, which may be longer than the model."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer


@dataclass(frozen=True)
class WindowOptions:
    """How texts of over --max-length tokens are read.

    Args:
        window: tokens from the start of one window to the next; None cuts.
        merge: how the scores or vectors of a text's windows become the text's.
    """

    window: Annotated[
        int | None,
        typer.Option(min=1, help="Slide over long texts, so many tokens at a time; else they are cut."),
    ] = None
    merge: Annotated[Literal["mean", "max"], typer.Option(help="Of what a long text's windows say.")] = "mean"
