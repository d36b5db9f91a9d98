"""How long a training waits for its input: measured where it asks for a batch and gets one."""

import numpy as np
import tensorflow as tf

plain = tf.autograph.experimental.do_not_convert


class WaitClock:
    """Adds up the time from asking for a batch of a dataset until it is there.

    Both moments are elements of datasets, read just before and just after the batch: so it is measured within the step
    where a graph asks, and alike for one device and for several.

    Attributes:
        seconds: waited since the clock was made.

    >>> clock = WaitClock()
    >>> [int(number) for number in clock.measured(tf.data.Dataset.range(2))], clock.seconds > 0
    ([0, 1], True)
    """

    def __init__(self):
        self.seconds = 0.0

    def measured(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches, whose waiting counts."""
        now = tf.data.Dataset.from_tensors(0).repeat().map(plain(lambda _: tf.timestamp()))

        @plain
        def count(asked, batch, given):
            with tf.control_dependencies([tf.numpy_function(self._add, [given - asked], tf.float64)]):
                return tf.nest.map_structure(tf.identity, batch, expand_composites=True)

        return tf.data.Dataset.zip((now, dataset, now)).map(count)

    def _add(self, seconds: np.float64) -> np.float64:
        self.seconds += max(0.0, float(seconds))  # the clock of the machine may be set back
        return np.float64(self.seconds)
