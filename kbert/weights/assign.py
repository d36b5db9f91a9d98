"""Arrays into variables: all of them or none, and one error that lists everything that does not fit."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kbert.weights.table import HEADS


def assign(
    variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], new: Sequence[str] = (), source: str = "the arrays"
) -> list[str]:
    """Give every variable the array of its name; nothing is assigned unless all fit.

    Heads in `arrays` that the model has no part for (a pre-training head, another task's) stay unused: a line on the
    logger `kbert.weights.assign`, level INFO, names them.

    Args:
        variables: name -> variable with `shape` and `assign`.
        arrays: name -> array.
        new: prefixes of the only names that may be absent from `arrays`: the heads that a task adds.
        source: where the arrays come from, for the error.

    Returns:
        The names under `new` that were absent: these variables keep their random values. The caller says so.

    Raises:
        ValueError: missing, surplus or mis-shaped tensors; lists them all.
    """
    heads = {name.split("/")[0] + "/" for name in variables}
    unused = [name for name in arrays if name not in variables and name.startswith(HEADS)]
    unused = [name for name in unused if name.split("/")[0] + "/" not in heads]
    absent = [name for name in variables if name not in arrays]
    fresh = [name for name in absent if name.startswith(tuple(new))]
    _check(
        missing=[f"{name} {list(variables[name].shape)}" for name in absent if name not in fresh],
        surplus=[f"{k} {list(a.shape)}" for k, a in arrays.items() if k not in variables and k not in unused],
        misshaped=[
            f"{name} is {list(arrays[name].shape)} for {list(variable.shape)}"
            for name, variable in variables.items()
            if name in arrays and tuple(arrays[name].shape) != tuple(variable.shape)
        ],
        source=source,
    )
    for name, variable in variables.items():
        if name in arrays:
            variable.assign(arrays[name])
    if unused:
        logging.getLogger(__name__).info("%s: heads left unused: %s", source, ", ".join(sorted(unused)))
    return fresh


def check_shapes(
    shapes: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    absent: Sequence[str] = (),
    source: str = "the arrays",
) -> None:
    """Hold arrays to the shapes of an encoder; heads are free, names under `absent` may be missing.

    Raises:
        ValueError: missing, surplus or mis-shaped tensors; lists them all.
    """
    optional = tuple(absent)
    _check(
        missing=[f"{k} {list(s)}" for k, s in shapes.items() if k not in arrays and not k.startswith(optional)],
        surplus=[f"{k} {list(a.shape)}" for k, a in arrays.items() if k not in shapes and not k.startswith(HEADS)],
        misshaped=[
            f"{name} is {list(arrays[name].shape)} for {list(shape)}"
            for name, shape in shapes.items()
            if name in arrays and tuple(arrays[name].shape) != tuple(shape)
        ],
        source=source,
    )


def _check(missing: list[str], surplus: list[str], misshaped: list[str], source: str) -> None:
    found = {"missing": missing, "surplus": surplus, "of another shape": misshaped}
    told = "; ".join(f"{len(names)} {what}: {', '.join(names)}" for what, names in found.items() if names)
    if told:
        raise ValueError(
            f"The tensors of {source} must be those of the model; got {told}. "
            "Check that the config belongs to the weights, and that the model is the one they were saved from."
        )
