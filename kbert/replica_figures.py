"""What figures have summed up, of each replica: read, set, and kept while something else is scored.

A figure that goes on over a resume has the same last bits only where each replica has its own sum again.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf


def figures_of(model: keras.Model) -> list[list[float]]:
    """The sums that the model's figures are made of, F of each of R replicas: [R, F]."""
    strategy, variables = model.distribute_strategy, model.metrics_variables
    if strategy.num_replicas_in_sync == 1:
        return [[float(np.asarray(variable.numpy())) for variable in variables]]

    def own():
        return tf.stack([tf.cast(variable.value, tf.float64) for variable in variables])[tf.newaxis]

    gathered = tf.function(lambda: strategy.gather(strategy.run(own), axis=0), autograph=False)
    return gathered.get_concrete_function()().numpy().tolist()


def set_figures(model: keras.Model, sums: Sequence[Sequence[float]]) -> None:
    """Sets what `figures_of` gave; the first replica gets all where there were more or fewer replicas."""
    strategy, variables = model.distribute_strategy, model.metrics_variables
    replicas = strategy.num_replicas_in_sync
    table = np.array(sums, "float64")
    if len(table) != replicas:
        table = np.concatenate([table.sum(0, keepdims=True), np.zeros([replicas - 1, len(variables)])])
    if replicas == 1:
        for variable, number in zip(variables, table[0], strict=True):
            variable.assign(number)
        return

    def own():
        row = tf.gather(table, tf.distribute.get_replica_context().replica_id_in_sync_group)
        for place, variable in enumerate(variables):
            variable.assign(tf.cast(row[place], variable.dtype))

    tf.function(lambda: strategy.run(own), autograph=False).get_concrete_function()()


@contextlib.contextmanager
def figures_kept(model: keras.Model) -> Iterator[None]:
    """Leaves the figures of training as they were, whatever is scored within."""
    values = figures_of(model)
    try:
        yield
    finally:
        set_figures(model, values)
