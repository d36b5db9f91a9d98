"""How good answers are: scikit-learn's figures over one pass of labelled batches.

N examples, C classes, W windows of long texts.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kbert.tasks.long_texts import TEXT_IDS, first_of_each, merge_windows


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row, in float64.

    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    shifted = np.exp(np.asarray(logits, "float64") - np.max(logits, axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def log(probabilities: np.ndarray) -> np.ndarray:
    """Logits that softmax gives these probabilities for, where they sum to 1; finite also for 0."""
    return np.log(np.maximum(probabilities, np.finfo("float64").tiny))


def answers(model, batches: Iterable, merge: str = "mean") -> tuple[np.ndarray, np.ndarray]:
    """What the model says to every example, beside what is right.

    Args:
        model: a compiled or plain classifier, or another model with a `link`; logits float [B, C] for the inputs of a
            batch.
        batches: of (inputs, labels int [B]) or (inputs, labels, weights). Windows of long texts, which have an input
            `input_text_ids`, are merged: an example is a text.
        merge: "mean" or "max" of the scores of windows, see `kbert.tasks.long_texts`.

    Returns:
        labels int [N] and logits float32 [N, C], in the order of the batches.

    Raises:
        ValueError: no batch.
    """
    labels, logits, text_ids = [], [], []
    for inputs, right, *_ in batches:
        labels.append(np.asarray(right))
        logits.append(np.asarray(model.predict_on_batch(inputs), "float32"))
        text_ids += [np.asarray(inputs[TEXT_IDS])] if TEXT_IDS in inputs else []
    if not labels:
        raise ValueError("An evaluation needs at least one example; got none.")
    right, said = np.concatenate(labels), np.concatenate(logits)
    if not text_ids:
        return right, said
    owners = np.concatenate(text_ids)
    return first_of_each(right, owners), merge_windows(said, owners, model.link, merge)


def classification_scores(labels: np.ndarray, logits: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Loss, accuracy, macro F1, Matthews' correlation, each class, and the confusion matrix.

    Args:
        labels: int [N], which class is right.
        logits: float [N, C].
        names: C names of classes.

    Returns:
        {"examples", "loss", "accuracy", "macro_f1", "mcc", "classes": {name: {"precision", "recall", "f1", "support"}},
        "confusion": [C][C] counts, a row a right class and a column an answer}; a class never asked for or never
        answered scores 0, and macro F1 is over all C.

    >>> right, said = np.array([0, 1, 1]), np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    >>> scores = classification_scores(right, said, ["bad", "good"])
    >>> round(scores["accuracy"], 3), round(scores["macro_f1"], 3), scores["confusion"]
    (0.667, 0.667, [[1, 0], [1, 1]])
    """
    from sklearn import metrics

    classes = np.arange(len(names))
    answer = np.argmax(logits, axis=-1)
    parts = metrics.precision_recall_fscore_support(labels, answer, labels=classes, zero_division=0)
    probability = softmax(logits)[np.arange(len(labels)), labels]
    return {
        "examples": len(labels),
        "loss": float(-np.mean(log(probability))),
        "accuracy": float(metrics.accuracy_score(labels, answer)),
        "macro_f1": float(np.mean(parts[2])),
        "mcc": float(metrics.matthews_corrcoef(labels, answer)),
        "classes": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
            for name, p, r, f, n in zip(names, *parts, strict=True)
        },
        "confusion": metrics.confusion_matrix(labels, answer, labels=classes).tolist(),
    }


def table(scores: dict[str, Any]) -> list[str]:
    """The scores as lines to read: the totals, then a line a class."""
    width = max(5, *map(len, scores["classes"]))
    totals = "   ".join(f"{key} {scores[key]:.4f}" for key in ("accuracy", "macro_f1", "mcc"))
    lines = [f"{totals}   ({scores['examples']} examples)", ""]
    lines.append(f"{'class':<{width}}  precision  recall      f1  support")
    for name, row in scores["classes"].items():
        figures = f"{row['precision']:9.4f}  {row['recall']:6.4f}  {row['f1']:6.4f}  {row['support']:7d}"
        lines.append(f"{name:<{width}}  {figures}")
    return lines
