"""One of the workers that exchange gradients: python -m benchmarks.exchange_worker SIZE DTYPE TIMES.

TF_CONFIG says which one; see benchmarks.exchange.
"""

import json
import sys

from benchmarks.synthetic_rows import pretraining_model, rows
from benchmarks.worker import BATCH, MAX_LENGTH, lap, median_lap

WARM_UP = 2


def gradients(size: str, dtype: str, times: str) -> dict[str, float]:
    """Seconds of a sum of all gradients of a model over the workers, and of a step of its training, medians."""
    import kbert

    strategy = kbert.strategy("multiworker")
    import tensorflow as tf

    from kbert.global_batch import all_sum

    with strategy.scope():
        model = pretraining_model(size, dtype)
    tensors = [tf.Variable(tf.ones(variable.shape)) for variable in model.trainable_variables]

    @tf.function
    def exchange():
        def summed():
            sums = all_sum([tf.identity(tensor) for tensor in tensors])
            return tf.stack([tf.reshape(one, [-1])[0] for one in sums])

        return strategy.experimental_local_results(strategy.run(summed))[0]

    right = [bool((exchange().numpy() == strategy.num_replicas_in_sync).all()) for _ in range(WARM_UP)]
    if not all(right):
        raise RuntimeError("A sum of ones over the workers is their number; got another.")
    found = {"exchange": median_lap(lambda: exchange().numpy(), int(times)).wall}
    batches = rows(BATCH, MAX_LENGTH)
    model.fit(batches, steps_per_epoch=1, verbose=0)
    steps = max(1, int(times) // 3)
    return {**found, "step": lap(lambda: model.fit(batches, steps_per_epoch=steps, verbose=0)).wall / steps}


if __name__ == "__main__":
    print(json.dumps(gradients(*sys.argv[1:])))
