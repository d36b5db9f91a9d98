"""`kbert index`: the vectors of a file's texts, to search in."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.grouping import grouped
from kbert.cli.output import Json, existing, show
from kbert.cli.window_options import WindowOptions

Option = typer.Option


@grouped
def index(
    *,
    input: Annotated[Path, Option(help="Texts: .txt (one a line), .tsv, .csv, .jsonl, also .gz and .xz.")],
    out: Annotated[Path, Option(help="Folder of the index; new or empty.")],
    long_texts: WindowOptions,
    model: Annotated[str, Option(help="A preset, or a RUN of --task embed.")] = "minilm-l6",
    text_column: Annotated[str | None, Option(help="Column of the text; sentence if not named.")] = None,
    max_length: Annotated[int | None, Option(min=3, help="Most tokens of a text; else the model's own.")] = None,
    batch_size: Annotated[int, Option(min=1, help="Texts at once.")] = 32,
    as_json: Json = False,
) -> None:
    """Make an index of a file's texts, for kbert search.

    It holds the vectors, the texts, and the model where that is a folder: it moves to another machine as it is.

    \b
    Example:
      kbert index --input documents.txt --model minilm-l6 --out documents.index
    """
    existing(input, "--input")

    from kbert.cli.progress import bar
    from kbert.cli.searching import write_index
    from pipelines import read_texts

    texts = read_texts(input, **({"text_column": text_column} if text_column else {}))
    if texts.pairs is not None:
        raise ValueError(f"An index is of single texts; {input} has pairs. Name one: --text-column {texts.columns[0]}.")
    with bar(len(texts), "texts", shown=sys.stderr.isatty()) as advance:
        sizes = {"max_length": max_length, "batch_size": batch_size}
        about = write_index(out, texts.texts, model, **sizes, **vars(long_texts), advance=advance)
    about = {"index": str(out), **about}
    show(about, [f"{out}: {about['texts']} texts, vectors of {about['width']} numbers by {model}"], as_json)
