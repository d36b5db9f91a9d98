"""The encoder for devices: the equations of `kbert.encoder`, in operations that TFLite has fast kernels for.

B batch, T tokens (known before, unlike B), D width, H heads, K = D / H width of a head.

Differences to what Keras traces: query, key and value are three products, since a device splits one tensor of five
axes slowly, and the query's is scaled before; GELU is one operation; the position table ends at T; the token table may
be held in fewer bits (`Precision`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kbert.config import BertConfig
from kbert.layout import BLOCKED, Padded

MODEST = -30.0  # of a padded key's score where scores are quantized: -1e4 would leave one step for all the others


@dataclass(frozen=True)
class Precision:
    """How a file holds weights and computes.

    Args:
        table: (float32 [V, D], name) -> the function ids int32 [N] -> float32 [N, D].
        blocked: added to the score of a padded key.
    """

    table: Callable[[np.ndarray, str], Callable[[tf.Tensor], tf.Tensor]]
    blocked: float = BLOCKED


def whole(table: np.ndarray, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Rows of a table in float32."""
    held = tf.constant(table, name=name)
    return lambda ids: tf.gather(held, ids)


def half(table: np.ndarray, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Rows of a table that is held in float16."""
    held = tf.constant(table.astype(np.float16), name=name)
    return lambda ids: tf.cast(tf.gather(held, ids), tf.float32)


def bytewise(table: np.ndarray, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Rows of a table that is held in int8, with a scale for each row."""
    scales = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)  # [V, 1]
    held = tf.constant(np.rint(table / scales).astype(np.int8), name=name)
    scale = tf.constant(scales, name=f"{name}_scales")
    return lambda ids: tf.cast(tf.gather(held, ids), tf.float32) * tf.gather(scale, ids)


class OneLength(Padded):
    """As `Padded`, for rows of a length that is known before, in batches of a size that is not."""

    def __init__(self, input_mask: tf.Tensor):
        self._length = input_mask.shape[1]
        self.input_mask = input_mask


class DeviceEncoder:
    """`Encoder.encode_layers` of a trained encoder, for a device.

    Args:
        config: of the encoder.
        weights: kbert's name of a weight -> its values.
        precision: see there.
        length: T.
    """

    def __init__(self, config: BertConfig, weights: Mapping[str, np.ndarray], precision: Precision, length: int):
        self.config, self.weights, self.precision, self.length = config, weights, precision, length

    def __call__(self, inputs: Mapping[str, tf.Tensor], seed=None) -> tuple[OneLength, list[tf.Tensor]]:
        """The layout of the batch, and the embeddings and every block's output, [B * T, D]."""
        mask = inputs["input_mask"]
        bias = (1.0 - tf.cast(mask, tf.float32))[:, tf.newaxis, tf.newaxis] * self.precision.blocked  # [B, 1, 1, T]
        x = self._embed(inputs["input_word_ids"], inputs["input_type_ids"])
        outputs = [x]
        for number in range(self.config.num_hidden_layers):
            x = self._block(x, f"layer_{number}", bias)
            outputs.append(x)
        return OneLength(mask), outputs

    def _embed(self, ids, types):
        token = self.precision.table(self.weights["embeddings/token"], "token")
        segment = tf.constant(self.weights["embeddings/segment"])
        position = self.weights["embeddings/position"][: self.length]
        flat_ids, flat_types = (tf.reshape(part, [-1]) for part in (ids, types))
        x = token(flat_ids) + tf.gather(segment, flat_types)  # [B * T, D]
        x = tf.reshape(x, [-1, self.length, self.config.hidden_size]) + position
        return self._norm(tf.reshape(x, [-1, self.config.hidden_size]), "embeddings/norm")

    def _block(self, x, name, bias):
        x = self._norm(x + self._attend(x, f"{name}/attention", bias), f"{name}/attention_norm")
        inner = self._activate(self._dense(x, f"{name}/widen"))
        return self._norm(x + self._dense(inner, f"{name}/shrink"), f"{name}/output_norm")

    def _attend(self, x, name, bias):
        heads = self.config.num_attention_heads
        width = self.config.hidden_size // heads
        kernels = np.split(self.weights[f"{name}/query_key_value/kernel"], 3, axis=1)
        biases = np.split(self.weights[f"{name}/query_key_value/bias"], 3)
        kernels[0], biases[0] = (part / math.sqrt(width) for part in (kernels[0], biases[0]))
        query, key, value = (
            tf.transpose(tf.reshape(product(x, *part), [-1, self.length, heads, width]), [0, 2, 1, 3])
            for part in zip(kernels, biases, strict=True)
        )  # [B, H, T, K]
        probabilities = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)  # [B, H, T, T]
        context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])  # [B, T, H, K]
        return self._dense(tf.reshape(context, [-1, heads * width]), f"{name}/output")

    def _dense(self, x, name):
        return product(x, self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"])

    def _norm(self, x, name):
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        scaled = centred * tf.math.rsqrt(variance + self.config.layer_norm_eps)
        return scaled * self.weights[f"{name}/gamma"] + self.weights[f"{name}/beta"]

    def _activate(self, x):
        if self.config.hidden_act == "relu":
            return tf.nn.relu(x)
        return tf.nn.gelu(x, approximate=self.config.hidden_act == "gelu_tanh")


def product(x: tf.Tensor, kernel: np.ndarray, bias: np.ndarray) -> tf.Tensor:
    """x W + b, [N, D] -> [N, F]."""
    return tf.matmul(x, kernel) + bias
