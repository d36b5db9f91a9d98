"""A step of training or of scoring, alike on one device and on a replica of many."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from kbert.dropout import Seed
from kbert.global_batch import Share, share_of
from kbert.layout import Padded
from kbert.replicas import mend_keras


class StepModel(keras.Model):
    """A Keras model whose step is a function of the whole batch, whoever computes which part of it.

    The loss that is made smaller is the mean over the whole batch, and dropout a function of the seed, the step and
    each example's place in it. So replicas give the weights of one device; what Keras' optimizers and loops need for
    that is in `kbert.replicas`.

    Args:
        seed: of dropout.

    Subclasses have an `encoder`, or are one.
    """

    def __init__(self, *, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if tf.distribute.has_strategy():
            mend_keras()
        self.seed = seed
        self._seed_generator = keras.random.SeedGenerator(seed)
        self._step_seed: Seed | None = None

    def noise_seed(self, training: bool) -> Seed | None:
        """The seed of dropout: the step's in `fit`, a new one each call elsewhere; None outside training."""
        if not training:
            return None
        return self._step_seed or Seed(tf.cast(self._seed_generator.next(), tf.int32))

    def loss_count(self, inputs, labels, weights):
        """Over how many things `compute_loss` is a mean, a scalar: the examples, where a task says nothing else."""
        return tf.shape(inputs["input_mask"])[0]

    def train_step(self, data):
        inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        share = self.share_of(inputs, {"loss": self.loss_count(inputs, labels, weights)})
        with tf.GradientTape() as tape, self.step_noise(share):
            answers = self(inputs, training=True)
            loss = self._mean_loss(inputs, labels, answers, weights, training=True)
            small = self.optimizer.scale_loss(loss * share.part("loss"))
        self.apply_gradients(tape.gradient(small, self.trainable_variables), loss)
        self._loss_tracker.update_state(loss, sample_weight=share.own["loss"])
        return self.compute_metrics(inputs, labels, answers, sample_weight=weights)

    def apply_gradients(self, gradients, made: tf.Tensor) -> None:
        """A step of the optimizer, once `made` is there, a tensor of the batch.

        Its count of steps needs no batch, so that Keras counts the end of data of unknown length as one.
        """
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)  # variables are made before the batch is
        with tf.control_dependencies([made]):
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))

    def test_step(self, data):
        inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        answers = self(inputs, training=False)
        share = self.share_of(inputs, {"loss": self.loss_count(inputs, labels, weights)})
        loss = self._mean_loss(inputs, labels, answers, weights, training=False)
        self._loss_tracker.update_state(loss, sample_weight=share.own["loss"])
        return self.compute_metrics(inputs, labels, answers, sample_weight=weights)

    def _mean_loss(self, inputs, labels, answers, weights, training: bool):
        """`compute_loss` of a replica's part; Keras divides it by the number of replicas, as if all had as much."""
        return self.replicas * self.compute_loss(inputs, labels, answers, weights, training=training)

    @property
    def replicas(self) -> int:
        """How many compute a step together."""
        return self.distribute_strategy.num_replicas_in_sync

    def share_of(self, inputs, counts: Mapping[str, Any]) -> Share:
        """What this replica has of the batch, see `kbert.global_batch.share_of`."""
        return share_of(inputs["input_mask"], counts, keeps_padding=issubclass(self.layout, Padded))

    @contextlib.contextmanager
    def step_noise(self, share: Share, rows=0, tokens=0) -> Iterator[None]:
        """Within, `noise_seed` is that of the optimizer's step and of a share of the batch.

        Args:
            share: whose noise.
            rows, tokens: of the share before the part that is computed within.
        """
        seed = tf.cast(self._seed_generator.state[0], tf.int32)  # a variable: a checkpoint has it
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        # Keras' own count of batches: `iterations` stands still while gradients are accumulated.
        key = tf.stack([seed, tf.cast(optimizer._iterations, tf.int32)])
        self._step_seed = share.seed(key, rows, tokens)
        try:
            yield
        finally:
            self._step_seed = None

    @property
    def layout(self) -> type:
        """`kbert.layout.Unpadded` or another."""
        return self.encoder.layout

    def use_layout(self, layout: type) -> type:
        """Sets `kbert.layout.Unpadded`, `Padded` or `Static` for all further calls, and returns the one before."""
        return self.encoder.use_layout(layout)
