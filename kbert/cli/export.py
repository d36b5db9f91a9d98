"""`kbert export`: a RUN as files that need neither kbert nor its pipelines."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.errors import WrongUse
from kbert.cli.format import Asked
from kbert.cli.formats import FORMATS, FormatOptions
from kbert.cli.grouping import grouped
from kbert.cli.output import Json, existing, show
from kbert.cli.own_options import options_of

Option = typer.Option


@grouped
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that kbert finetune or pretrain wrote.")],
    specific: FormatOptions,
    format: Annotated[Literal[tuple(FORMATS)] | None, Option(help="What to write.")] = None,
    out: Annotated[
        Path | None, Option(help="Where: a folder or a file, as the format is; new, or an empty folder.")
    ] = None,
    compare: Annotated[
        Path | None,
        Option(help="Labelled file: print what each format is worth on it, int8-full too with --calibration."),
    ] = None,
    max_length: Annotated[int | None, Option(min=3, help="Most tokens of a text, else that of the run.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace what is at --out.")] = False,
    as_json: Json = False,
) -> None:
    """Write a RUN for where it is asked.

    The tokenizer is inside: strings in, answers out, and kbert is not needed.

    \b
    Example:
      kbert export runs/first --format saved_model --out served/1
      kbert export runs/first --compare dev.tsv
    """
    if compare is not None:
        given = [name for name, value in vars(specific).items() if value is not None and name != "calibration"]
        if format or out or given:
            raise WrongUse(
                "--compare prints a table and writes nothing. Leave --format, --out and their options out, but for "
                "--calibration."
            )
        print_table(run, compare, specific.calibration, max_length, as_json)
        return
    for value, option in ((format, "--format"), (out, "--out")):
        if value is None:
            raise WrongUse(f"Missing option '{option}'. kbert export --help lists the options.")
    wanted = FORMATS[format](options_of(FORMATS, format, specific, "--format"))
    out = wanted.path(out)
    check_free(out, wanted.one_file, overwrite)
    wanted.check(run, out)

    from kbert.cli.progress import bar
    from kbert.cli.quiet import quiet
    from kbert.cli.trained import open_trained

    with bar(None, "opening", shown=sys.stderr.isatty()) as advance:
        task, model = open_trained(run, "kbert export", pretrained=True)
        advance(0, f"writing {format}, and asking it what the RUN is asked")
        with quiet():
            facts = wanted.write(Asked(run, task, model, out, max_length or task.max_length, overwrite))
    files = [out] if wanted.one_file else out.rglob("*")
    size = sum(path.stat().st_size for path in files if path.is_file())
    result = {"out": str(out), "format": format, **facts, "bytes": size}
    show(result, wanted.lines(result), as_json)


def print_table(run: Path, dev: Path, calibration: Path | None, max_length: int | None, as_json: bool) -> None:
    """What each format of a RUN is worth on a labelled file: size, figure, time of one question, questions a second."""
    from dataclasses import asdict

    from kbert.cli import comparing
    from kbert.cli.progress import bar
    from kbert.cli.quiet import quiet
    from kbert.cli.trained import open_trained

    existing(dev, "--compare")
    if calibration is not None:
        existing(calibration, "--calibration")
    task, model = open_trained(run, "kbert export --compare")
    asked = Asked(run, task, model, run, max_length or task.max_length, overwrite=False)
    forms, left_out = comparing.usual_forms(asked.max_length, calibration), []
    with bar(len(forms), "formats", shown=sys.stderr.isatty()) as advance, quiet():
        figure, found = comparing.compare(forms, asked, dev, say=left_out.append, advance=advance)
    for line in left_out:
        print(line, file=sys.stderr)
    result = {"run": str(run), "figure": figure, "formats": [asdict(one) for one in found], "left_out": left_out}
    show(result, comparing.lines(figure, found), as_json)


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
