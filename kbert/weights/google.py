"""Google's layout: a TensorFlow 1 checkpoint, `bert_model.ckpt.index` and `.data-00000-of-00001`.

Names as google-research/bert's modeling.py, run_pretraining.py, run_classifier.py and run_squad.py make them.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kbert.weights.table import TRANSPOSED, Loaded, expand, load, save

CHECKPOINT = "bert_model.ckpt"

TABLE = (
    ("embeddings/token", "bert/embeddings/word_embeddings"),
    ("embeddings/position", "bert/embeddings/position_embeddings"),
    ("embeddings/segment", "bert/embeddings/token_type_embeddings"),
    ("embeddings/norm/gamma", "bert/embeddings/LayerNorm/gamma"),
    ("embeddings/norm/beta", "bert/embeddings/LayerNorm/beta"),
    (
        "layer_{i}/attention/query_key_value/kernel",
        "bert/encoder/layer_{i}/attention/self/{query,key,value}/kernel",
    ),
    ("layer_{i}/attention/query_key_value/bias", "bert/encoder/layer_{i}/attention/self/{query,key,value}/bias"),
    ("layer_{i}/attention/output/kernel", "bert/encoder/layer_{i}/attention/output/dense/kernel"),
    ("layer_{i}/attention/output/bias", "bert/encoder/layer_{i}/attention/output/dense/bias"),
    ("layer_{i}/attention_norm/gamma", "bert/encoder/layer_{i}/attention/output/LayerNorm/gamma"),
    ("layer_{i}/attention_norm/beta", "bert/encoder/layer_{i}/attention/output/LayerNorm/beta"),
    ("layer_{i}/widen/kernel", "bert/encoder/layer_{i}/intermediate/dense/kernel"),
    ("layer_{i}/widen/bias", "bert/encoder/layer_{i}/intermediate/dense/bias"),
    ("layer_{i}/shrink/kernel", "bert/encoder/layer_{i}/output/dense/kernel"),
    ("layer_{i}/shrink/bias", "bert/encoder/layer_{i}/output/dense/bias"),
    ("layer_{i}/output_norm/gamma", "bert/encoder/layer_{i}/output/LayerNorm/gamma"),
    ("layer_{i}/output_norm/beta", "bert/encoder/layer_{i}/output/LayerNorm/beta"),
    ("pooler/kernel", "bert/pooler/dense/kernel"),
    ("pooler/bias", "bert/pooler/dense/bias"),
    ("masked_tokens/transform/kernel", "cls/predictions/transform/dense/kernel"),
    ("masked_tokens/transform/bias", "cls/predictions/transform/dense/bias"),
    ("masked_tokens/norm/gamma", "cls/predictions/transform/LayerNorm/gamma"),
    ("masked_tokens/norm/beta", "cls/predictions/transform/LayerNorm/beta"),
    ("masked_tokens/bias", "cls/predictions/output_bias"),
    ("next_sentence/kernel", "cls/seq_relationship/output_weights", TRANSPOSED),
    ("next_sentence/bias", "cls/seq_relationship/output_bias"),
    ("span/kernel", "cls/squad/output_weights", TRANSPOSED),
    ("span/bias", "cls/squad/output_bias"),
    ("classifier/kernel", "output_weights", TRANSPOSED),
    ("classifier/bias", "output_bias"),
)

# State of Google's own optimizer and of TensorFlow's Adam, step counters, loss scaling: no weights of a model.
IGNORED = r"(^|/)(adam_m|adam_v|Adam|Adam_1|beta[12]_power|global_step|good_steps|(current_)?loss_scale)$"


def read(prefix: str | os.PathLike[str], num_layers: int) -> Loaded:
    """Read a checkpoint; `prefix` is its path up to and including `.ckpt`.

    Raises:
        FileNotFoundError: the index or the data is not there.
        ValueError: a tensor that is not of a float type, or parts that do not fit.
    """
    import tensorflow as tf

    prefix = Path(prefix)
    for pattern in ("index", "data-*-of-*"):
        if not list(prefix.parent.glob(f"{prefix.name}.{pattern}")):
            raise FileNotFoundError(
                f"A checkpoint is {prefix.name}.index and {prefix.name}.data-00000-of-00001; got no "
                f"{prefix.name}.{pattern} in {prefix.parent}. Unpack the whole release there."
            )
    reader = tf.train.load_checkpoint(str(prefix))
    names = sorted(reader.get_variable_to_shape_map())
    return load(expand(TABLE, num_layers), names, reader.get_tensor, ignored=IGNORED)


def write(prefix: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], num_layers: int) -> None:
    """Write arrays under our names as a checkpoint that `tf.train.load_checkpoint` and Google's code read.

    Raises:
        ValueError: names that the layout has no place for.
    """
    import tensorflow as tf

    tensors = save(expand(TABLE, num_layers), arrays)
    with tf.device("CPU"):
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(tensor) for tensor in tensors.values()],
        )
