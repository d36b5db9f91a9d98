"""Requests put together inside the graph: `tf.nondifferentiable_batch_function` around what answers strings.

For servers that cannot do it themselves. TensorFlow Serving can, with batching.config (`export.tf_serving`): use one of
the two.

B texts of a request.
"""

import tensorflow as tf

from export.serving import Serving

MAX_BATCH, TIMEOUT_MICROS, THREADS, MAX_WAITING = 32, 1000, 4, 100


def batched(serving: Serving, name: str) -> tf.types.experimental.ConcreteFunction:
    """`serving_default` whose requests wait up to a millisecond for others, and are answered together, 32 at most.

    A request of more texts, or of none, is answered by itself.

    Args:
        serving: answers strings, a row each.
        name: of the queue, which no other model in the process may have.

    Raises:
        ValueError: rows of different requests may differ in length, and cannot be put together.
    """
    specs = list(serving.inputs.values())
    if any(spec.shape.rank != 1 for spec in specs):
        raise ValueError(
            f"Requests are put together where each text is one string; {', '.join(serving.inputs)} of {serving.task} "
            "are not. Leave signature batching out."
        )
    alone = tf.function(serving.serve, autograph=False).get_concrete_function(*specs)
    together = tf.nondifferentiable_batch_function(
        THREADS, MAX_BATCH, TIMEOUT_MICROS, max_enqueued_batches=MAX_WAITING, autograph=False
    )(lambda *texts: alone(*texts))

    def serve(*texts):
        size = tf.size(texts[0])
        with tf.name_scope(name):  # by it TensorFlow finds the queue
            return tf.cond((size > 0) & (size <= MAX_BATCH), lambda: together(*texts), lambda: alone(*texts))

    return tf.function(serve, autograph=False).get_concrete_function(*specs)
