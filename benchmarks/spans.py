"""The vector of a stretch of a text, from those of its tokens."""

from typing import Any

import numpy as np


def span_vector(found: Any, start: int, end: int) -> np.ndarray:
    """Mean of the vectors of the tokens that lie in characters `start` to `end`, even in part.

    Args:
        found: a `kbert.cli.token_vectors.TextVectors`.
        start, end: in characters.

    Raises:
        ValueError: no token lies there.
    """
    inside = (found.starts < end) & (found.ends > start)
    if not inside.any():
        raise ValueError(f"No token lies in characters {start} to {end}: {found.text[start:end]!r} of {found.text!r}.")
    return found.vectors[inside].mean(axis=0)
