"""`kbert fill-mask`: what stands behind each [MASK] of a text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json, show

Option = typer.Option


def fill_mask(
    model: Annotated[str, typer.Argument(help="RUN of kbert pretrain, or a preset with a head for masked tokens.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts with [MASK]; else --input, or standard input.")
    ] = None,
    input: Annotated[Path | None, Option(help="File, a text a line.")] = None,
    top_k: Annotated[int, Option(min=1, help="Answers a mask.")] = 5,
    lowercase: Annotated[bool | None, Option("--lowercase/--cased", help="Where the model does not say.")] = None,
    as_json: Json = False,
) -> None:
    """Say which tokens a model puts in the place of each [MASK], with their probabilities and the whole text.

    \b
    Example:
      kbert fill-mask runs/pretrained "Paris is the [MASK] of France."
    """
    from kbert.cli.errors import WrongUse
    from kbert.cli.output import existing

    if texts and input:
        raise WrongUse("Give texts or --input, not both.")
    if not texts:
        stream = existing(input, "--input").open(encoding="utf-8") if input else sys.stdin
        texts = [line.rstrip("\n") for line in stream if line.strip()]

    from kbert.cli.mask_filling import MaskFiller

    filler = MaskFiller(model, lowercase, top_k)
    answers = [{"text": text, "masks": filler.fill(text)} for text in texts]
    lines = [
        f"{answer['score']:8.4f}  {answer['token']:<16}  {answer['sequence']}"
        for row in answers
        for mask in row["masks"]
        for answer in mask
    ]
    show({"texts": answers}, lines, as_json)
