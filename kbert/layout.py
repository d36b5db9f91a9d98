"""Layout: where the tokens of a batch lie, with padding removed or kept; the one place that knows which.

B batch, T tokens, N real tokens in the batch (N = B * T where padding is kept), W width of a token's vector, P slots
for masked tokens in a row, S examples that share a row, M slots that count.

Dense layers, norms and dropout see tokens as [N, W] and never ask whether a row ended; attention asks for rows
[B, T, ...] and gives tokens back. Removing padding makes the cost of a batch follow its real tokens (Zeng et al. 2022,
"Boosting Distributed Training Performance of the Unpadded BERT Model"); keeping it makes every shape static, which XLA,
TPUs and TFLite need. Several short examples may share a row: `input_example_ids`, int [B, T], numbers them from 1 (0 is
padding); none attends to another, and positions count from the start of each (Krell et al. 2021, "Efficient Sequence
Packing without Cross-contamination").
"""

from typing import Protocol

import tensorflow as tf

BLOCKED = -1e4  # added to a padded key's score: its exp is 0 in float32 and bfloat16, and int8 calibration survives it


class Layout(Protocol):
    """What layers may ask; both kinds are made from `input_mask`, int [B, T], 1 = a token, and `input_example_ids`.

    The first token of every row must be real. `mask_bias` is float32 [B, 1, 1, T] ([B, 1, T, T] where examples share
    rows), 0 at keys that a query may see and `BLOCKED` at others; `positions` is int32 [N], each token's place in its
    example.
    """

    mask_bias: tf.Tensor
    positions: tf.Tensor
    compiles: bool  # whether chains of elementwise operations are compiled in training, see `kbert.chains`

    def to_tokens(self, rows: tf.Tensor) -> tf.Tensor:
        """[B, T, ...] -> [N, ...]."""

    def to_rows(self, tokens: tf.Tensor, *shape: int) -> tf.Tensor:
        """[N, W] -> [B, T, *shape], W the product of `shape`; what stands at padding is finite and means nothing."""

    def first(self, tokens: tf.Tensor) -> tf.Tensor:
        """[N, W] -> [B, W], the token at position 0 of every row ([CLS])."""

    def counting(self, weights: tf.Tensor) -> tf.Tensor:
        """Weights of slots [B, P] -> int32 [M], the slots of the B * P that are worth computing."""

    def pick(self, tokens: tf.Tensor, places: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        """[N, W], places in the rows int [B, P] -> [M, W], the tokens at the places that these slots [M] hold."""


class Unpadded:
    """Real tokens only: N changes with every batch, so shapes are dynamic. For training and serving on CPU and GPU."""

    compiles = False

    def __init__(self, input_mask: tf.Tensor, input_example_ids: tf.Tensor | None = None):
        self._shape = tf.shape(input_mask)  # [B, T]
        real = tf.reshape(input_mask, [-1])
        self._slots = tf.reshape(tf.cast(tf.where(real > 0), tf.int32), [-1])  # [N], each token's place among the slots
        # [B * T], the token that each slot shows: its own, or at padding the one before.
        self._shown = tf.cumsum(tf.cast(real, tf.int32)) - 1
        if input_example_ids is None:
            self.positions = self._slots % self._shape[1]
            self.mask_bias = _mask_bias(input_mask)
        else:
            positions, self.mask_bias = _shared(input_example_ids)
            self.positions = tf.gather(tf.reshape(positions, [-1]), self._slots)

    def to_tokens(self, rows: tf.Tensor) -> tf.Tensor:
        slots = tf.reshape(rows, [-1, *rows.shape[2:]])  # [B * T, ...]
        return _gather(slots, self._slots, lambda upstream: _scatter(upstream, self._slots, slots))

    def to_rows(self, tokens: tf.Tensor, *shape: int) -> tf.Tensor:
        # Padding shows a real token: no score of it is counted, so no gradient comes back from it either.
        slots = _gather(tokens, self._shown, lambda upstream: tf.gather(upstream, self._slots))
        return tf.reshape(slots, tf.concat([self._shape, shape], axis=0))

    def first(self, tokens: tf.Tensor) -> tf.Tensor:
        index = tf.reshape(self._shown, self._shape)[:, 0]
        return _gather(tokens, index, lambda upstream: _scatter(upstream, index, tokens))

    def counting(self, weights: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.where(tf.reshape(weights, [-1]) > 0)[:, 0], tf.int32)

    def pick(self, tokens: tf.Tensor, places: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        shown = tf.gather(self._shown, tf.gather(_in_rows(places, self._shape[1]), slots))
        return _gather(tokens, shown, lambda upstream: _scatter(upstream, shown, tokens))


class Padded:
    """Every slot is kept: N = B * T, and shapes are static where the mask's are. For XLA, TPU and TFLite."""

    compiles = False

    def __init__(self, input_mask: tf.Tensor, input_example_ids: tf.Tensor | None = None):
        dynamic = tf.shape(input_mask)
        self._length = input_mask.shape[1] or dynamic[1]
        if input_example_ids is None:
            self.positions = tf.tile(tf.range(self._length), [input_mask.shape[0] or dynamic[0]])
            self.mask_bias = _mask_bias(input_mask)
        else:
            positions, self.mask_bias = _shared(input_example_ids)
            self.positions = tf.reshape(positions, [-1])

    def to_tokens(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(rows, [-1, *rows.shape[2:]])

    def to_rows(self, tokens: tf.Tensor, *shape: int) -> tf.Tensor:
        return tf.reshape(tokens, [-1, self._length, *shape])

    def first(self, tokens: tf.Tensor) -> tf.Tensor:
        return self.to_rows(tokens, tokens.shape[-1])[:, 0]

    def counting(self, weights: tf.Tensor) -> tf.Tensor:
        return tf.range(tf.size(weights))

    def pick(self, tokens: tf.Tensor, places: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        shown = tf.gather(_in_rows(places, self._length), slots)
        return _gather(tokens, shown, lambda upstream: _scatter(upstream, shown, tokens))


class Static(Padded):
    """As `Padded`, for batches of one shape and rows that are nearly full: pre-training's on CPU and GPU."""

    compiles = True


def _mask_bias(input_mask: tf.Tensor) -> tf.Tensor:
    return (1.0 - tf.cast(input_mask, tf.float32))[:, None, None, :] * BLOCKED  # [B, 1, 1, T]


def _shared(input_example_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions int32 [B, T] and mask bias [B, 1, T, T] of rows that examples share."""
    same = input_example_ids[:, :, None] == input_example_ids[:, None, :]  # [B, T, T]
    before = tf.linalg.band_part(tf.cast(same, tf.int32), -1, 0)  # tokens of one's own example up to oneself
    return tf.reduce_sum(before, axis=2) - 1, (1.0 - tf.cast(same, tf.float32))[:, None] * BLOCKED


def _in_rows(places: tf.Tensor, length) -> tf.Tensor:
    """Places in the rows, [B, P] -> the same among all B * T slots, [B * P]."""
    return tf.reshape(places + length * tf.range(tf.shape(places)[0])[:, None], [-1])


def _gather(values: tf.Tensor, index: tf.Tensor, gradient) -> tf.Tensor:
    """values[index], with a gradient that knows the layout: TensorFlow's own sums rows that might be equal."""

    @tf.custom_gradient
    def gather(values):
        return tf.gather(values, index), gradient

    return gather(values)


def _scatter(rows: tf.Tensor, index: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Zeros shaped as `like` with `rows` at `index`."""
    return tf.scatter_nd(index[:, None], rows, tf.shape(like))
