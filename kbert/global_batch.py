"""The part of a batch that a replica computes, among those of all replicas of a tf.distribute strategy.

A step is a function of the whole batch: losses are means over all its examples, and noise is drawn for each by its
place. So before the step the replicas tell each other how much each of them has.
"""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from kbert.dropout import Seed


class Share(NamedTuple):
    """What a replica has of a batch.

    Args:
        replicas: how many there are.
        rows, tokens: that replicas before this one have, int32; 0 for the first.
        is_last: whether this one has the last row, bool.
        own, total: float32 counts by name, of this replica and of all.
    """

    replicas: int
    rows: tf.Tensor | int
    tokens: tf.Tensor | int
    is_last: tf.Tensor | bool
    own: Mapping[str, tf.Tensor]
    total: Mapping[str, tf.Tensor]

    def part(self, name: str) -> tf.Tensor:
        """This replica's share of a count, in [0, 1]; 0 where nobody has any."""
        return tf.math.divide_no_nan(self.own[name], self.total[name])

    def seed(self, key: tf.Tensor, rows=0, tokens=0) -> Seed:
        """Of the noise of this replica's rows, after so many of its own."""
        return Seed(key, self.tokens + tokens, self.rows + rows)

    def of_last_row(self, value: tf.Tensor, parts: int = 1) -> tf.Tensor:
        """For all replicas what belongs to the last row of the batch: [B, ...] of each -> [...].

        Or to the last row of each of the parts of which workers read one each: -> [parts, ...].
        """
        if self.replicas == 1:
            return value[-1]
        padded = tf.pad(value, [[1, 0]] + [[0, 0]] * (len(value.shape) - 1))  # a replica may have no row
        if parts == 1:
            return all_sum(tf.where(self.is_last, padded[-1], tf.zeros_like(padded[-1])))
        replica, each = tf.distribute.get_replica_context().replica_id_in_sync_group, self.replicas // parts
        # The last replica of a worker has a row where its worker has one: see ReplicaBatches.
        ends = tf.one_hot(replica // each, parts, dtype=value.dtype) * tf.cast((replica + 1) % each == 0, value.dtype)
        return all_sum(tf.tensordot(ends, padded[-1], axes=0))


def share_of(input_mask: tf.Tensor, counts: Mapping[str, tf.Tensor], keeps_padding: bool = False) -> Share:
    """This replica's share of the batch; called by all replicas of a step, or outside of any strategy.

    Args:
        input_mask: int [..., T], 1 = a token; the axes before T are rows.
        counts: scalars that add up over replicas, by name.
        keeps_padding: whether a row has T tokens for the layout, see `kbert.layout`.
    """
    counts = {name: tf.cast(count, tf.float32) for name, count in counts.items()}
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync if context else 1
    if replicas == 1:
        return Share(1, 0, 0, True, counts, counts)
    length = tf.shape(input_mask)[-1]
    rows = tf.size(input_mask) // length
    tokens = rows * length if keeps_padding else tf.reduce_sum(tf.cast(input_mask, tf.int32))
    # In float32, exact up to 16 million tokens of a batch: one table, so one exchange.
    own = tf.stack([tf.cast(rows, tf.float32), tf.cast(tokens, tf.float32), *counts.values()])
    everyone = all_sum(tf.one_hot(context.replica_id_in_sync_group, replicas)[:, None] * own)  # [R, 2 + K]
    earlier = tf.cast(tf.range(replicas) < context.replica_id_in_sync_group, tf.float32)[:, None]
    before = tf.cast(tf.reduce_sum(everyone * earlier, axis=0), tf.int32)
    all_rows, _, *totals = tf.unstack(tf.reduce_sum(everyone, axis=0), 2 + len(counts))
    is_last = (rows > 0) & (before[0] + rows == tf.cast(all_rows, tf.int32))
    return Share(replicas, before[0], before[1], is_last, counts, dict(zip(counts, totals, strict=True)))


def all_sum(values):
    """Sums over all replicas, which each of them gets; a tensor."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def of_all(values: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, one after the other, on each of them: [B, ...] of each -> [all B, ...].

    For losses that compare the rows of a batch with each other; gradients reach the rows of the others.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync if context else 1
    if replicas == 1:
        return values
    number, rows = context.replica_id_in_sync_group, tf.shape(values)[0]
    everyone = all_sum(tf.one_hot(number, replicas, dtype=tf.int32) * rows)
    before = tf.reduce_sum(tf.where(tf.range(replicas) < number, everyone, 0))
    after = tf.reduce_sum(everyone) - before - rows
    return all_sum(tf.pad(values, [[before, after]] + [[0, 0]] * (len(values.shape) - 1)))
