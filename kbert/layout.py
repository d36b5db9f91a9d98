"""Layout: where the tokens of a batch lie, with padding removed or kept; the one place that knows which.

B batch, T tokens, N real tokens in the batch (N = B * T where padding is kept).

Dense layers, norms and dropout see tokens as [N, D] and never ask whether a row ended; attention asks for rows [B, T, D] and gives
tokens back. Removing padding makes the cost of a batch follow its real tokens (Zeng et al. 2022, "Boosting Distributed Training
Performance of the Unpadded BERT Model"); keeping it makes every shape static, which XLA, TPUs and TFLite need.
"""

from typing import Protocol

import tensorflow as tf

BLOCKED = (
    -1e4
)  # added to the score of a padded key: exp(-1e4) is 0 in float32 and bfloat16, and int8 calibration survives it


class Layout(Protocol):
    """What layers may ask. `mask_bias` [B, 1, 1, T] is 0 at real keys and `BLOCKED` at padding, or None where nothing is padded."""

    mask_bias: tf.Tensor | None
    positions: tf.Tensor

    def to_tokens(self, rows: tf.Tensor) -> tf.Tensor:
        """[B, T, ...] -> [N, ...]."""

    def to_rows(self, tokens: tf.Tensor) -> tf.Tensor:
        """[N, D] -> [B, T, D], zeros at removed padding."""

    def first(self, tokens: tf.Tensor) -> tf.Tensor:
        """[N, D] -> [B, D], the token at position 0 of every row ([CLS])."""


class Unpadded:
    """Real tokens only: N changes with every batch, so shapes are dynamic. For training and serving on CPU and GPU.

    Args:
        input_mask: int [B, T], 1 = a token. The first token of every row must be real.
    """

    def __init__(self, input_mask: tf.Tensor):
        shape = tf.shape(input_mask)
        self._num_rows, self._length = shape[0], shape[1]
        real = tf.cast(tf.reshape(input_mask, [-1]), tf.bool)
        self._slots = tf.cast(tf.where(real), tf.int32)  # [N, 1], each token's place among the B * T slots
        self.positions = tf.reshape(self._slots, [-1]) % self._length  # [N]
        self.mask_bias = _mask_bias(input_mask)

    def to_tokens(self, rows: tf.Tensor) -> tf.Tensor:
        return _take(tf.reshape(rows, tf.concat([[self._num_slots], tf.shape(rows)[2:]], 0)), self._slots)

    def to_rows(self, tokens: tf.Tensor) -> tf.Tensor:
        width = tokens.shape[-1]
        return tf.reshape(_put(tokens, self._slots, self._num_slots), [self._num_rows, self._length, width])

    def first(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.boolean_mask(tokens, tf.equal(self.positions, 0))

    @property
    def _num_slots(self) -> tf.Tensor:
        return self._num_rows * self._length


class Padded:
    """Every slot is kept: N = B * T, shapes are static where the input's are. For XLA, TPU and TFLite.

    Args:
        input_mask: int [B, T], 1 = a token; None where every slot is a real token.
        like: any [B, T] tensor, needed where `input_mask` is None.
    """

    def __init__(self, input_mask: tf.Tensor | None, like: tf.Tensor | None = None):
        slots = input_mask if input_mask is not None else like
        self._length = slots.shape[1] if slots.shape[1] is not None else tf.shape(slots)[1]
        num_rows = slots.shape[0] if slots.shape[0] is not None else tf.shape(slots)[0]
        self._one_row = slots.shape[0] == 1
        self.positions = tf.range(self._length) if self._one_row else tf.tile(tf.range(self._length), [num_rows])  # [N]
        self.mask_bias = None if input_mask is None else _mask_bias(input_mask)

    def to_tokens(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(rows, [-1, *rows.shape[2:]])

    def to_rows(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tokens, [1 if self._one_row else -1, self._length, tokens.shape[-1]])

    def first(self, tokens: tf.Tensor) -> tf.Tensor:
        return tokens[:1] if self._one_row else self.to_rows(tokens)[:, 0]


def _mask_bias(input_mask: tf.Tensor) -> tf.Tensor:
    return (1.0 - tf.cast(input_mask, tf.float32))[:, None, None, :] * BLOCKED  # [B, 1, 1, T]


def _take(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Rows of `values` at `index` [N, 1]. Every index occurs once, so the gradient is a plain scatter, not TensorFlow's slow sum."""

    @tf.custom_gradient
    def take(values):
        shape = tf.shape(values)
        return tf.gather_nd(values, index), lambda upstream: tf.scatter_nd(index, upstream, shape)

    return take(values)


def _put(values: tf.Tensor, index: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """`values` [N, D] at `index` [N, 1] of a zero tensor [size, D]; the inverse of `_take`."""

    @tf.custom_gradient
    def put(values):
        rows = tf.scatter_nd(index, values, tf.stack([size, values.shape[-1]]))
        return rows, lambda upstream: tf.gather_nd(upstream, index)

    return put(values)
