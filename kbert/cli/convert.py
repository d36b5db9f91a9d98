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
        Literal["huggingface", "google", "keras_hub"] | None,
        typer.Option("--to", "--layout", help="Layout of DIR; else google for huggingface, huggingface for others."),
    ] = None,
    lowercase: Annotated[bool | None, typer.Option("--lowercase/--cased", help="Where SOURCE does not say.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the preset that is in DIR.")] = False,
    without_heads: Annotated[
        bool, typer.Option("--without-heads", help="The encoder alone: keras_hub has no place for what is on it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rewrite weights in another layout.

    Hugging Face's, Google's TensorFlow 1 checkpoints and KerasHub's presets, with config and vocabulary, tensor for
    tensor.

    \b
    Example:
      kbert convert uncased_L-12_H-768_A-12 bert-base
    """
    from kbert import conversion

    given = {"layout": layout, "lowercase": lowercase, "overwrite": overwrite, "heads": not without_heads}
    made = conversion.convert(source, folder, **given)
    result = {"source": source, "folder": str(folder), "layout": made.layout}
    show(result, [f"{folder}: {source} in {made.layout}'s layout"], as_json)
