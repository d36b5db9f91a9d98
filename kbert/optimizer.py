"""AdamW as BERT is trained with, on TensorFlow's fused Adam kernel; LAMB stands on the same base, in `kbert.lamb`.

Keras' AdamW updates a weight by some ten operations that each read and write all of it; the fused kernel makes one
pass. The step is the same: Kingma and Ba 2015
(algorithm 1, epsilon as in the closing remark of section 2) with decoupled decay (Loshchilov and Hutter 2019).
"""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from kbert.recipe import EXCHANGES

NOT_DECAYED = ("bias", "gamma", "beta")  # google-research/bert optimization.py: no decay for norms and biases


@keras.saving.register_keras_serializable("kbert")
class WarmupPolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `learning_rate` over `warmup_steps` steps, then falls to 0 at `total_steps`.

    After the warm-up the rate is `learning_rate` * (share of the remaining steps that are left) ^ `power`: 1 falls in a
    line, 2 slows down towards the end, 0 stays.

    >>> schedule = WarmupPolynomialDecay(1.0, total_steps=10, warmup_steps=2)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def __init__(self, learning_rate: float, total_steps: int, warmup_steps: int, power: float = 1.0):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(f"warmup_steps must lie in [0, total_steps); got {warmup_steps} and {total_steps}.")
        if not power >= 0:
            raise ValueError(f"power is 0 or more; got {power}. 1 is BERT's.")
        self.learning_rate, self.total_steps, self.warmup_steps = learning_rate, total_steps, warmup_steps
        self.power = power

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rise = tf.minimum((step + 1.0) / max(self.warmup_steps, 1), 1.0)
        left = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
        return self.learning_rate * tf.minimum(rise, tf.clip_by_value(left, 0.0, 1.0) ** self.power)

    def get_config(self):
        names = ("learning_rate", "total_steps", "warmup_steps", "power")
        return {name: getattr(self, name) for name in names}


class FusedAdam(keras.optimizers.AdamW):
    """Moments, clipping and the choice of what decays: what AdamW and LAMB share.

    A gradient of a token table arrives as the rows that a batch touched. Rows of equal ids are summed before anything
    is clipped, so clipping sees the true gradient; Keras counts each row apart.

    Args:
        not_decayed: names of the weights that do not decay, e.g. ("bias",). Kept in the config, as what is given to
            `exclude_from_weight_decay` is not.
        exchange: the numbers in which replicas tell each other their gradients: "float32", as they are; or "bfloat16",
            half the bytes and three digits. One device exchanges nothing.
    """

    def __init__(self, *args, not_decayed: Sequence[str] = (), exchange: str = "float32", **kwargs):
        if exchange not in EXCHANGES:
            raise ValueError(f"exchange is one of {', '.join(EXCHANGES)}; got {exchange!r}.")
        super().__init__(*args, **kwargs)
        self.exchange = exchange
        if self.amsgrad:
            raise ValueError("amsgrad must be False: the fused kernel has none; got True. Use keras.optimizers.AdamW.")
        self.not_decayed = tuple(not_decayed)
        if self.not_decayed:
            self.exclude_from_weight_decay(var_names=list(self.not_decayed))

    def get_config(self):
        return {**super().get_config(), "not_decayed": self.not_decayed, "exchange": self.exchange}

    def adam_step(self, resource: tf.Variable, index: int, gradient, learning_rate, epsilon) -> None:
        """One pass over a gradient and its moments: resource -= learning_rate * Adam's step.

        Args:
            resource: what moves.
            index: of the weight whose moments these are.
            epsilon: beside the root of the second moment before its correction of bias.
        """
        step = tf.cast(self.iterations + 1, resource.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=resource.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=epsilon,
            grad=_dense(gradient, resource.shape),
        )

    def _apply_weight_decay(self, variables):
        """Nothing: `update_step` decays, so that a weight is brought into the cache once."""

    def _clip_gradients(self, grads):
        if not (self.clipnorm or self.global_clipnorm or self.clipvalue):
            return grads
        grads = [_each_row_once(g) for g in grads]
        if not self.global_clipnorm:
            return super()._clip_gradients(grads)
        values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in grads]
        norm = tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(v) for v in values]))
        # Most steps need no clipping: then nothing is multiplied, and nothing written.
        values = tf.cond(
            norm > self.global_clipnorm,
            lambda: [v * (self.global_clipnorm / norm) for v in values],
            lambda: [tf.identity(v) for v in values],
        )
        return [
            tf.IndexedSlices(v, g.indices, g.dense_shape) if isinstance(g, tf.IndexedSlices) else v
            for v, g in zip(values, grads, strict=True)
        ]


@keras.saving.register_keras_serializable("kbert")
class AdamW(FusedAdam):
    """`keras.optimizers.AdamW` with its arguments and its results; only faster. `not_decayed`: see `FusedAdam`.

    Args:
        factors: what the rate of a weight is multiplied by, by what its path starts with, e.g. {"layer_0/": 0.5}.
    """

    def __init__(self, *args, factors: Mapping[str, float] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = dict(factors or {})

    def get_config(self):
        return {**super().get_config(), "factors": self.factors}

    def update_step(self, gradient, variable, learning_rate):
        rate = tf.cast(learning_rate, variable.dtype)
        path = self._trainable_variables[self._get_variable_index(variable)].path
        for start, factor in self.factors.items():
            if path.startswith(start):
                rate = rate * factor
        if self.weight_decay and self._use_weight_decay(variable):
            variable.assign(variable * (1.0 - rate * self.weight_decay), read_value=False)
        self.adam_step(variable, self._get_variable_index(variable), gradient, rate, self.epsilon)


def adamw(
    learning_rate: float = 5e-5,
    total_steps: int | None = None,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
    power: float = 1.0,
    factors: Mapping[str, float] | None = None,
    exchange: str = "float32",
) -> AdamW:
    """The optimizer of BERT (Devlin et al. 2019, appendix A.2 and A.3).

    Args:
        learning_rate: the highest; constant where `total_steps` is None.
        total_steps: optimizer steps until the rate has fallen to 0.
        warmup: share of `total_steps` over which the rate rises.
        weight_decay: decoupled; none for biases and norms.
        clip_norm: largest norm of all gradients together; None for any.
        power: of the fall, see `WarmupPolynomialDecay`.
        factors: see `AdamW`; `kbert.freezing.layer_rates` makes those of layer-wise rates.
        exchange: see `FusedAdam`.
    """
    return AdamW(
        scheduled(learning_rate, total_steps, warmup, power),
        weight_decay=weight_decay,
        global_clipnorm=clip_norm,
        epsilon=1e-6,
        not_decayed=NOT_DECAYED,
        factors=factors,
        exchange=exchange,
    )


def scheduled(learning_rate: float, total_steps: int | None, warmup: float, power: float):
    """A `WarmupPolynomialDecay` with its warm-up as a share of the steps; the plain rate where there is no end."""
    if total_steps is None:
        return learning_rate
    return WarmupPolynomialDecay(learning_rate, total_steps, int(warmup * total_steps), power)


def _dense(gradient, shape) -> tf.Tensor:
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.scatter_nd(tf.cast(gradient.indices, tf.int32)[:, None], gradient.values, shape)


def _each_row_once(gradient):
    """A gradient whose squares may be summed; a whole table where shapes are static, and so must stay on a TPU."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    if gradient.indices.shape[0] is not None:
        return tf.convert_to_tensor(gradient)
    rows, group = tf.unique(gradient.indices)
    return tf.IndexedSlices(
        tf.math.unsorted_segment_sum(gradient.values, group, tf.size(rows)), rows, gradient.dense_shape
    )
