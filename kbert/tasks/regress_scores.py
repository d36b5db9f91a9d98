"""How good scores are: correlations and errors over one pass of labelled batches.

N examples.
"""

from typing import Any

import numpy as np

NAMES = ("pearson", "spearman", "mse", "mae")
ALIKE = 1e-12  # of their size: numbers that differ by less are rounding


def regression_scores(right: np.ndarray, said: np.ndarray) -> dict[str, Any]:
    """Both correlations, the mean squared and the mean absolute error.

    Pearson's is of the numbers, Spearman's of their ranks, ties sharing the mean rank (scipy.stats).

    Args:
        right: float [N], the scores.
        said: float [N], the answers.

    Returns:
        {"examples", "loss" (the mean squared error), "pearson", "spearman", "mse", "mae"}. Where a correlation is not
        defined both are 0.0, and "undefined" says why.

    Raises:
        ValueError: an answer that is not finite.

    >>> scores = regression_scores(np.array([0.0, 1.0, 5.0]), np.array([0.0, 2.0, 3.0]))
    >>> {name: round(scores[name], 4) for name in NAMES}
    {'pearson': 0.866, 'spearman': 1.0, 'mse': 1.6667, 'mae': 1.0}
    >>> regression_scores(np.array([1.0, 2.0]), np.array([3.0, 3.0]))["undefined"]
    'no correlation: all answers are alike'
    """
    from scipy import stats

    right, said = np.asarray(right, "float64"), np.asarray(said, "float64")
    if not np.isfinite(said).all():
        raise ValueError(f"answers are finite numbers; {int((~np.isfinite(said)).sum())} of {len(said)} are not.")
    error = said - right
    mse = float(np.mean(error**2))
    figures: dict[str, Any] = {"examples": len(right), "loss": mse, "pearson": 0.0, "spearman": 0.0, "mse": mse}
    figures["mae"] = float(np.mean(np.abs(error)))
    alike = [name for name, values in (("answers", said), ("scores", right)) if are_alike(values)]
    if alike:
        return {**figures, "undefined": f"no correlation: all {' and all '.join(alike)} are alike"}
    correlations = {"pearson": stats.pearsonr(right, said), "spearman": stats.spearmanr(right, said)}
    return {**figures, **{name: float(found.statistic) for name, found in correlations.items()}}


def are_alike(values: np.ndarray) -> bool:
    """Whether numbers do not differ, rounding apart; a single one does not.

    >>> are_alike(np.array([2.0, 2.0])), are_alike(np.array([2.0, 2.5]))
    (True, False)
    """
    return bool(np.ptp(values) <= ALIKE * np.max(np.abs(values)))


def table(scores: dict[str, Any]) -> list[str]:
    """The scores as lines to read.

    >>> table({"examples": 3, "pearson": 0.5, "spearman": 0.25, "mse": 1.0, "mae": 0.75})
    ['pearson 0.5000   spearman 0.2500   mse 1.0000   mae 0.7500   (3 examples)']
    """
    figures = "   ".join(f"{name} {scores[name]:.4f}" for name in NAMES)
    lines = [f"{figures}   ({scores['examples']} examples)"]
    return [*lines, scores["undefined"]] if "undefined" in scores else lines
