"""LAMB: Adam whose step of each matrix is as long as the matrix itself, times the rate (You et al. 2020, algorithm 2).

Batches of tens of thousands of rows train with it at rates that Adam does not survive.
"""

import keras
import tensorflow as tf

from kbert.optimizer import NOT_DECAYED, FusedAdam, scheduled

EPSILON = 1e-6  # of You et al. 2020, beside the root of the corrected second moment


@keras.saving.register_keras_serializable("kbert")
class Lamb(FusedAdam):
    """x <- x - rate * |x| / |u| * u with u = m' / (sqrt(v') + epsilon) + weight_decay * x, m' and v' free of bias.

    Biases and norms, named by `not_decayed`, take Adam's step: no decay, no ratio. Where |x| or |u| is 0 the ratio is
    1. The arguments are those of `keras.optimizers.AdamW` and `not_decayed`. `keras.optimizers.Lamb` decays outside of
    the ratio and stretches biases and norms too.
    """

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        # Where a step is made before its length is known; weights of one shape take turns. No state of a training.
        shapes = {tuple(v.shape): v.dtype for v in variables if self._use_weight_decay(v)}
        with self._distribution_strategy.scope():
            self._steps = {s: tf.Variable(tf.zeros(s, dtype), trainable=False) for s, dtype in shapes.items()}

    def update_step(self, gradient, variable, learning_rate):
        rate = tf.cast(learning_rate, variable.dtype)
        index = self._get_variable_index(variable)
        # The kernel adds epsilon before the correction of bias, the paper after it: so it is given in the other's unit.
        step = tf.cast(self.iterations + 1, variable.dtype)
        epsilon = self.epsilon * tf.sqrt(1.0 - tf.pow(tf.cast(self.beta_2, variable.dtype), step))
        if not self._use_weight_decay(variable):
            self.adam_step(variable, index, gradient, rate, epsilon)
            return
        down = self._steps[tuple(variable.shape)]  # becomes -u
        down.assign(variable * -(self.weight_decay or 0.0), read_value=False)
        self.adam_step(down, index, gradient, tf.ones([], variable.dtype), epsilon)
        length, size = _norm(down), _norm(variable)
        ratio = tf.where((length > 0) & (size > 0), size / length, 1.0)
        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=-rate * ratio, delta=down)


def lamb(
    learning_rate: float = 1e-3,
    total_steps: int | None = None,
    warmup: float = 0.01,
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
    power: float = 1.0,
    exchange: str = "float32",
) -> Lamb:
    """LAMB with a schedule; the arguments are those of `kbert.adamw`.

    >>> lamb(1e-3, total_steps=100, warmup=0.1).weight_decay
    0.01
    """
    rate = scheduled(learning_rate, total_steps, warmup, power)
    said = {"weight_decay": weight_decay, "global_clipnorm": clip_norm, "exchange": exchange}
    return Lamb(rate, **said, epsilon=EPSILON, not_decayed=NOT_DECAYED)


def usual_rate(batch_size: int) -> float:
    """The rate of You et al. 2020, table 4, for a batch: 5e-3 at 32,768 rows, and as the root of the batch elsewhere.

    >>> usual_rate(512)
    0.000625
    """
    return 5e-3 * (batch_size / 32768) ** 0.5


def _norm(x) -> tf.Tensor:
    return tf.sqrt(2.0 * tf.nn.l2_loss(x))
