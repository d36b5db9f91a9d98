"""Checkpoints of a training: every number that the next step depends on, in one safetensors file.

A file holds the model's weights, its dropout's seeds and, where it is to be resumed, the optimizer's moments and step;
its metadata holds a small dict of the trainer's. Restoring gives the same bits, so a resumed run is the same run.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kbert.runs import beside

STATE = "kbert_state"


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
    """
    from safetensors.numpy import save_file

    named = variables(model, with_optimizer=with_optimizer)
    arrays = {name: np.asarray(keras.ops.convert_to_tensor(variable), order="C") for name, variable in named.items()}
    with beside(path) as unfinished:
        save_file(arrays, unfinished, metadata={STATE: json.dumps(state)})


def restore(path: Path, model: keras.Model, *, with_optimizer: bool) -> dict[str, Any]:
    """Reads a checkpoint into a model (and its built optimizer), and returns the trainer's state.

    Raises:
        ValueError: the file's tensors are not those of this model; names the first few. Or the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    named = variables(model, with_optimizer=with_optimizer)
    damaged = f"A checkpoint is a whole safetensors file with {STATE} in its metadata; {path} is damaged"
    remedy = "Bring it back from a copy, or train anew with --overwrite instead of --resume."
    try:
        with safe_open(path, "numpy") as file:
            state = json.loads((file.metadata() or {}).get(STATE, "null"))
            if not isinstance(state, dict):
                raise ValueError(f"{damaged}: {STATE} is {state!r}. {remedy}")
            names = set(file.keys())
            wrong = sorted(names ^ set(named))
            wrong += [n for n in sorted(names & set(named)) if file.get_slice(n).get_shape() != list(named[n].shape)]
            if wrong:
                told = ", ".join(wrong[:4])
                raise ValueError(f"A checkpoint fits the model that wrote it; {path} differs in {told}.")
            for name, variable in named.items():
                variable.assign(file.get_tensor(name))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{damaged}: {error}. {remedy}") from error
    return state
