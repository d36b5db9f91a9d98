"""Options that belong to one of several things, a task or a format: all are shown, and one given to another is refused.

Light to import: the command line's `--help` reads them all.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import fields, make_dataclass
from typing import Annotated, Any, get_args, get_type_hints

from kbert.cli.errors import WrongUse


def options_of(owners: Mapping[str, type], chosen: str, given: Any, option: str) -> Any:
    """The `Options` of the chosen owner, from an instance of what `all_options` made.

    Args:
        owners: name -> a class with `Options`, a frozen dataclass of Annotated typer options, each with a default.
        chosen: one of the names.
        given: None stands for what is not given.
        option: by which one is chosen, for the error: "--task".

    Raises:
        WrongUse: an option of another owner is given.
    """
    own = {field.name for field in fields(owners[chosen].Options)}
    said = {field.name: getattr(given, field.name) for field in fields(given)}
    said = {name: value for name, value in said.items() if value is not None}
    for name in said:
        if name not in own:
            having = " and ".join(owner for owner, kind in owners.items() if name in hints(kind))
            raise WrongUse(f"--{name.replace('_', '-')} belongs to {option} {having}; got it with {option} {chosen}.")
    return owners[chosen].Options(**said)


def hints(owner: type) -> dict[str, Any]:
    """The types of an owner's options, by name."""
    return get_type_hints(owner.Options, include_extras=True)


def all_options(name: str, owners: Mapping[str, type]) -> type:
    """A dataclass of that name with the options of all owners; None stands for what is not given."""
    found: dict[str, tuple] = {}
    for owner, kind in owners.items():
        defaults = {field.name: field.default for field in fields(kind.Options)}
        for option, hint in hints(kind).items():
            typed, shown = get_args(hint)[:2]
            having = found[option][1] if option in found else []
            found[option] = (typed, [*having, owner], shown, defaults[option])
    spelled = []
    for option, (typed, having, shown, default) in found.items():
        told = copy(shown)
        usual = "" if default is None or default is False or default == () else f" By default {default}."
        told.help = f"{', '.join(having)}: {shown.help}{usual}"
        spelled.append((option, Annotated[typed | None, told], None))
    return make_dataclass(name, spelled, frozen=True)
