"""Options that belong to one of several things, a task or a format: all are shown, and one given to another is refused.

Light to import: the command line's `--help` reads them all.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import fields, make_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from kbert.cli.errors import WrongUse


def options_of(owners: Mapping[str, type], chosen: str, given: Any, option: str) -> Any:
    """The `Options` of the chosen owner, from an instance of what `all_options` made.

    Args:
        owners: name -> a class with `Options`, a frozen dataclass of Annotated typer options, each with a default.
        chosen: one of the names.
        given: None stands for what is not given.
        option: by which one is chosen, for the error: "--task".

    Raises:
        WrongUse: an option of another owner is given, or another owner's value of one that both have.
    """
    own = hints(owners[chosen])
    said = {field.name: getattr(given, field.name) for field in fields(given)}
    said = {name: value for name, value in said.items() if value is not None}
    for name, value in said.items():
        spelled = f"--{name.replace('_', '-')}"
        if name not in own:
            having = " and ".join(owner for owner, kind in owners.items() if name in hints(kind))
            raise WrongUse(f"{spelled} belongs to {option} {having}; got it with {option} {chosen}.")
        if (known := choices(get_args(own[name])[0])) and value not in known:
            raise WrongUse(f"{spelled} is {' or '.join(known)} with {option} {chosen}; got {value}.")
    return owners[chosen].Options(**said)


def hints(owner: type) -> dict[str, Any]:
    """The types of an owner's options, by name."""
    return get_type_hints(owner.Options, include_extras=True)


def choices(kind: Any) -> tuple[str, ...]:
    """The words of a Literal, () of another type.

    >>> choices(Literal["a", "b"]), choices(int)
    (('a', 'b'), ())
    """
    return get_args(kind) if get_origin(kind) is Literal else ()


def all_options(name: str, owners: Mapping[str, type]) -> type:
    """A dataclass of that name with the options of all owners; None stands for what is not given.

    An option that several have is told once where they tell the same of it; its words are those of all.
    """
    found: dict[str, list[tuple]] = {}
    for owner, kind in owners.items():
        defaults = {field.name: field.default for field in fields(kind.Options)}
        for option, hint in hints(kind).items():
            typed, shown = get_args(hint)[:2]
            default = defaults[option]
            usual = "" if default is None or default is False else f" By default {default}."
            found.setdefault(option, []).append((owner, typed, shown, f"{shown.help}{usual}"))
    spelled = []
    for option, having in found.items():
        told: dict[str, list[str]] = {}
        for owner, _, _, words in having:
            told.setdefault(words, []).append(owner)
        shown, typed = copy(having[0][2]), having[0][1]
        shown.help = " ".join(f"{', '.join(some)}: {words}" for words, some in told.items())
        if words := tuple(dict.fromkeys(word for _, kind, _, _ in having for word in choices(kind))):
            typed = Literal[words]
        spelled.append((option, Annotated[typed | None, shown], None))
    return make_dataclass(name, spelled, frozen=True)
