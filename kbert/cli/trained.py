"""A finished RUN, opened: its task, as its task.json tells it, and its model."""

from pathlib import Path
from typing import Any

from kbert.cli.task import Task
from kbert.cli.tasks import named
from kbert.runs import Run

TOLD = ("labels", "text_columns", "label_column")  # by any task's task.json


def open_trained(folder: Path, command: str, *, pretrained: bool = False) -> tuple[Task, Any]:
    """The task and the model of a RUN.

    Args:
        folder: the RUN.
        command: what is asked of it, for the error.
        pretrained: it may be one of kbert pretrain, whose masked tokens are asked.

    Raises:
        FileNotFoundError: no RUN.
        ValueError: its training did not end, or its task.json lacks something.
    """
    run = Run.open(folder)
    name = run.task.get("task")
    if name == "pretrain" and not pretrained:
        raise ValueError(
            f"{command} needs a run of kbert finetune; {folder} is one of kbert pretrain. "
            f"Fine-tune it first with --model {folder}, or ask it with kbert fill-mask."
        )
    if not run.finished:
        again = "kbert pretrain again" if name == "pretrain" else "kbert finetune again with --resume"
        raise ValueError(f"{command} needs a finished run; {folder} is not. Run its {again}.")
    said = run.task_with("task", *(() if name == "pretrain" else TOLD), "max_length")
    task = named(name, str(run.folder / "task.json")).of_run(said)
    return task, task.model(str(folder))
