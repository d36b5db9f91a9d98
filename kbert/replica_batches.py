"""Batches cut for replicas: each computes its rows of the same batch that one device would have."""

import tensorflow as tf


def parts(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy):
    """A dataset of batches, as a distributed dataset that gives each replica its rows of each batch.

    Row r of B is of replica floor(r * R / B) or the one before: parts are contiguous, in order, and as equal as they
    can be; one may be empty. Every worker makes the same batches and keeps its part.

    Args:
        dataset: structures of tensors [B, ...], the same on every worker.
        strategy: of R replicas.
    """
    replicas = strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here

        def cut(*batch):
            batch = batch[0] if len(batch) == 1 else batch
            size = tf.shape(tf.nest.flatten(batch, expand_composites=True)[0], tf.int64)[0]
            if isinstance(tf.nest.flatten(batch)[0], tf.RaggedTensor):
                size = tf.nest.flatten(batch)[0].nrows()

            def part(replica):
                begin, end = replica * size // replicas, (replica + 1) * size // replicas
                return tf.nest.map_structure(lambda values: values[begin:end], batch)

            return tf.data.Dataset.range(first, first + here).map(part)

        return dataset.flat_map(cut).prefetch(2 * here)

    return strategy.distribute_datasets_from_function(of_worker)
