"""`kbert export`: a RUN as files that need neither kbert nor its pipelines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.output import Json, show


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that kbert finetune or pretrain wrote.")],
    format: Annotated[Literal["saved_model"], typer.Option(help="What to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.")],
    max_length: Annotated[int | None, typer.Option(min=3, help="Most tokens of a text, else that of the run.")] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Of a pre-trained RUN: answers a mask, else 5.")] = None,
    as_json: Json = False,
) -> None:
    """Write a RUN for serving.

    The tokenizer is inside: strings in, answers out, and kbert is not needed.

    \b
    Example:
      kbert export runs/first --format saved_model --out served/1
    """
    from kbert.cli.errors import WrongUse
    from kbert.cli.quiet import quiet
    from kbert.cli.trained import open_trained

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out names a new or empty folder; {out} holds files.")
    task, model = open_trained(run, "kbert export", pretrained=True)

    if top_k and task.name != "pretrain":
        raise WrongUse(f"--top-k is for a RUN of kbert pretrain, whose masks are filled; {run} is one of {task.name}.")

    import export as exporters

    length, settings = max_length or task.max_length, {**task.serving(), **({"top_k": top_k} if top_k else {})}
    with quiet():
        exporters.saved_model(model, out, max_length=length, **settings)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    result = {"out": str(out), "format": format, "max_length": length, "bytes": size}
    show(result, [f"{out}: {format}, {size / 1e6:.1f} MB, texts of up to {length} tokens"], as_json)
