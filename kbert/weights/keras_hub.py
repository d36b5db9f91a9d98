"""KerasHub: arrays from and into a `keras_hub.models.BertBackbone`, and its presets on disk.

Names are the paths of its variables. Its queries, keys and values stay split into heads. It uses the tanh form of GELU
and a layer norm epsilon of 1e-12.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kbert.config import BertConfig
from kbert.weights.assign import assign
from kbert.weights.table import HEADS_FIRST, HEADS_LAST, Loaded, expand, load, save

_ATTENTION = "transformer_layer_{i}/self_attention_layer"

TABLE = (
    ("embeddings/token", "token_embedding/embeddings"),
    ("embeddings/position", "position_embedding/embeddings"),
    ("embeddings/segment", "segment_embedding/embeddings"),
    ("embeddings/norm/gamma", "embeddings_layer_norm/gamma"),
    ("embeddings/norm/beta", "embeddings_layer_norm/beta"),
    ("layer_{i}/attention/query_key_value/kernel", _ATTENTION + "/{query,key,value}/kernel", HEADS_LAST),
    ("layer_{i}/attention/query_key_value/bias", _ATTENTION + "/{query,key,value}/bias", HEADS_LAST),
    ("layer_{i}/attention/output/kernel", _ATTENTION + "/attention_output/kernel", HEADS_FIRST),
    ("layer_{i}/attention/output/bias", _ATTENTION + "/attention_output/bias"),
    ("layer_{i}/attention_norm/gamma", "transformer_layer_{i}/self_attention_layer_norm/gamma"),
    ("layer_{i}/attention_norm/beta", "transformer_layer_{i}/self_attention_layer_norm/beta"),
    ("layer_{i}/widen/kernel", "transformer_layer_{i}/feedforward_intermediate_dense/kernel"),
    ("layer_{i}/widen/bias", "transformer_layer_{i}/feedforward_intermediate_dense/bias"),
    ("layer_{i}/shrink/kernel", "transformer_layer_{i}/feedforward_output_dense/kernel"),
    ("layer_{i}/shrink/bias", "transformer_layer_{i}/feedforward_output_dense/bias"),
    ("layer_{i}/output_norm/gamma", "transformer_layer_{i}/feedforward_layer_norm/gamma"),
    ("layer_{i}/output_norm/beta", "transformer_layer_{i}/feedforward_layer_norm/beta"),
    ("pooler/kernel", "pooled_dense/kernel"),
    ("pooler/bias", "pooled_dense/bias"),
)

# Our fields by their arguments; one rate serves both of our dropouts.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "vocab_size": "vocabulary_size",
        "hidden_size": "hidden_dim",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "intermediate_size": "intermediate_dim",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "dropout",
        "max_position_embeddings": "max_sequence_length",
        "type_vocab_size": "num_segments",
    }
)
VOCABULARY = "assets/tokenizer/vocabulary.txt"


def read(backbone: Any) -> Loaded:
    """Arrays of a BertBackbone under our names."""
    variables = {variable.path: variable for variable in backbone.weights}
    return load(expand(TABLE, backbone.num_layers), list(variables), lambda name: variables[name].numpy())


def write(arrays: Mapping[str, np.ndarray], backbone: Any) -> None:
    """Copy arrays under our names into a BertBackbone of the same sizes.

    Raises:
        ValueError: names or shapes that the backbone does not have; lists them all.
    """
    tensors = save(expand(TABLE, backbone.num_layers), arrays, backbone.num_heads)
    assign({variable.path: variable for variable in backbone.weights}, tensors, new=(), source="kbert's arrays")


def config(serialized: Mapping[str, Any]) -> BertConfig:
    """Config from the content of a preset's config.json: {"class_name": "BertBackbone", "config": {...}}.

    Raises:
        ValueError: numbers are missing; names them.

    Example:
        >>> sizes = {"vocabulary_size": 17, "num_layers": 2, "num_heads": 3, "hidden_dim": 6, "intermediate_dim": 10}
        >>> rest = {"dropout": 0.1, "max_sequence_length": 7, "num_segments": 4}
        >>> config({"config": sizes | rest}).num_attention_heads
        3
    """
    settings = serialized.get("config", {})
    missing = [theirs for theirs in SETTINGS.values() if theirs not in settings]
    if missing:
        raise ValueError(f"A BertBackbone has {', '.join(SETTINGS.values())}; got none for {', '.join(missing)}.")
    return BertConfig(hidden_act="gelu_tanh", **{ours: settings[theirs] for ours, theirs in SETTINGS.items()})


def backbone(folder: str | os.PathLike[str], config: BertConfig) -> Any:
    """The BertBackbone of a KerasHub preset folder, built from its numbers and filled from model.weights.h5.

    Raises:
        ModuleNotFoundError: keras_hub is not installed.
        FileNotFoundError: no model.weights.h5.
    """
    weights = Path(folder) / "model.weights.h5"
    if not weights.is_file():
        raise FileNotFoundError(
            f"A KerasHub preset keeps its weights in {weights}, which is not there. Fetch it again."
        )
    built = library(folder).models.BertBackbone(**numbers(config))
    built.load_weights(str(weights))
    return built


def library(folder: str | os.PathLike[str]) -> Any:
    """The package keras_hub, for what is in, or will be in, a folder.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import keras_hub
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"A KerasHub preset is opened by keras_hub; got {folder} and no keras_hub. Run: pip install keras-hub."
        ) from error
    return keras_hub


def numbers(config: BertConfig) -> dict[str, Any]:
    """The arguments of a BertBackbone with a config's sizes."""
    return {theirs: getattr(config, ours) for ours, theirs in SETTINGS.items()}


def lowercase(folder: str | os.PathLike[str]) -> bool | None:
    """Whether a preset's own tokenizer.json lower-cases; None where there is none."""
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        return None
    said = json.loads(path.read_text("utf-8")).get("config", {})
    return bool(said.get("lowercase", False))
