"""Short trainings whose weights must not depend on who computes them: python replica_cases.py OUT [DEVICES].

Writes weights, figures and answers of each case to OUT (npz): on several CPUs of this process where DEVICES says how
many, on the workers that TF_CONFIG names where it names any, else on one device. Each array is named CASE/WHAT.
"""

import dataclasses
import sys

import keras
import numpy as np
import tensorflow as tf

import kbert
from kbert.tasks.qa import POSITIONS

B, T, V, STEPS = 8, 11, 97, 20
ROWS = 12  # of a batch that is cut into two parts on each of two or three replicas
TINY = dataclasses.replace(
    kbert.SIZES["tiny"],
    vocab_size=V,
    hidden_size=16,
    num_attention_heads=2,
    intermediate_size=24,
    num_hidden_layers=2,
    max_position_embeddings=T,
)


def rows(count: int, seed: int = 0) -> dict:
    """Ids of texts of all lengths."""
    random = np.random.default_rng(seed)
    mask = (np.arange(T) < random.integers(2, T + 1, count)[:, None]).astype("int32")
    ids = random.integers(1, V, (count, T)).astype("int32") * mask
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": 0 * ids}


def batches(*parts, size: int = B) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def classified(count: int) -> tf.data.Dataset:
    """37 or 13 examples: the last batch is uneven, and of 5: one replica of three has 1."""
    random = np.random.default_rng(1)
    weights = random.random(count).astype("float32")
    return batches(rows(count), random.integers(0, 3, count).astype("int32"), weights)


def tagged(count: int, words: int = 4) -> tf.data.Dataset:
    """Some rows have one word, others four: replicas have unequal counts."""
    random = np.random.default_rng(2)
    inputs = rows(count)
    places = np.minimum(np.arange(1, words + 1), T - 1) * (
        np.arange(words) < random.integers(1, words + 1, count)[:, None]
    )
    inputs["word_positions"] = places.astype("int32")
    tags = random.integers(0, 3, (count, words)).astype("int32")
    return batches(inputs, tags, (places > 0).astype("float32"))


def masked(count: int) -> tf.data.Dataset:
    """Rows with masks, and whole runs of rows with none: some replica has no masked token."""
    random = np.random.default_rng(3)
    inputs = {**rows(count), "place": np.stack([np.zeros(count), np.zeros(count), np.arange(count)], 1).astype("int64")}
    inputs["masked_lm_positions"] = random.integers(0, 2, (count, 3)).astype("int32")
    counts = (random.random((count, 3)) < 0.6) & (np.arange(count) % ROWS >= ROWS // 2)[:, None]
    labels = {"masked_lm_ids": random.integers(1, V, (count, 3)).astype("int32")}
    labels["next_sentence_labels"] = random.integers(0, 2, count).astype("int32")
    return batches(inputs, labels, {"masked_lm_weights": counts.astype("float32")}, size=ROWS)


def classifier(optimizer=None, dtype="float32", **compiled):
    model = kbert.Classifier(TINY, labels=["a", "b", "c"], seed=3, dtype=dtype)
    model.compile(optimizer or kbert.adamw(1e-2, total_steps=STEPS, clip_norm=0.3), **compiled)
    return model, classified(37), classified(13)


def tagger(**kwargs):
    model = kbert.Tagger(TINY, labels=["O", "B-X", "I-X"], seed=3, **kwargs)
    model.compile(kbert.adamw(1e-2, total_steps=STEPS, clip_norm=0.3))
    return model, tagged(37), tagged(13)


def paired(count: int) -> tf.data.Dataset:
    """Pairs of texts, some of them equal to others."""
    random = np.random.default_rng(4)
    inputs = {name: values.reshape(count, 2, T) for name, values in rows(2 * count).items()}
    return batches(inputs, random.integers(0, 3 * count, (count, 2)).astype("int32"))


def answered(count: int) -> tf.data.Dataset:
    """Where answers begin and end; nobody asks that the one comes before the other."""
    random = np.random.default_rng(5)
    return batches(rows(count), {name: random.integers(0, 2, count).astype("int32") for name in POSITIONS})


def embedder():
    model = kbert.Embedder(TINY, seed=3)
    model.compile(kbert.adamw(2e-3, total_steps=STEPS, clip_norm=0.3))
    return model, paired(37), paired(13)


def reader():
    model = kbert.SpanReader(TINY, seed=3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))  # Adam makes rounding large: the bias has no gradient
    return model, answered(37), answered(13)


def pretrainer(optimizer=None, accumulate: int = 1):
    model = kbert.Pretrainer(TINY, seed=3)
    model.compile(optimizer or kbert.adamw(1e-2, total_steps=STEPS, clip_norm=0.3), accumulate=accumulate)
    return model, masked(5 * ROWS), masked(2 * ROWS)


def plain():
    """Somebody's own Keras model with Keras' own optimizer."""
    first, last = (keras.initializers.RandomNormal(0.0, 0.1, seed=seed) for seed in (1, 2))
    inputs = {name: keras.Input([T], dtype="int32", name=name) for name in rows(1)}
    # No Embedding: on one device Keras clips by a norm in which each row of its gradient counts apart.
    x = keras.layers.Dense(6, "tanh", kernel_initializer=first)(keras.ops.one_hot(inputs["input_word_ids"], V))
    outputs = keras.layers.Dense(3, kernel_initializer=last)(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-2, global_clipnorm=0.1), loss, metrics=["accuracy"])
    return model, classified(4 * 2 * B).take(5), classified(2 * B)


class OwnStep(keras.Model):
    """A model with a step as Keras' guides write it; it gives a number that is no metric, too."""

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            answers = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=answers, sample_weight=weights)
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True)
        )
        figures = [metric for metric in self.metrics if metric.name != "loss"]
        for metric in figures:
            metric.update_state(y, answers, weights)
        return {**{metric.name: metric.result() for metric in figures}, "steps": self.optimizer.iterations}


def own_step():
    inner, train, dev = plain()
    model = OwnStep(inner.inputs, inner.outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    even = train.unbatch().batch(ROWS, drop_remainder=True)  # the step knows nothing of uneven replicas
    return model, even.apply(tf.data.experimental.assert_cardinality(3)), dev


def lossscaled():
    return keras.optimizers.LossScaleOptimizer(
        kbert.adamw(1e-2, total_steps=STEPS, clip_norm=0.3), initial_scale=2.0**10
    )


def overflowing():
    """A row of the second replica's whose scaled loss has no float32: nobody makes a step of its batch."""
    model, train, dev = classifier(lossscaled())
    rows, labels, _ = next(iter(train.unbatch().batch(37)))
    weights = np.where(np.arange(37) == B - 1, 3e37, 1.0).astype("float32")
    return model, batches(rows, labels, weights), dev


CASES = {
    "classify": classifier,
    "classify, three steps an execution": lambda: classifier(steps_per_execution=3),
    "classify, accumulated by Keras": lambda: classifier(
        keras.optimizers.AdamW(1e-2, global_clipnorm=0.3, gradient_accumulation_steps=2)
    ),
    "classify, averaged weights": lambda: classifier(
        keras.optimizers.SGD(0.1, clipnorm=0.1, use_ema=True, ema_overwrite_frequency=2)
    ),
    "classify, scaled losses": lambda: classifier(lossscaled()),
    "classify, an overflow": overflowing,
    "classify, float16": lambda: classifier(lossscaled(), dtype="mixed_float16"),
    "classify, bfloat16": lambda: classifier(dtype="mixed_bfloat16"),
    "classify, gradients told in bfloat16": lambda: classifier(
        kbert.adamw(1e-2, total_steps=STEPS, clip_norm=0.3, exchange="bfloat16")
    ),
    "tag": tagger,
    "tag by a CRF": lambda: tagger(crf=True),
    "embed": embedder,
    "qa": reader,
    "pretrain": pretrainer,
    "pretrain, accumulated": lambda: pretrainer(accumulate=2),
    "pretrain, lamb": lambda: pretrainer(kbert.lamb(1e-2, total_steps=STEPS)),
    "plain Keras": plain,
    "plain Keras, its own step": own_step,
}


def train(case: str, strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """The arrays of a case. What follows a comma is another way to train, which evaluates and answers as without it."""
    whole = "," not in case
    with strategy.scope():
        model, train, dev = CASES[case]()
        history = model.fit(train, epochs=4, validation_data=dev if whole else None, verbose=0)
        answers = model.predict(dev, verbose=0) if whole else {}
    found = {f"weights/{weight.path}": np.asarray(weight.value) for weight in model.trainable_variables}
    found |= {f"figures/{name}": np.asarray(values) for name, values in history.history.items()}
    answers = answers if isinstance(answers, dict) else {"answers": answers}
    return {**found, **{f"answers/{name}": values for name, values in answers.items()}}


def main(out: str, devices: int = 0) -> None:
    if devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    strategy = kbert.strategy("mirrored" if devices else "auto")
    arrays = {f"{case}|{name}": array for case in CASES for name, array in train(case, strategy).items()}
    np.savez(out, replicas=strategy.num_replicas_in_sync, **arrays)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
