"""`kbert predict`: texts in, JSON lines out, the same from a RUN and from the SavedModel made of it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kbert.cli.output import Json, existing

DIGITS = 4  # of a score, after the point
BATCHES_AT_ONCE = 64  # sorted by length together, then printed


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
    from kbert.cli.progress import bar
    from kbert.cli.quiet import quiet

    if input is not None:
        existing(input, "--input")
    with quiet():
        answerer = answering.open_answerer(source)
    columns = {"text_column": text_column, "pair_column": pair_column}
    texts = answering.read(input or sys.stdin, {**answerer.columns, **{k: v for k, v in columns.items() if v}})
    watched = input is not None and sys.stderr.isatty() and not sys.stdout.isatty()  # lines and a bar need two places
    with bar(len(texts), "texts", shown=watched) as advance:
        for part in parts(texts, batch_size * BATCHES_AT_ONCE):
            for line in lines(part, answerer, answerer.answer(part, batch_size)):
                print(json.dumps(line, ensure_ascii=False))
            sys.stdout.flush()
            advance(len(part))
    if as_json:
        print(json.dumps({"texts": len(texts), "labels": answerer.labels}, ensure_ascii=False))


def parts(texts, size: int) -> Iterator[Any]:
    """Texts, so many at a time, in their order."""
    for start in range(0, len(texts), size):
        chosen = slice(start, start + size)
        yield replace(texts, texts=texts.texts[chosen], pairs=texts.pairs and texts.pairs[chosen])


def lines(texts, answerer, scores) -> Iterator[dict[str, Any]]:
    """An object a text; scores in the order of the labels, rounded."""
    for place, row in enumerate(scores):
        line = {"text": texts.texts[place]}
        if texts.pairs is not None:
            line["pair"] = texts.pairs[place]
        line["label"] = answerer.labels[int(row.argmax())]
        line["scores"] = {label: round(float(x), DIGITS) for label, x in zip(answerer.labels, row, strict=True)}
        yield line
