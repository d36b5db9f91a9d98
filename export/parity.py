"""Exported == trained, on the same texts: no export is handed out that answers otherwise than its model."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from export.serving import Serving

TOLERANCE = 1e-5
TEXTS = (
    "a plain sentence .",
    "Caf\u00e9s in \u6771\u4eac, \u00a37.50 \u2013 na\u00efve? \U0001f642",
    "",
    "Long enough to be cut where texts are short. " * 12,
)


class ParityError(ValueError):
    """The exported model's answers are not the trained model's."""


def check_parity(folder: Path, model: keras.Model, serving: Serving) -> float:
    """Compares the SavedModel in `folder` with `model` on texts of several scripts and lengths, alone and together.

    Args:
        folder: of the SavedModel.
        model: the trained model.
        serving: what was saved; its strings are asked of both, its own graph is not.

    Returns:
        The largest difference of a number.

    Raises:
        ParityError: a difference over 1e-5, or another string or place.
    """
    loaded = tf.saved_model.load(str(folder))  # kept: a signature does not own what it calls
    serve = loaded.signatures["serving_default"]
    worst = 0.0
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3]):
        strings = serving.sample(texts)
        with serving.asking(model):
            expected = serving.serve(*strings.values())
        answers = serve(**strings)
        for name, right in expected.items():
            worst = max(worst, difference(name, answers[name].numpy(), right.numpy()))
    return worst


def difference(name: str, answer: np.ndarray, right: np.ndarray) -> float:
    """The largest difference of two answers' numbers, 0 for strings and whole numbers, which must be equal."""
    same = answer.shape == right.shape
    far = 0.0
    if same and right.dtype.kind == "f":
        far = float(np.abs(answer - right).max(initial=0.0))
        same = far <= TOLERANCE  # NaN is neither more nor less than the tolerance: it must fail too
    elif same:
        same = bool((answer == right).all())
    if not same:
        raise ParityError(
            f"An exported model answers as the trained one, to {TOLERANCE}; {name} is {answer.tolist()} for "
            f"{right.tolist()}. Nothing was written. Check that the weights are finite; report this otherwise."
        )
    return far
