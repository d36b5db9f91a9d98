"""Exported == trained, on the same texts: no export is handed out that answers otherwise than its model."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

TOLERANCE = 1e-5
TEXTS = (
    "a plain sentence .",
    "Caf\u00e9s in \u6771\u4eac, \u00a37.50 \u2013 na\u00efve? \U0001f642",
    "",
    "Long enough to be cut where texts are short. " * 12,
)


class ParityError(ValueError):
    """The exported model's answers are not the trained model's."""


def check_parity(folder: Path, model: keras.Model, serving) -> float:
    """Compares the SavedModel in `folder` with `model` on texts of several scripts and lengths, alone and together.

    Args:
        folder: of the SavedModel.
        model: the trained model.
        serving: the `export.tasks.classify` object that was saved; its `tokenize` feeds the model.

    Returns:
        The largest difference of a score.

    Raises:
        ParityError: a difference over 1e-5, or another label.
    """
    loaded = tf.saved_model.load(str(folder))  # kept: a signature does not own what it calls
    serve = loaded.signatures["serving_default"]
    worst = 0.0
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3]):
        columns = [tf.constant(texts) for _ in serving.text_names]
        expected = tf.nn.softmax(model(serving.tokenize(*columns), training=False)).numpy()
        answers = serve(**dict(zip(serving.text_names, columns, strict=True)))
        difference = float(np.abs(answers["scores"].numpy() - expected).max())
        labels = [label.decode() for label in answers["label"].numpy()]
        # NaN is neither more nor less than the tolerance: it must fail too.
        if not difference <= TOLERANCE or labels != [serving.labels[i] for i in expected.argmax(-1)]:
            raise ParityError(
                f"An exported model answers as the trained one, to {TOLERANCE}; scores differ by {difference:.2g}, "
                f"labels are {labels}. Nothing was written. Check that the weights are finite; report this otherwise."
            )
        worst = max(worst, difference)
    return worst
