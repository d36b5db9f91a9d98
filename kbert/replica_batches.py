"""Batches cut for replicas: each computes its rows of the same batch that one device would have.

Or, of a dataset that is a worker's `own_part`, its rows of what this worker read: the batch is then what all workers
have together, in their order.
"""

from collections.abc import Iterator

import tensorflow as tf

OWN_PART = "own part of a worker"  # a name of tf.data.Options, which datasets made of this one keep


def own_part(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset of a worker's own rows of each batch, that no other worker reads.

    >>> own_part(tf.data.Dataset.range(3)).map(lambda x: x + 1).options().dataset_name
    'own part of a worker'
    """
    options = tf.data.Options()
    options.dataset_name = OWN_PART
    return dataset.with_options(options)


def local_replicas(strategy: tf.distribute.Strategy) -> list[int]:
    """The numbers of this worker's replicas among all."""
    numbers = []
    strategy.experimental_distribute_values_from_function(
        lambda context: numbers.append(context.replica_id_in_sync_group) or 0
    )
    return numbers


def worker_of(strategy: tf.distribute.Strategy) -> int:
    """The number of this worker, from 0, in the order in which their rows follow one another in a batch."""
    if strategy.num_replicas_in_sync == 1:
        return 0
    here = local_replicas(strategy)
    return here[0] // len(here)


class ReplicaBatches:
    """A dataset of batches whose iterator gives each replica its rows of each batch.

    Replica r of R has the rows from floor(r * B / R) to floor((r + 1) * B / R): parts are contiguous, in order, and as
    equal as they can be; one may be empty. Every worker makes the same batches and keeps its part; or makes its part
    alone, an `own_part`, which its own replicas then share in the same way.

    The dataset is read by an ordinary iterator. TensorFlow's iterators over several devices wait for their threads
    when they are deleted, with Python locked: for ever, where a thread runs Python.

    Args:
        dataset: structures of tensors [B, ...], the same on every worker, or its `own_part`.
        strategy: of R replicas.
    """

    def __init__(self, dataset: tf.data.Dataset, strategy: tf.distribute.Strategy):
        self.dataset, self.strategy = dataset, strategy
        own = dataset.options().dataset_name == OWN_PART
        self.sharers = len(local_replicas(strategy)) if own else strategy.num_replicas_in_sync
        cut = tf.function(self._parts, autograph=False)
        self._cut = cut.get_concrete_function(dataset.element_spec)  # batches of all sizes have one

    def __iter__(self) -> Iterator:
        for batch in self.dataset:
            yield self.strategy.experimental_distribute_values_from_function(self._of_replica(self._cut(batch)))

    def _of_replica(self, parts: list):
        return lambda context: parts[context.replica_id_in_sync_group % self.sharers]

    def _parts(self, batch) -> list:
        """The parts of all who share it; those of other workers are never looked at, and cost next to nothing."""
        first = tf.nest.flatten(batch)[0]
        rows = first.nrows() if isinstance(first, tf.RaggedTensor) else tf.shape(first, tf.int64)[0]
        edges = [replica * rows // self.sharers for replica in range(self.sharers + 1)]
        return [
            tf.nest.map_structure(lambda values, begin=begin, end=end: values[begin:end], batch)
            for begin, end in zip(edges[:-1], edges[1:], strict=True)
        ]
