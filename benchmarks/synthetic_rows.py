"""Rows of random tokens for pre-training, whose shapes are all that matters; and a model of a size for them.

TensorFlow is imported when a function runs: what imports this file may still say how many threads there are.
"""

import numpy as np

FIRST_WORD = 1000  # of BERT's vocabulary; what comes before are special tokens and characters


def pretraining_model(size: str, dtype: str = "float32", *, recompute: bool = False, accumulate: int = 1):
    """A `kbert.Pretrainer` with its optimizer and BERT's vocabulary, compiled."""
    import kbert

    model = kbert.Pretrainer(kbert.SIZES[size], dtype=dtype, recompute=recompute)
    model.compile(kbert.adamw(1e-4, total_steps=1000), accumulate=accumulate)
    return model


def rows(count: int, length: int, vocabulary: int = 30522):
    """An endless dataset of one batch, as `kbert.Pretrainer` takes it; every slot holds a token."""
    import tensorflow as tf

    random, predictions = np.random.default_rng(0), round(0.15 * length)
    ids = random.integers(FIRST_WORD, vocabulary, [count, length], dtype="int32")
    places = np.sort(random.permuted(np.tile(np.arange(length, dtype="int32"), (count, 1)), axis=1)[:, :predictions])
    inputs = {
        "input_word_ids": ids,
        "input_mask": np.ones_like(ids),
        "input_type_ids": np.zeros_like(ids),
        "masked_lm_positions": places,
    }
    labels = {
        "masked_lm_ids": np.take_along_axis(ids, places, axis=1),
        "next_sentence_labels": random.integers(2, size=[count], dtype="int32"),
    }
    weights = {"masked_lm_weights": np.ones([count, predictions], "float32")}
    return tf.data.Dataset.from_tensors((inputs, labels, weights)).repeat()
