"""`kbert evaluate`: how good a RUN is on a labelled file."""

from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json, existing, show


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that kbert finetune wrote.")],
    data: Annotated[Path, typer.Option(help="Labelled texts, with the columns of the training file.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Examples at once.")] = 32,
    out: Annotated[Path | None, typer.Option(help="qa: folder for predictions.json and the like.")] = None,
    as_json: Json = False,
) -> None:
    """Score a RUN on a labelled file.

    The figures of its task: accuracy, macro F1, Matthews' correlation and every class; or entity F1; or EM and F1; ...

    \b
    Example:
      kbert evaluate runs/first --data test.tsv
    """
    from kbert.cli.trained import open_trained

    existing(data, "--data")
    task, model = open_trained(run, "kbert evaluate")
    examples = task.read(data, like=model)
    scores = task.scores(model, examples, batch_size)
    if out:
        scores["files"] = [str(path) for path in task.write_answers(out, model, examples, batch_size)]
    show(scores, task.table(scores), as_json)
