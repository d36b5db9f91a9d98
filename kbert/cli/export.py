"""`kbert export`: a RUN as files that need neither kbert nor its pipelines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.format import Asked
from kbert.cli.formats import FORMATS, FormatOptions
from kbert.cli.grouping import grouped
from kbert.cli.output import Json, show
from kbert.cli.own_options import options_of

Option = typer.Option


@grouped
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that kbert finetune or pretrain wrote.")],
    format: Annotated[Literal[tuple(FORMATS)], Option(help="What to write.")],
    out: Annotated[Path, Option(help="What to write, a folder or a file as the format is; new, or an empty folder.")],
    specific: FormatOptions,
    max_length: Annotated[int | None, Option(min=3, help="Most tokens of a text, else that of the run.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace what is at --out.")] = False,
    as_json: Json = False,
) -> None:
    """Write a RUN for where it is asked.

    The tokenizer is inside: strings in, answers out, and kbert is not needed.

    \b
    Example:
      kbert export runs/first --format saved_model --out served/1
    """
    wanted = FORMATS[format](options_of(FORMATS, format, specific, "--format"))
    check_free(out, wanted.one_file, overwrite)
    wanted.check(run, out)

    from kbert.cli.quiet import quiet
    from kbert.cli.trained import open_trained

    task, model = open_trained(run, "kbert export", pretrained=True)
    with quiet():
        facts = wanted.write(Asked(run, task, model, out, max_length or task.max_length, overwrite))
    files = [out] if wanted.one_file else out.rglob("*")
    size = sum(path.stat().st_size for path in files if path.is_file())
    result = {"out": str(out), "format": format, **facts, "bytes": size}
    show(result, wanted.lines(result), as_json)


def check_free(out: Path, one_file: bool, overwrite: bool) -> None:
    """Raises ValueError where what is to be written is there already, and may not be replaced or is of another kind."""
    if one_file:
        if out.is_dir():
            raise ValueError(f"--out names a file of this format; {out} is a folder. Name a file in it.")
        if out.exists() and not overwrite:
            raise ValueError(f"--out names a new file; {out} exists. Choose another name, or pass --overwrite.")
    elif out.exists() and not out.is_dir():
        raise ValueError(f"--out names a new or empty folder; {out} is a file. Choose another name.")
    elif out.exists() and any(out.iterdir()) and not overwrite:
        raise ValueError(
            f"--out names a new or empty folder; {out} holds files. Choose another, or replace it with --overwrite."
        )
