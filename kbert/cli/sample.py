"""`kbert sample`: labelled texts to try things on, made from what is installed."""

import sys
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

    print("reading the docstrings of the installed libraries ...", file=sys.stderr, flush=True)
    result = write_docstring_set(out)
    lines = [
        f"{result['files'][split]}: {sum(counts.values())} sentences of {', '.join(counts)}"
        for split, counts in result["counts"].items()
    ]
    if result["missing"]:
        lines.append(f"not installed: {', '.join(result['missing'])}")
    show(result, lines, as_json)
