"""A toy of pre-training for several test files: a tiny model, rows that are a function of their place, a recipe.

B rows, T tokens, P predictions, V vocabulary; all sizes differ.
"""

import keras
import numpy as np
import tensorflow as tf

from kbert.config import BertConfig
from kbert.pretraining.pretrainer import Pretrainer
from kbert.pretraining.training import Phase, PretrainingRecipe

V, P, WINDOW = 23, 3, 9  # rows of a window are no multiple of a batch
LENGTHS = (7, 11)
PHASES = (Phase(LENGTHS[0], 4, 7), Phase(LENGTHS[1], 2, 5))
STEPS = 12
WHEN = {"checkpoint_steps": 4, "checkpoint_minutes": None, "evaluate_steps": 5, "log_steps": 3}
RECIPE = PretrainingRecipe(PHASES, learning_rate=2e-2, warmup=0.25, accumulate=2, **WHEN)


def toy(seed=1, **changes):
    config = BertConfig(
        vocab_size=V,
        hidden_size=6,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=13,
        **changes,
    )
    return Pretrainer(config, seed=seed)


def row(epoch, window, number, length):
    """A row of its own for every place; the first token answers the pair."""
    random = np.random.default_rng([epoch, window, number, length])
    ids = random.integers(5, V, length).astype("int32")
    inputs = {
        "input_word_ids": ids,
        "input_mask": (np.arange(length) < length - number % 3).astype("int32"),
        "input_type_ids": (np.arange(length) > 3).astype("int32"),
        "masked_lm_positions": np.array([1, 2, 4], "int32"),
        "place": np.array([epoch, window, number]),
    }
    labels = {"masked_lm_ids": ids[[1, 2, 4]], "next_sentence_labels": np.int32(ids[0] % 2)}
    return inputs, labels, {"masked_lm_weights": np.array([1, 1, number % 2], "float32")}


def rows(length, after=None):
    """Two windows an epoch, without end, behind the row `after`."""
    epoch, window, number = after or (0, 0, -1)
    while True:
        number += 1
        if number == WINDOW:
            number, window = 0, window + 1
        if window == 2:
            window, epoch = 0, epoch + 1
        yield row(epoch, window, number, length)


def dataset(length, batch, after=None, end=None):
    """Batches of `rows`, without end; or `end` rows."""
    signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), row(0, 0, 0, length))
    made = tf.data.Dataset.from_generator(lambda: rows(length, after), output_signature=signature)
    return (made if end is None else made.take(end)).batch(batch, drop_remainder=end is None)


def data(phases=PHASES):
    return [lambda after, phase=phase: dataset(phase.max_length, phase.batch_size, after) for phase in phases]


def held_out(phases=PHASES):
    return [dataset(phase.max_length, 2, end=5) for phase in phases]


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Ends the process's work after a step, as a signal would; `before` its checkpoint or after the next began."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise Killed


def timeless(lines):
    """Lines of metrics.jsonl without what a clock said."""
    clocks = ("seconds", "time", "tokens_per_second", "wait_share")
    return [{name: value for name, value in line.items() if name not in clocks} for line in lines]
