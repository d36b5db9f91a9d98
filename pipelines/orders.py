"""Orders: which example comes when, in which batch, in which epoch.

An epoch is cut into windows of W examples; each window is tokenized at once and then cut into batches. Every random
choice is a pure function of (seed, epoch, window): no state, so that epoch e is the same in any process, on any number
of threads, and whether or not the epochs before it were run.
"""

import itertools
from dataclasses import dataclass

import tensorflow as tf

WINDOW_BATCHES = 64  # batches in a window


@dataclass(frozen=True)
class FileOrder:
    """Examples as they come, cut into batches as they come."""

    def epochs(self, epochs: range | None) -> tf.data.Dataset:
        """Numbers of the epochs, int64; epochs do not differ, so that one iteration without a range is epoch 0."""
        return _numbers(range(1) if epochs is None else epochs)

    def examples(self, epoch: tf.Tensor, places: tf.Tensor, count: int) -> tf.Tensor:
        """The examples, of `count`, at these places of the epoch: int64 [W] -> int64 [W]."""
        return places

    def cut(self, epoch: tf.Tensor, window: tf.Tensor, lengths: tf.Tensor, batch_size: int):
        """Cuts a window of rows with these lengths, int64 [W], into batches.

        Returns:
            rows int32 [W] in their new order, and int32 [number of batches], where in them each batch starts.
        """
        size = tf.size(lengths)
        return tf.range(size), tf.range(0, size, batch_size)


@dataclass(frozen=True)
class GroupedOrder:
    """A permutation of the examples; in each window rows of like length share a batch, batches in random order.

    What is left over the full batches of an epoch is its last batch; it is a random one, not the longest rows.
    """

    seed: int

    def epochs(self, epochs: range | None) -> tf.data.Dataset:
        """Numbers of the epochs, int64: those of the range, or without one the number of this iteration, from 0."""
        if epochs is not None:
            return _numbers(epochs)
        iteration = itertools.count()
        number = tf.TensorSpec([], tf.int64)
        return tf.data.Dataset.from_generator(lambda: iter([next(iteration)]), output_signature=number)

    def examples(self, epoch: tf.Tensor, places: tf.Tensor, count: int) -> tf.Tensor:
        """As `FileOrder.examples`, permuted."""
        return tf.random.experimental.index_shuffle(places, seed=self._seeds(epoch), max_index=count - 1)

    def cut(self, epoch: tf.Tensor, window: tf.Tensor, lengths: tf.Tensor, batch_size: int):
        """As `FileOrder.cut`; rows of equal length stay as they were, which is random already."""
        size = tf.size(lengths)
        whole = size // batch_size  # full batches
        left_over = tf.range(size) >= whole * batch_size
        rows = tf.argsort(tf.where(left_over, lengths.dtype.max, lengths), stable=True)
        seeds = tf.random.experimental.stateless_fold_in(self._seeds(epoch), window)
        some = tf.maximum(whole, 1)  # index_shuffle refuses to shuffle nothing
        number = tf.random.experimental.index_shuffle(tf.range(some), seed=seeds, max_index=some - 1)[:whole]
        last = tf.range(whole, -(-size // batch_size))  # nothing, or the number of the smaller batch
        return rows, tf.concat([number, last], axis=0) * batch_size

    def _seeds(self, epoch: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.constant(self.seed, tf.int64), epoch])


def _numbers(epochs: range) -> tf.data.Dataset:
    return tf.data.Dataset.range(epochs.start, epochs.stop, epochs.step)
