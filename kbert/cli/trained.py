"""A finished RUN, opened: its model and what its task.json says."""

from pathlib import Path
from typing import Any

import kbert
from kbert.runs import Run


def open_trained(folder: Path, command: str) -> tuple[Any, dict[str, Any]]:
    """The model of a RUN and its task.

    Args:
        folder: the RUN.
        command: what is asked of it, for the error.

    Raises:
        FileNotFoundError: no RUN.
        ValueError: its training did not end, or its task.json lacks something.
    """
    run = Run.open(folder)
    if run.task.get("task") == "pretrain":
        raise ValueError(
            f"{command} needs a run of kbert finetune; {folder} is one of kbert pretrain. "
            f"Fine-tune it first with --model {folder}, or ask it with kbert fill-mask."
        )
    if not run.finished:
        raise ValueError(
            f"{command} needs a finished run; {folder} is not. Run its kbert finetune again with --resume."
        )
    task = run.task_with("labels", "max_length", "text_columns", "label_column")
    return kbert.Classifier.from_preset(str(folder)), task


def text_and_pair(task: dict[str, Any]) -> dict[str, str | None]:
    """The columns of the texts as arguments of the readers of `pipelines.tasks`.

    >>> text_and_pair({"text_columns": ["sentence"]})
    {'text_column': 'sentence', 'pair_column': None}
    """
    text, pair = [*task["text_columns"], None][:2]
    return {"text_column": text, "pair_column": pair}
