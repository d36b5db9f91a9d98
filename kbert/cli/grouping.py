"""Groups of options: a command takes a few frozen dataclasses, and its user sees their fields as plain options."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose parameters that are dataclasses are spelled out, a parameter a field, for typer.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Size:
    ...     width: int = 3
    >>> @grouped
    ... def draw(name: str, size: Size):
    ...     return name, size
    >>> inspect.signature(draw)
    <Signature (*, name: str, width: int = 3)>
    >>> draw(name="box", width=5)
    ('box', Size(width=5))
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    spelled = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            spelled += parameters(groups[name])
        else:
            spelled.append(parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def flat(**given):
        filled = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        return command(**given, **filled)

    flat.__signature__ = inspect.Signature(spelled)
    del flat.__wrapped__  # or typer would look through it
    return flat


def parameters(group: type) -> list[inspect.Parameter]:
    """The fields of a dataclass as parameters by keyword."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
