"""Tasks: what the commands finetune, evaluate, predict and export must know of each; a file a task.

Light to import: `--help` reads the options of all tasks.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import fields, make_dataclass
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_type_hints

from kbert.cli.errors import WrongUse
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


def options_of(task: type[Task], given: Any) -> Any:
    """The options of a task, from an instance of `TaskOptions`.

    Raises:
        WrongUse: an option of another task is given.
    """
    own = {field.name for field in fields(task.Options)}
    said = {field.name: getattr(given, field.name) for field in fields(given)}
    said = {name: value for name, value in said.items() if value is not None}
    for name in said:
        if name not in own:
            having = " and ".join(other.name for other in TASKS.values() if name in hints(other))
            raise WrongUse(f"--{name.replace('_', '-')} belongs to --task {having}; got it with --task {task.name}.")
    return task.Options(**said)


def hints(task: type[Task]) -> dict[str, Any]:
    """The types of a task's options, by name."""
    return get_type_hints(task.Options, include_extras=True)


def all_options() -> type:
    """A dataclass of the options of all tasks; None stands for what is not given."""
    found: dict[str, tuple] = {}
    for task in TASKS.values():
        defaults = {field.name: field.default for field in fields(task.Options)}
        for name, hint in hints(task).items():
            kind, option = get_args(hint)[:2]
            tasks = found[name][1] if name in found else []
            found[name] = (kind, [*tasks, task.name], option, defaults[name])
    spelled = []
    for name, (kind, tasks, option, default) in found.items():
        shown = copy(option)
        usual = "" if default is None or default is False else f" By default {default}."
        shown.help = f"{', '.join(tasks)}: {option.help}{usual}"
        spelled.append((name, Annotated[kind | None, shown], None))
    return make_dataclass("TaskOptions", spelled, frozen=True)


TaskOptions = all_options()
