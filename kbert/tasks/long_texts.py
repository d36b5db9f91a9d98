"""Long texts: scores of the windows of a text -> the scores of the text.

W windows of all texts, N texts, C classes.

A text of more tokens than a model has is seen through windows that overlap (`pipelines.windows`), and each is scored as
if it stood alone. A batch of windows has a fourth input, `input_text_ids` int [B], which text each is of.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

TEXT_IDS = "input_text_ids"
MERGES = ("mean", "max")


class Link(NamedTuple):
    """How a task's logits become the scores that it answers with, and scores logits; float [N, ...] all.

    Scores are what is merged: probabilities of classes, and not their logits, which have no common scale.
    """

    scores: Callable[[np.ndarray], np.ndarray]
    logits: Callable[[np.ndarray], np.ndarray]


def merge_windows(logits: np.ndarray, text_ids: np.ndarray, link: Link, merge: str = "mean") -> np.ndarray:
    """Logits of windows -> logits of texts, by way of their scores.

    Args:
        logits: float [W, ...].
        text_ids: int [W], which text each window is of, in any order.
        link: of the task.
        merge: "mean" of the scores of a text's windows, or the "max" of each.

    Returns:
        Logits float [N, ...] of the texts in the order of their ids; under a softmax, classes sum to 1 again.

    >>> halves = Link(lambda logits: logits / 2, lambda scores: scores * 2)
    >>> merge_windows(np.array([[2.0], [8.0], [4.0]]), np.array([7, 3, 7]), halves).tolist()
    [[8.0], [3.0]]
    >>> merge_windows(np.array([[2.0], [8.0], [4.0]]), np.array([7, 3, 7]), halves, "max").tolist()
    [[8.0], [4.0]]

    Raises:
        ValueError: `merge` is neither.
    """
    if merge not in MERGES:
        raise ValueError(f"merge is {' or '.join(MERGES)}; got {merge!r}.")
    order = np.argsort(text_ids, kind="stable")
    starts = np.flatnonzero(np.diff(text_ids[order], prepend=-1))  # where in this order each text starts
    scores = link.scores(logits)[order]
    if merge == "max":
        return link.logits(np.maximum.reduceat(scores, starts))
    counts = np.diff(starts, append=len(order)).reshape(-1, *[1] * (scores.ndim - 1))
    return link.logits(np.add.reduceat(scores, starts) / counts)


def first_of_each(values: np.ndarray, text_ids: np.ndarray) -> np.ndarray:
    """What goes with the first window of each text, in the order of their ids: [W, ...] -> [N, ...]."""
    return values[np.unique(text_ids, return_index=True)[1]]
