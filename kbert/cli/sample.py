"""`kbert sample`: labelled texts to try things on, made from what is installed."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.output import Json, show


def sample(
    what: Annotated[Literal["docstrings"], typer.Argument(help="docstrings: which library a sentence comes from.")],
    out: Annotated[Path, typer.Option(help="Folder for train.tsv, dev.tsv and test.tsv.")],
    as_json: Json = False,
) -> None:
    """Write labelled texts to try things on.

    docstrings: the first sentences of the docstrings of the installed libraries, labelled by library.

    \b
    Example:
      kbert sample docstrings --out data
    """
    from pipelines.docstrings import write_docstring_set

    result = write_docstring_set(out)
    show(result, [f"{out}: {result}"], as_json)
