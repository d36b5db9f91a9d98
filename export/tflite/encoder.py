"""The encoder for devices: the equations of `kbert.encoder`, in operations that TFLite has fast kernels for.

B batch, T tokens (known before, unlike B), D width, H heads, K = D / H width of a head.

Differences to what Keras traces: query, key and value are three products, since a device splits one tensor of five
axes slowly, and the query's is scaled before; GELU is one operation; the position table ends at the greatest T, and
the token table lacks what no text becomes; both may be held in fewer bits (`Precision`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from export.tflite.reachable import KeptRows
from kbert.config import BertConfig
from kbert.layout import BLOCKED, Padded

ROLES = ("query", "key", "value")
MODEST = -30.0  # of a padded key's score where scores are quantized: -1e4 would leave one step for all the others


@dataclass(frozen=True)
class Precision:
    """How a file holds the tables of tokens and positions, and what it computes with.

    Args:
        table: float32 [V, D] -> a module that maps ids int32 [N] to float32 [N, D].
        blocked: added to the score of a padded key.
    """

    table: Callable[[np.ndarray], tf.Module]
    blocked: float = BLOCKED


class Whole(tf.Module):
    """Rows of a table in float32."""

    def __init__(self, table: np.ndarray):
        super().__init__()
        self.rows = tf.Variable(table, trainable=False)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 [N] -> float32 [N, D]."""
        return tf.gather(self.rows, ids)


class Bytewise(tf.Module):
    """Rows of a table that is held in int8, with a scale for each row."""

    def __init__(self, table: np.ndarray):
        super().__init__()
        scales = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)  # [V, 1]
        self.rows = tf.Variable(np.rint(table / scales).astype(np.int8), trainable=False)
        self.scales = tf.Variable(scales, trainable=False)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 [N] -> float32 [N, D]."""
        return tf.cast(tf.gather(self.rows, ids), tf.float32) * tf.gather(self.scales, ids)


class OneLength(Padded):
    """As `Padded`, for rows of a length that is known before, in batches of a size that is not."""

    def __init__(self, input_mask: tf.Tensor):
        self._length = input_mask.shape[1]
        self.input_mask = input_mask


class DeviceEncoder(tf.Module):
    """`Encoder.encode_layers` of a trained encoder, for a device.

    Its weights are variables of its own, so that the signatures of a file share them.

    Args:
        config: of the encoder.
        weights: kbert's name of a weight -> its values.
        precision: see there.
        positions: the greatest T.
        rows: the token table's.
    """

    def __init__(
        self,
        config: BertConfig,
        weights: Mapping[str, np.ndarray],
        precision: Precision,
        positions: int,
        rows: KeptRows,
    ):
        super().__init__()
        self.config, self.blocked = config, precision.blocked
        self.rows = rows
        self.token = precision.table(weights["embeddings/token"][rows.kept])
        self.position = precision.table(weights["embeddings/position"][:positions])
        self.segment = weights["embeddings/segment"]
        self.norms = {name: values for name, values in weights.items() if name.endswith(("/gamma", "/beta"))}
        self.kernels: dict[str, tf.Variable] = {}
        self.biases: dict[str, np.ndarray] = {}
        for number in range(config.num_hidden_layers):
            layer = f"layer_{number}"
            for name in (f"{layer}/widen", f"{layer}/shrink", f"{layer}/attention/output"):
                self._hold(name, weights[f"{name}/kernel"], weights[f"{name}/bias"])
            fused = f"{layer}/attention/query_key_value"
            thirds = (np.split(weights[f"{fused}/{part}"], 3, axis=-1) for part in ("kernel", "bias"))
            for role, kernel, bias in zip(ROLES, *thirds, strict=True):
                scale = 1 / math.sqrt(config.hidden_size // config.num_attention_heads) if role == "query" else 1.0
                self._hold(f"{layer}/attention/{role}", kernel * scale, bias * scale)

    def _hold(self, name: str, kernel: np.ndarray, bias: np.ndarray) -> None:
        self.kernels[name] = tf.Variable(kernel.astype("float32"), trainable=False)
        self.biases[name] = bias.astype("float32")

    def __call__(self, inputs: Mapping[str, tf.Tensor], seed=None) -> tuple[OneLength, list[tf.Tensor]]:
        """The layout of the batch, and the embeddings and every block's output, [B * T, D]."""
        mask = inputs["input_mask"]
        bias = (1.0 - tf.cast(mask, tf.float32))[:, tf.newaxis, tf.newaxis] * self.blocked  # [B, 1, 1, T]
        x = self._embed(inputs["input_word_ids"], inputs["input_type_ids"])
        outputs = [x]
        for number in range(self.config.num_hidden_layers):
            x = self._block(x, f"layer_{number}", bias)
            outputs.append(x)
        return OneLength(mask), outputs

    def _embed(self, ids, types):
        length = ids.shape[1]
        flat_ids, flat_types = (tf.reshape(part, [-1]) for part in (ids, types))
        # Of every token, which a graph cannot know before: so all lengths of a file read one table.
        places = tf.math.floormod(tf.range(tf.size(flat_ids)), length)
        x = self.token(self.rows(flat_ids)) + self.position(places) + tf.gather(tf.constant(self.segment), flat_types)
        return self._norm(x, "embeddings/norm")  # [B * T, D]

    def _block(self, x, name, bias):
        x = self._norm(x + self._attend(x, f"{name}/attention", bias), f"{name}/attention_norm")
        inner = self._activate(self._dense(x, f"{name}/widen"))
        return self._norm(x + self._dense(inner, f"{name}/shrink"), f"{name}/output_norm")

    def _attend(self, x, name, bias):
        heads, length = self.config.num_attention_heads, bias.shape[-1]
        width = self.config.hidden_size // heads
        query, key, value = (
            tf.transpose(tf.reshape(self._dense(x, f"{name}/{role}"), [-1, length, heads, width]), [0, 2, 1, 3])
            for role in ROLES
        )  # [B, H, T, K]
        probabilities = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)  # [B, H, T, T]
        context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])  # [B, T, H, K]
        return self._dense(tf.reshape(context, [-1, heads * width]), f"{name}/output")

    def _dense(self, x, name):
        return tf.matmul(x, self.kernels[name]) + self.biases[name]

    def _norm(self, x, name):
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        scaled = centred * tf.math.rsqrt(variance + self.config.layer_norm_eps)
        return scaled * self.norms[f"{name}/gamma"] + self.norms[f"{name}/beta"]

    def _activate(self, x):
        if self.config.hidden_act == "relu":
            return tf.nn.relu(x)
        return tf.nn.gelu(x, approximate=self.config.hidden_act == "gelu_tanh")
