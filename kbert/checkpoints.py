"""Checkpoints of a training: every number that the next step depends on, in one safetensors file.

A file holds the model's weights, its dropout's seeds and, where it is to be resumed, the optimizer's moments and step;
its metadata holds a small dict of the trainer's, and a digest of all this. Restoring gives the same bits, so a resumed
run is the same run; and a file that is not what was written is known from one that is.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kbert.whole_files import beside

META, STATE, DIGEST = "kbert", "state", "sha256"  # one key of the file's metadata, so that its bytes are always alike

REMEDY = "Bring it back from a copy, or train anew with --overwrite instead of --resume."


class DamagedCheckpoint(ValueError):
    """A checkpoint that is not whole, or not what was written."""


def variables(model: keras.Model, *, with_optimizer: bool) -> dict[str, keras.Variable]:
    """The variables of a checkpoint by name: a weight's own, or a place among those that Keras numbers anew."""
    named = {f"weights/{weight.path}": weight for weight in model.weights}
    weights = set(map(id, model.weights))
    seeds = [variable for variable in model.variables if id(variable) not in weights]
    named |= {f"seeds/{place}": variable for place, variable in enumerate(seeds)}
    if with_optimizer:
        named |= {f"optimizer/{place:04d}": variable for place, variable in enumerate(model.optimizer.variables)}
    return named


def save(path: Path, model: keras.Model, state: dict[str, Any], *, with_optimizer: bool) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        path: *.safetensors.
        model: compiled; its optimizer is built where `with_optimizer`.
        state: JSON-able.
        with_optimizer: also the optimizer's variables, three times the size.

    Raises:
        OSError: no room, or no right to write; names the file.
    """
    from safetensors.numpy import save_file

    named = variables(model, with_optimizer=with_optimizer)
    arrays = {name: np.asarray(variable.numpy(), order="C") for name, variable in named.items()}
    content = {STATE: state, DIGEST: digest(state, ((name, arrays[name]) for name in sorted(arrays)))}
    with beside(path) as unfinished:
        save_file(arrays, unfinished, metadata={META: json.dumps(content)})


def restore(path: Path, model: keras.Model, *, with_optimizer: bool) -> dict[str, Any]:
    """Reads a checkpoint into a model (and its built optimizer), and returns the trainer's state.

    Raises:
        DamagedCheckpoint: the file is not whole, or not what was written; the model is as it was.
        ValueError: the file's tensors are not those of this model; names the first few.
    """
    from safetensors import SafetensorError, safe_open

    named = variables(model, with_optimizer=with_optimizer)
    try:
        with safe_open(path, "numpy") as file:
            names = sorted(file.keys())
            content = _content(path, file.metadata())
            state = content[STATE]
            if content.get(DIGEST) != digest(state, ((name, file.get_tensor(name)) for name in names)):
                raise DamagedCheckpoint(f"{_damaged(path)}: it is not what its {DIGEST} says. {REMEDY}")
            wrong = sorted(set(names) ^ set(named))
            wrong += [n for n in sorted(named) if n in names and file.get_slice(n).get_shape() != list(named[n].shape)]
            if wrong:
                told = ", ".join(wrong[:4])
                raise ValueError(f"A checkpoint fits the model that wrote it; {path} differs in {told}.")
            for name, variable in named.items():
                variable.assign(file.get_tensor(name))
    except SafetensorError as error:
        raise DamagedCheckpoint(f"{_damaged(path)}: {error}. {REMEDY}") from error
    return state


def state(path: Path) -> dict[str, Any]:
    """The trainer's state in a checkpoint, whose arrays are left alone.

    Raises:
        DamagedCheckpoint: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return _content(path, file.metadata())[STATE]
    except SafetensorError as error:
        raise DamagedCheckpoint(f"{_damaged(path)}: {error}. {REMEDY}") from error


def _content(path: Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    """What the metadata of a checkpoint says: its state and its digest."""
    said = (metadata or {}).get(META, "null")
    try:
        content = json.loads(said)
    except json.JSONDecodeError as error:
        raise DamagedCheckpoint(f"{_damaged(path)}: {error}. {REMEDY}") from error
    if not isinstance(content, dict) or not isinstance(content.get(STATE), dict):
        raise DamagedCheckpoint(f"{_damaged(path)}: {META} is {content!r}. {REMEDY}")
    return content


def _damaged(path: Path) -> str:
    return f"A checkpoint is a whole safetensors file with {META} in its metadata; {path} is damaged"


def digest(state: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """SHA-256 of a checkpoint's content: its state and, in order, each name, type, shape and array."""
    found = hashlib.sha256(json.dumps(state).encode())
    for name, array in arrays:
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(memoryview(array.reshape(-1)).cast("B"))
    return found.hexdigest()
