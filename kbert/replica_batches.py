"""Batches cut for replicas: each computes its rows of the same batch that one device would have."""

from collections.abc import Iterator

import tensorflow as tf


class ReplicaBatches:
    """A dataset of batches whose iterator gives each replica its rows of each batch.

    Replica r of R has the rows from floor(r * B / R) to floor((r + 1) * B / R): parts are contiguous, in order, and as
    equal as they can be; one may be empty. Every worker makes the same batches and keeps its part.

    The dataset is read by an ordinary iterator. TensorFlow's iterators over several devices wait for their threads
    when they are deleted, with Python locked: for ever, where a thread runs Python.

    Args:
        dataset: structures of tensors [B, ...], the same on every worker.
        strategy: of R replicas.
    """

    def __init__(self, dataset: tf.data.Dataset, strategy: tf.distribute.Strategy):
        self.dataset, self.strategy = dataset, strategy
        self._cut = tf.function(self._parts, reduce_retracing=True, autograph=False)

    def __iter__(self) -> Iterator:
        for batch in self.dataset:
            yield self.strategy.experimental_distribute_values_from_function(self._of_replica(self._cut(batch)))

    def _of_replica(self, parts: list):
        return lambda context: parts[context.replica_id_in_sync_group]

    def _parts(self, batch) -> list:
        """The parts of all replicas; those of other workers are never looked at, and cost next to nothing."""
        first = tf.nest.flatten(batch)[0]
        rows = first.nrows() if isinstance(first, tf.RaggedTensor) else tf.shape(first, tf.int64)[0]
        replicas = self.strategy.num_replicas_in_sync
        edges = [replica * rows // replicas for replica in range(replicas + 1)]
        return [
            tf.nest.map_structure(lambda values, begin=begin, end=end: values[begin:end], batch)
            for begin, end in zip(edges[:-1], edges[1:], strict=True)
        ]
