"""What Keras 3.15 lacks under tf.distribute, and nothing else: mends to its loops and optimizers, on TensorFlow.

`mend_keras()` installs them once; they act where a strategy has several replicas, and leave one device as it was. Plain
Keras models gain from them as ours do. tests/test_upstream.py says of each mend when Keras no longer needs it.

| what fails | mended by | upstream |
| --- | --- | --- |
| fit, evaluate and predict on several workers | `_symbolic_build`, `_make_function`, `_predict` | keras#20585 |
| a batch is cut by rewriting the pipeline, which finds its size or does not | `_distribute` | tensorflow#34358 |
| a replica with fewer rows counts as much as the others | `_train_step` | none filed |
| each replica clips its own gradients | `_apply`, `_reduced` | tensorflow#33929 |
| accumulation, EMA's overwriting: a merge call within a condition | `_apply` | keras#17429 |
| only the first replica is asked whether its gradients are finite | `_check_finite` | none filed |
"""

import contextlib
import functools

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import optimizer as keras_optimizer
from keras.src.backend.tensorflow import trainer as keras_trainer

from kbert.replica_batches import ReplicaBatches

Trainer, EpochIterator = keras_trainer.TensorFlowTrainer, keras_trainer.TFEpochIterator
Optimizer = keras_optimizer.TFOptimizer


def mend_keras() -> None:
    """Installs the mends; further calls do nothing."""
    if hasattr(Trainer, "kbert_mended"):
        return
    Trainer.kbert_mended = True
    for owner, name, mend in (
        (EpochIterator, "__init__", _distribute),
        (Trainer, "_maybe_symbolic_build", _symbolic_build),
        (Trainer, "train_step", _train_step),
        (Trainer, "_make_function", _make_function),
        (Trainer, "make_predict_function", _predict),
        (Optimizer, "_backend_apply_gradients", _apply),
        (Optimizer, "_all_reduce_sum_gradients", _reduced),
        (keras.optimizers.LossScaleOptimizer, "check_finite", _check_finite),
    ):
        original = getattr(owner, name)
        setattr(owner, name, functools.wraps(original)(functools.partialmethod(mend, original)))


def several(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy has more than one replica."""
    return strategy.num_replicas_in_sync > 1


def _distribute(self, original, distribute_strategy=None, *args, **kwargs):
    """Each replica gets its rows of each batch: the same batches as on one device."""
    if not several(distribute_strategy):
        return original(self, distribute_strategy, *args, **kwargs)
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    original(self, one, *args, **kwargs)
    self._distribute_strategy = distribute_strategy
    self._distributed_dataset = ReplicaBatches(self.data_adapter.get_tf_dataset(), distribute_strategy)
    return None


def _symbolic_build(self, original, iterator=None, data_batch=None):
    """Builds on what one replica gets of the first batch, where Keras takes a mean of them."""
    if not several(self.distribute_strategy):
        return original(self, iterator, data_batch)
    if iterator is not None:
        for _, _, batches in iterator:
            data_batch = tf.nest.map_structure(
                lambda value: self.distribute_strategy.experimental_local_results(value)[0], next(batches)
            )
            break
    with self.distribute_strategy.scope():
        return self._symbolic_build(data_batch=data_batch)


def _train_step(self, original, data):
    """Keras' step, with a loss that counts by the rows that a replica has; they may be none."""
    context = _replica_context()
    if context is None:
        return original(self, data)
    x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
    rows = tf.cast(tf.shape(tf.nest.flatten(x)[0])[0], tf.float32)
    share = context.num_replicas_in_sync * rows / context.all_reduce(tf.distribute.ReduceOp.SUM, rows)
    with tf.GradientTape() as tape:
        answers = self(x, training=True) if self._call_has_training_arg else self(x)
        loss = self._compute_loss(x=x, y=y, y_pred=answers, sample_weight=weights, training=True)
        small = self.optimizer.scale_loss(loss * share)
    self.optimizer.apply_gradients(
        zip(tape.gradient(small, self.trainable_weights), self.trainable_weights, strict=True)
    )
    self._loss_tracker.update_state(loss * context.num_replicas_in_sync, sample_weight=rows)
    return self.compute_metrics(x, y, answers, sample_weight=weights)


def _make_function(self, original, step_function):
    """A step on all replicas, or several of them; the logs are the metrics of all replicas together."""
    strategy = self.distribute_strategy
    if not several(strategy):
        return original(self, step_function)
    compiled = (lambda function: function) if self.run_eagerly else tf.function(reduce_retracing=True)

    @compiled
    def one_step(data):
        logs = strategy.run(lambda part: _logs(self, step_function(part)), args=(data,))
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], logs)

    def function(iterator):
        logs = one_step(next(iterator))
        for _ in range(self.steps_per_execution - 1):
            try:
                logs = one_step(next(iterator))
            except StopIteration:  # fewer are left; the next call says so
                break
        return logs

    return function


def _logs(model, outputs):
    """What a step gave, of all replicas, as each of them calls it: metrics as they stand, anything else by its mean.

    All sums are one exchange, where reading each variable of each metric would be an exchange of its own.
    """
    context = tf.distribute.get_replica_context()
    is_first = tf.equal(context.replica_id_in_sync_group, 0)
    variables = [variable for metric in model.metrics for variable in metric.variables]
    values = [tf.convert_to_tensor(variable.value) for variable in variables]
    own = [  # what does not add up is the first replica's
        value if variable.aggregation in ("sum", "mean") else tf.where(is_first, value, tf.zeros_like(value))
        for variable, value in zip(variables, values, strict=True)
    ]
    known = set(model.get_metrics_result())
    given = [(path[-1] if path else None, value) for path, value in keras.tree.flatten_with_path(outputs)]
    sums = _all_sum([*own, *(tf.convert_to_tensor(value) for name, value in given if name not in known)])
    replicas = context.num_replicas_in_sync
    means = [total / replicas if total.dtype.is_floating else total // replicas for total in sums]
    count = len(variables)
    totals = [
        means[place] if variable.aggregation == "mean" else sums[place] for place, variable in enumerate(variables)
    ]
    with keras.StatelessScope(list(zip(variables, totals, strict=True))):
        metrics = model.get_metrics_result()
    others = iter(means[count:])
    return keras.tree.pack_sequence_as(outputs, [metrics[name] if name in known else next(others) for name, _ in given])


def _all_sum(values):
    """Sums of tensors over all replicas, an exchange for each type of numbers."""
    sums, context = {}, tf.distribute.get_replica_context()
    for dtype in dict.fromkeys(value.dtype for value in values):
        places = [place for place, value in enumerate(values) if value.dtype == dtype]
        flat = tf.concat([tf.reshape(values[place], [-1]) for place in places], 0)
        sizes = [tf.size(values[place]) for place in places]
        parts = tf.split(context.all_reduce(tf.distribute.ReduceOp.SUM, flat), sizes)
        sums |= {place: tf.reshape(part, tf.shape(values[place])) for place, part in zip(places, parts, strict=True)}
    return [sums[place] for place in range(len(values))]


def _predict(self, original, force=False):
    """Answers in the order of the rows, on every worker."""
    strategy = self.distribute_strategy
    if not several(strategy):
        return original(self, force)
    if self.predict_function is not None and not force:
        return self.predict_function

    def predict(batches):
        answers = [answer(batch) for batch in batches]
        return tf.nest.map_structure(lambda *each: tf.concat(each, axis=0), *answers)

    def answer(batch):
        if not any(isinstance(values, tf.distribute.DistributedValues) for values in tf.nest.flatten(batch)):
            return self.predict_step(batch)  # of predict_on_batch: nobody cut it
        parts = strategy.run(self.predict_step, args=(batch,))
        return tf.nest.map_structure(lambda part: strategy.gather(part, axis=0), parts)

    self.predict_function = predict if self.run_eagerly else tf.function(predict, reduce_retracing=True)
    return self.predict_function


def _replica_context():
    """The context of one replica of several, or None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def _apply(self, original, gradients, variables):
    """Sums over all replicas, then clips and applies; what is decided by the step is decided between replicas."""
    context = _replica_context()
    if context is None:
        return original(self, gradients, variables)
    # Whole tables: rows of a table are as many as a replica's tokens, and collectives exchange equal shapes alone.
    gradients = [tf.convert_to_tensor(one) for one in gradients]
    narrow = getattr(self, "exchange", None) == "bfloat16"
    sent = [tf.cast(one, tf.bfloat16) if narrow else one for one in gradients]
    sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sent)
    gradients = [tf.cast(total, one.dtype) for total, one in zip(sums, gradients, strict=True)]
    if not (self.gradient_accumulation_steps or (self.use_ema and self.ema_overwrite_frequency)):
        return original(self, gradients, variables)

    def between(strategy, gradients):
        with _merged():
            original(self, [strategy.experimental_local_results(one)[0] for one in gradients], variables)

    return context.merge_call(between, args=(gradients,))


@contextlib.contextmanager
def _merged():
    """Within, what Keras wants to do between replicas is done where it is: between replicas already."""
    interim = tf.__internal__.distribute.interim
    kept, interim.maybe_merge_call = (
        interim.maybe_merge_call,
        lambda do, strategy, *args, **kw: do(strategy, *args, **kw),
    )
    try:
        yield
    finally:
        interim.maybe_merge_call = kept


def _reduced(self, original, pairs):
    """Nothing: `_apply` has summed."""
    return pairs


def _check_finite(self, original, gradients):
    """Whether the gradients of all replicas are finite."""
    context, finite = _replica_context(), original(self, gradients)
    if context is None:
        return finite
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.int32)) == 0
