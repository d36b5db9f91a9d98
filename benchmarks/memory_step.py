"""The memory of a step of pre-training: python -m benchmarks.memory_step JSON, see benchmarks.memory.

The JSON says "size", "length", "dtype", "count" of rows, and what else `synthetic_rows.pretraining_model` takes.
"""

import json
import resource
import sys

from benchmarks.synthetic_rows import pretraining_model, rows
from benchmarks.worker import lap, megabytes, use_two_threads

LONG = 16  # rows; a step of more takes minutes, and beside it the time of compiling is little


def step(count: int, length: int, **options) -> dict[str, float]:
    """Two steps, of which the first compiles and the second has whatever memory that left; one of a large batch."""
    use_two_threads()
    model, batches = pretraining_model(**options), rows(count, length)
    model.optimizer.build(model.trainable_variables)
    times = 2 if count <= LONG else 1
    seconds = [lap(lambda: model.fit(batches, steps_per_epoch=1, verbose=0)).wall for _ in range(times)]
    return {"peak": megabytes(resource.getrusage(resource.RUSAGE_SELF)), "seconds": min(seconds)}


if __name__ == "__main__":
    print(json.dumps(step(**json.loads(sys.argv[1]))))
