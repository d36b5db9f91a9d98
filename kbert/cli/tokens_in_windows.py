"""Tokens of texts of any length, each in the window of its text that shows it with the most context.

N tokens of all texts, W windows, n tokens of a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines import WordPiece
from pipelines.packing import SINGLE_SPECIALS
from pipelines.windows import most_context, windows
from pipelines.wordpiece import SUFFIX


@dataclass(frozen=True)
class Tokens:
    """Tokens of texts, one text after another, and the windows that they are read in.

    Args:
        ids, starts, ends: int32 [N]; the last two in characters of the token's text.
        splits: int [B + 1], where each text's tokens start and the last one's end.
        windows: W times ids int32 [n], without special tokens.
        first: int [W], which of the N tokens each window starts with.
        best: W times the places int [k] of a window whose tokens are read there; each of the N in one window.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    splits: np.ndarray
    windows: Sequence[np.ndarray]
    first: np.ndarray
    best: Sequence[np.ndarray]


def tokens_in_windows(texts: Sequence[str], wordpiece: WordPiece, max_length: int) -> Tokens:
    """Texts -> tokens; those of more than `max_length`, special tokens included, are seen through windows that overlap
    by half.
    """
    room = max_length - SINGLE_SPECIALS
    ids, starts, ends = wordpiece.tokenize_with_offsets(list(texts))
    cut = windows(ids, room, max(room // 2, 1))
    splits, borders = ids.row_splits.numpy(), cut.ids.row_splits.numpy()[1:-1]
    return Tokens(
        *(part.values.numpy() for part in (ids, starts, ends)),
        splits,
        np.split(cut.ids.values.numpy(), borders),
        splits[cut.owners.numpy()] + cut.starts.numpy(),
        [np.flatnonzero(best) for best in np.split(most_context(cut).values.numpy(), borders)],
    )


def continuing(wordpiece: WordPiece) -> np.ndarray:
    """Whether a token continues the word before it: bool [V]."""
    return np.array([token.startswith(SUFFIX) for token in wordpiece.vocabulary])


def window_length(model, max_length: int | None) -> int:
    """Tokens of a window, special ones included; by default all positions of the model.

    Raises:
        ValueError: more than these, or so few that they hold no token.
    """
    limit = model.config.max_position_embeddings
    length = limit if max_length is None else max_length
    if not SINGLE_SPECIALS < length <= limit:
        raise ValueError(f"max_length is from {SINGLE_SPECIALS + 1} to {limit} for this model; got {length}.")
    return length
