"""`kbert convert`: weights from one layout to another."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.output import Json, show


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="minilm-l6, a folder, a RUN, hf://... or kaggle://...")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    layout: Annotated[
        Literal["huggingface", "google"] | None, typer.Option(help="Of DIR; else the one that SOURCE is not in.")
    ] = None,
    lowercase: Annotated[bool | None, typer.Option("--lowercase/--cased", help="Where SOURCE does not say.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the preset that is in DIR.")] = False,
    as_json: Json = False,
) -> None:
    """Rewrite weights in another layout.

    Hugging Face's and Google's, with config and vocabulary.

    \b
    Example:
      kbert convert uncased_L-12_H-768_A-12 bert-base
    """
    from kbert import presets

    made = presets.convert(source, folder, layout=layout, lowercase=lowercase, overwrite=overwrite)
    result = {"source": source, "folder": str(folder), "layout": made.layout}
    show(result, [f"{folder}: {source} in {made.layout}'s layout"], as_json)
