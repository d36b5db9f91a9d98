"""How good sets of labels are: thresholds chosen on one set of texts, and scikit-learn's figures on any.

N examples, C labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

DEFAULT = 0.5
DIGITS = 6  # of a threshold
APART = 1e-5  # least distance of two probabilities that a threshold parts; exports differ by less
SEPARATORS = (",", "|", ";", "\x1f")
TOTALS = ("micro_f1", "macro_f1", "exact", "map")


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probability of each label by itself, in float64.

    >>> sigmoid(np.array([0.0, -1000.0, 1000.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, "float64")))


def logit(probabilities: np.ndarray) -> np.ndarray:
    """What sigmoid gives these probabilities for, in float64; finite also for 0 and 1.

    >>> logit(np.array([0.5, 0.0])).round(1).tolist()
    [0.0, -36.0]
    """
    inside = np.clip(probabilities, np.finfo("float64").eps, 1 - np.finfo("float64").eps)
    return np.log(inside) - np.log1p(-inside)


def separator_for(labels: Sequence[str]) -> str:
    """What stands between the labels of one answer: a comma, or where a label has one, the first that none has.

    >>> separator_for(["red", "blue"]), separator_for(["red, dark", "blue"])
    (',', '|')
    """
    free = [separator for separator in SEPARATORS if not any(separator in label for label in labels)]
    if not free:
        raise ValueError(f"labels leave one of {' '.join(SEPARATORS[:-1])} unused, to stand between them. Rename some.")
    return free[0]


def tuned_thresholds(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """For each label, the threshold at which its F1 is highest (Lipton et al. 2014).

    A threshold lies in the middle of two neighbouring probabilities, or of 0 and the lowest; of equally good ones it is
    the one nearest to 0.5, then the lower. It is 0.5 for a label that no text has, which nothing can be tuned on.

    Args:
        labels: 0 or 1, [N, C].
        probabilities: float [N, C], in [0, 1].

    Returns:
        C numbers; a text has a label where its probability is not below.

    >>> tuned_thresholds(np.array([[0, 0], [1, 0], [1, 0]]), np.array([[0.1, 0.7], [0.2, 0.8], [0.6, 0.9]]))
    [0.15, 0.5]
    """
    return [
        _tuned(right > 0, said) for right, said in zip(np.transpose(labels), np.transpose(probabilities), strict=True)
    ]


def _tuned(right: np.ndarray, said: np.ndarray) -> float:
    """The threshold of one label: right bool [N], said float [N]."""
    if not right.any():
        return DEFAULT
    values = np.unique(said)
    below = np.concatenate([[0.0], values[:-1]])
    far = np.append(True, np.diff(values) > APART)  # else another machine's last digit would change the answer
    values, middles = values[far], (values[far] + below[far]) / 2  # under each value, so that it is over
    answered = len(said) - np.searchsorted(np.sort(said), values)  # texts not below each value
    hit = right.sum() - np.searchsorted(np.sort(said[right]), values)
    f1 = 2 * hit / (answered + right.sum())
    best = middles[f1 >= f1.max() - 1e-12]
    nearest = best[np.argmin(np.round(np.abs(best - DEFAULT), 2 * DIGITS))]
    return float(np.round(nearest, DIGITS + 1))


def multilabel_scores(
    labels: np.ndarray, logits: np.ndarray, names: Sequence[str], thresholds: Sequence[float]
) -> dict[str, Any]:
    """Loss, F1 over all answers and over labels, whole sets that are right, average precision, and each label.

    Args:
        labels: 0 or 1, [N, C].
        logits: float [N, C].
        names: C labels.
        thresholds: C probabilities; a text has the labels that are not below theirs.

    Returns:
        {"examples", "loss" (mean binary cross-entropy), "micro_f1", "macro_f1", "exact" (share of texts of which all
        labels are right and none is missing), "map" (mean average precision over the labels that some text has; needs
        no threshold), "classes": {name: {"precision", "recall", "f1", "support", "average_precision", "threshold"}}};
        a label that no text has, or that is never answered, scores 0.

    >>> right, said = np.array([[1, 0], [1, 1], [0, 0]]), np.array([[2.0, -1.0], [-1.0, 3.0], [-2.0, -3.0]])
    >>> scores = multilabel_scores(right, said, ["cat", "dog"], [0.5, 0.5])
    >>> {name: round(scores[name], 4) for name in TOTALS}
    {'micro_f1': 0.8, 'macro_f1': 0.8333, 'exact': 0.6667, 'map': 1.0}
    """
    from sklearn import metrics

    right, probability = np.asarray(labels) > 0, sigmoid(logits)  # [N, C]
    said = probability >= np.asarray(thresholds)
    there = right.any(axis=0)
    columns = list(zip(right.T, said.T, probability.T, strict=True))

    def figures(right, said):  # a column at a time: scikit-learn takes [N, 1] for two classes
        return metrics.precision_recall_fscore_support(right, said, average="binary", zero_division=0)[:3]

    parts = zip(*(figures(r, s) for r, s, _ in columns), strict=True)
    precision = [metrics.average_precision_score(r, p) if r.any() else 0.0 for r, _, p in columns]
    rows = list(zip(names, *parts, right.sum(axis=0), precision, thresholds, strict=True))
    return {
        "examples": len(right),
        "loss": float(np.mean(np.logaddexp(0.0, np.where(right, -1.0, 1.0) * np.asarray(logits, "float64")))),
        "micro_f1": float(figures(right.ravel(), said.ravel())[2]),
        "macro_f1": float(np.mean([row[3] for row in rows])),
        "exact": float((right == said).all(axis=1).mean()),
        "map": float(np.mean(np.array(precision)[there])) if there.any() else 0.0,
        "classes": {
            name: {
                "precision": float(p),
                "recall": float(r),
                "f1": float(f),
                "support": int(n),
                "average_precision": float(a),
                "threshold": float(t),
            }
            for name, p, r, f, n, a, t in rows
        },
    }


def table(scores: dict[str, Any]) -> list[str]:
    """The scores as lines to read: the totals, then a line a label."""
    width = max(5, *map(len, scores["classes"]))
    totals = "   ".join(f"{name} {scores[name]:.4f}" for name in TOTALS)
    lines = [f"{totals}   ({scores['examples']} examples)", ""]
    lines.append(f"{'label':<{width}}  precision  recall      f1  support  avg. precision  threshold")
    for name, row in scores["classes"].items():
        figures = f"{row['precision']:9.4f}  {row['recall']:6.4f}  {row['f1']:6.4f}  {row['support']:7d}"
        lines.append(f"{name:<{width}}  {figures}  {row['average_precision']:14.4f}  {row['threshold']:9.4f}")
    return lines
