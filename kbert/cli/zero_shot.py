"""`kbert zero-shot`: labels given as words, for texts that nothing was trained on."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json, existing

Option = typer.Option
TEMPLATE = "This text is about {}."


def zero_shot(
    model: Annotated[str, typer.Argument(metavar="PRESET|RUN", help="What answers.")],
    labels: Annotated[str, Option(help="Words of the labels, with commas.")],
    template: Annotated[
        str,
        Option(help="A sentence with {} for a label; or with [MASK], for a model with a head for masked tokens."),
    ] = TEMPLATE,
    input: Annotated[Path | None, Option(help="Texts, as those of kbert predict; else stdin, one a line.")] = None,
    text_column: Annotated[str | None, Option(help="Column of the text; sentence if not named.")] = None,
    calibrate: Annotated[
        bool, Option("--calibrate", help="[MASK]: take off what the model says of a text without words.")
    ] = False,
    max_length: Annotated[int | None, Option(min=3, help="Most tokens of a text; else the model's own.")] = None,
    batch_size: Annotated[int, Option(min=1, help="Texts at once.")] = 32,
    as_json: Json = False,
) -> None:
    """Label texts without training.

    Prints a JSON object a text, {"text", "label", "scores"}. With {} in the template the labels are compared with the
    text by vectors; with [MASK] the model says which label stands there.

    \b
    Example:
      echo "rates were cut again" | kbert zero-shot minilm-l6 --labels "sport,politics,economy"
    """
    if input is not None:
        existing(input, "--input")

    from kbert.cli.finetune import names
    from kbert.cli.tasks.classify import rounded
    from kbert.cli.zero_shots import open_labeller
    from pipelines import read_texts

    words = names(labels)
    labeller = open_labeller(model, words, template, calibrate, max_length)
    texts = read_texts(input or sys.stdin, **({"text_column": text_column} if text_column else {}))
    if texts.pairs is not None:
        raise ValueError(f"Labels are for single texts; {input} has pairs. Name one: --text-column {texts.columns[0]}.")
    for text, row in zip(texts.texts, labeller.scores(texts.texts, batch_size), strict=True):
        scores = {word: rounded(score) for word, score in zip(words, row, strict=True)}
        line = {"text": text, "label": words[int(row.argmax())], "scores": scores}
        print(json.dumps(line, ensure_ascii=False), flush=True)
    if as_json:
        print(json.dumps({"texts": len(texts), "labels": words}, ensure_ascii=False))
