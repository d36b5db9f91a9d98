"""TensorFlow Model Garden: arrays from and into an `official.nlp.modeling.networks.BertEncoderV2`.

Names are those of its variables without the encoder's own name before them. Its queries, keys and values stay split
into heads. It uses the tanh form of GELU unless told otherwise, and a layer norm epsilon of 1e-12.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kbert.weights.assign import assign
from kbert.weights.table import HEADS_FIRST, HEADS_LAST, Loaded, expand, load, save

_ATTENTION = "transformer/layer_{i}/self_attention"

TABLE = (
    ("embeddings/token", "word_embeddings/embeddings"),
    ("embeddings/position", "position_embedding/embeddings"),
    ("embeddings/segment", "type_embeddings/embeddings"),
    ("embeddings/norm/gamma", "embeddings/layer_norm/gamma"),
    ("embeddings/norm/beta", "embeddings/layer_norm/beta"),
    ("layer_{i}/attention/query_key_value/kernel", _ATTENTION + "/{query,key,value}/kernel", HEADS_LAST),
    ("layer_{i}/attention/query_key_value/bias", _ATTENTION + "/{query,key,value}/bias", HEADS_LAST),
    ("layer_{i}/attention/output/kernel", _ATTENTION + "/attention_output/kernel", HEADS_FIRST),
    ("layer_{i}/attention/output/bias", _ATTENTION + "/attention_output/bias"),
    ("layer_{i}/attention_norm/gamma", "transformer/layer_{i}/self_attention_layer_norm/gamma"),
    ("layer_{i}/attention_norm/beta", "transformer/layer_{i}/self_attention_layer_norm/beta"),
    ("layer_{i}/widen/kernel", "transformer/layer_{i}/intermediate/kernel"),
    ("layer_{i}/widen/bias", "transformer/layer_{i}/intermediate/bias"),
    ("layer_{i}/shrink/kernel", "transformer/layer_{i}/output/kernel"),
    ("layer_{i}/shrink/bias", "transformer/layer_{i}/output/bias"),
    ("layer_{i}/output_norm/gamma", "transformer/layer_{i}/output_layer_norm/gamma"),
    ("layer_{i}/output_norm/beta", "transformer/layer_{i}/output_layer_norm/beta"),
    ("pooler/kernel", "pooler_transform/kernel"),
    ("pooler/bias", "pooler_transform/bias"),
)


def read(encoder: Any) -> Loaded:
    """Arrays of a built BertEncoderV2 under our names.

    Raises:
        ValueError: the encoder has no variables yet.
    """
    variables = _variables(encoder)
    rows = expand(TABLE, encoder.get_config()["num_layers"])
    return load(rows, list(variables), lambda name: variables[name].numpy())


def write(arrays: Mapping[str, np.ndarray], encoder: Any) -> None:
    """Copy arrays under our names into a built BertEncoderV2 of the same sizes.

    Raises:
        ValueError: the encoder has no variables yet, or names or shapes that it does not have; lists them all.
    """
    settings = encoder.get_config()
    tensors = save(expand(TABLE, settings["num_layers"]), arrays, settings["num_attention_heads"])
    assign(_variables(encoder), tensors, new=(), source="kbert's arrays")


def _variables(encoder: Any) -> dict[str, Any]:
    if not encoder.weights:
        raise ValueError(
            "A BertEncoderV2 has variables once it was called; got one without. Call encoder(encoder.inputs)."
        )
    return {v.name.split(":")[0].split(f"{encoder.name}/", 1)[-1]: v for v in encoder.weights}
