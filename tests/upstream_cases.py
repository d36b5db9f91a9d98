"""What Keras does by itself under tf.distribute: python upstream_cases.py. A line of JSON, case -> what happened.

With TF_CONFIG the workers' case alone, without it those of two replicas of one process.
"""

import json
import os

import keras
import numpy as np
import tensorflow as tf

X = np.random.default_rng(0).normal(size=[16, 3]).astype("float32") * np.linspace(1, 9, 16)[:, None].astype("float32")


LARGE = np.where(np.arange(16)[:, None] == 6, np.float32(1e11), X)  # a row of the second replica's, in the first step


def fit(strategy, optimizer, rows=X) -> np.ndarray:
    """The weights after two steps of eight rows, or of what there are."""
    with strategy.scope():
        model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizer(), "mse")
        model.fit(tf.data.Dataset.from_tensor_slices((rows, rows[:, :1] ** 2)).batch(8), verbose=0)
    return np.asarray(model.layers[0].kernel.value)


def outcome(strategy, optimizer, rows=X) -> str:
    """What came of it: "equal" to one device, "other weights", or the type of an error."""
    one = fit(tf.distribute.get_strategy(), optimizer, rows)
    try:
        several = fit(strategy, optimizer, rows)
    except Exception as error:  # whatever it is, it is the answer
        return type(error).__name__
    return "equal" if np.abs(one - several).max() < 1e-6 else "other weights"


def main() -> None:
    if "TF_CONFIG" in os.environ:
        workers = tf.distribute.MultiWorkerMirroredStrategy()
        try:
            fit(workers, lambda: keras.optimizers.SGD(0.01))
            found = {"several workers": "equal"}
        except Exception as error:
            found = {"several workers": type(error).__name__}
        print(json.dumps(found), flush=True)
        os._exit(0)  # the other worker may be gone, for which TensorFlow would wait
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    sgd = keras.optimizers.SGD
    cases = {
        "clipping": (lambda: sgd(0.1, global_clipnorm=1.0), X),
        "accumulation": (lambda: sgd(0.01, gradient_accumulation_steps=2), X),
        "overwriting by averages": (lambda: sgd(0.01, use_ema=True, ema_overwrite_frequency=1), X),
        "an uneven last batch": (lambda: sgd(0.01), X[:13]),
        "an overflow": (lambda: keras.optimizers.LossScaleOptimizer(sgd(0.01), initial_scale=2.0**20), LARGE),
        "nothing of these": (lambda: sgd(0.01), X),
    }
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    print(json.dumps({name: outcome(two, *case) for name, case in cases.items()}))


if __name__ == "__main__":
    main()
