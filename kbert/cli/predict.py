"""`kbert predict`: texts in, JSON lines out, the same from a RUN and from the SavedModel made of it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kbert.cli.output import Json, existing

DIGITS = 4  # of a score, after the point


def predict(
    source: Annotated[Path, typer.Argument(metavar="RUN|SAVED_MODEL", help="What answers.")],
    input: Annotated[
        Path | None, typer.Option(help="Texts: .txt (one a line), .tsv, .csv, .jsonl; else stdin, one a line.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text, else that of the training.")] = None,
    pair_column: Annotated[
        str | None, typer.Option(help="Column of the second text, else that of the training.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts at once.")] = 32,
    as_json: Json = False,
) -> None:
    """Label texts.

    Prints a JSON object a line: {"text", "label", "scores"}. Pairs on stdin have a tab between them.

    \b
    Example:
      echo "a text to label" | kbert predict runs/first
    """
    from kbert.cli import answering
    from kbert.cli.quiet import quiet

    if input is not None:
        existing(input, "--input")
    with quiet():
        answerer = answering.open_answerer(source)
    columns = {"text_column": text_column, "pair_column": pair_column}
    texts = answering.read(input or sys.stdin, {**answerer.columns, **{k: v for k, v in columns.items() if v}})
    count = 0
    for line in lines(texts, answerer, answerer.answer(texts, batch_size)):
        print(json.dumps(line, ensure_ascii=False))
        count += 1
    if as_json:
        print(json.dumps({"texts": count, "labels": answerer.labels}, ensure_ascii=False))


def lines(texts, answerer, scores) -> Iterator[dict[str, Any]]:
    """An object a text; scores in the order of the labels, rounded."""
    for place, row in enumerate(scores):
        line = {"text": texts.texts[place]}
        if texts.pairs is not None:
            line["pair"] = texts.pairs[place]
        line["label"] = answerer.labels[int(row.argmax())]
        line["scores"] = {label: round(float(x), DIGITS) for label, x in zip(answerer.labels, row, strict=True)}
        yield line
