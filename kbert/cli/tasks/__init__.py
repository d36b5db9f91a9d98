"""Tasks: what the commands finetune, evaluate, predict and export must know of each; a file a task.

Light to import: `--help` reads the options of all tasks.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kbert.cli.own_options import all_options
from kbert.cli.task import Task
from kbert.cli.tasks.choice import Choose
from kbert.cli.tasks.classify import Classify
from kbert.cli.tasks.embed import Embed
from kbert.cli.tasks.fill_mask import FillMask
from kbert.cli.tasks.multilabel import MultiLabel
from kbert.cli.tasks.qa import QuestionAnswering
from kbert.cli.tasks.regress import Regress
from kbert.cli.tasks.tag import Tag

TASKS: Mapping[str, type[Task]] = MappingProxyType(
    {task.name: task for task in (Classify, MultiLabel, Regress, Tag, QuestionAnswering, Choose, Embed)}
)


def named(name: str, where: str) -> type[Task]:
    """The task of a name; `where` it stands, for the ValueError about one that there is not.

    A RUN of kbert pretrain has one too, that cannot be fine-tuned.
    """
    if name == FillMask.name:
        return FillMask
    if name not in TASKS:
        raise ValueError(f"A task is one of {', '.join(TASKS)}; {where} says {name!r}.")
    return TASKS[name]


TaskOptions = all_options("TaskOptions", TASKS)
