"""`kbert predict`: texts in, JSON lines out, the same from a RUN and from what was exported of it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.output import Json, existing

BATCHES_AT_ONCE = 64  # sorted by length together, then printed


def predict(
    source: Annotated[Path, typer.Argument(metavar="RUN|SAVED_MODEL|TFLITE", help="What answers.")],
    input: Annotated[
        Path | None, typer.Option(help="Texts: .txt (one a line), .tsv, .csv, .jsonl; else stdin, one a line.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text, else that of the training.")] = None,
    pair_column: Annotated[
        str | None, typer.Option(help="Column of the second text, else that of the training.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts at once.")] = 32,
    engine: Annotated[
        Literal["tensorflow", "litert"] | None,
        typer.Option(help="What runs a RUN; else tensorflow. litert runs TFLITE."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of litert.")] = None,
    as_json: Json = False,
) -> None:
    """Answer texts.

    Prints a JSON object a text; of labels {"text", "label", "scores"}. Pairs on stdin have a tab between them.

    \b
    Example:
      echo "a text to label" | kbert predict runs/first
    """
    from kbert.cli import answering
    from kbert.cli.errors import WrongUse
    from kbert.cli.progress import bar
    from kbert.cli.quiet import quiet

    if threads and engine != "litert" and source.suffix != ".tflite":
        raise WrongUse("--threads is for a TFLite file, or for --engine litert.")
    if input is not None:
        existing(input, "--input")
    with quiet():
        answerer = answering.open_answerer(source, engine, threads)
    task = answerer.task
    task.columns = answering.renamed(task.columns, text_column, pair_column)
    questions = task.questions(input or sys.stdin)
    strings = task.strings(questions)
    watched = input is not None and sys.stderr.isatty() and not sys.stdout.isatty()  # lines and a bar need two places
    with bar(len(questions), "texts", shown=watched) as advance:
        answers = answerer.answers(strings, batch_size, batch_size * BATCHES_AT_ONCE, advance)
        for line in task.lines(questions, answers):
            print(json.dumps(line, ensure_ascii=False), flush=True)
    if as_json:
        print(json.dumps({"texts": len(questions), "labels": list(answerer.labels)}, ensure_ascii=False))
