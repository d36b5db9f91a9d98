"""`kbert evaluate`: how good a RUN is on a labelled file."""

from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json, existing, show


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that kbert finetune wrote.")],
    data: Annotated[Path, typer.Option(help="Labelled texts, with the columns of the training file.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Examples at once.")] = 32,
    as_json: Json = False,
) -> None:
    """Score a RUN on a labelled file.

    Accuracy, macro F1, Matthews' correlation, and every class.

    \b
    Example:
      kbert evaluate runs/first --data test.tsv
    """
    from kbert.cli.trained import open_trained, text_and_pair

    existing(data, "--data")
    model, task = open_trained(run, "kbert evaluate")

    from kbert.tasks.classify_scores import answers, classification_scores, table
    from pipelines.batches import classification
    from pipelines.tasks import read_classification

    examples = read_classification(data, label_column=task["label_column"], labels=model.labels, **text_and_pair(task))
    batches = classification(examples, model.tokenizer_spec, batch_size=batch_size, max_length=task["max_length"])
    scores = classification_scores(*answers(model, batches), model.labels)
    show(scores, table(scores), as_json)
