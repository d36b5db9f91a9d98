"""What the README.md of an export is told, by every format that writes one."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer


@dataclass(frozen=True)
class CardOptions:
    """What a RUN does not know of itself."""

    license: Annotated[str | None, typer.Option(help="Of the weights, for README.md: apache-2.0, say.")] = None


def card_of(asked: Any, options: CardOptions) -> Any:
    """The `export.Card` of what `kbert export` was asked for, a `kbert.cli.format.Asked`."""
    from export.model_card import Card

    return Card.of_run(asked.run, options.license)
