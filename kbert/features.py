"""Features: the vectors that layers of the encoder give each token, not pooled, for models of another kind.

B texts, T tokens, D width, L layers that are chosen.

The approach of Devlin et al. 2019, section 5.3 (google-research/bert extract_features.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from kbert.encoder import Encoder
from kbert.layer_mix import mixed

MIXES = ("none", "last", "sum", "mean")
PIECES = ("mean", "first")


def layer_numbers(layers: Sequence[int], num_blocks: int) -> list[int]:
    """Layers counted from 0, the embeddings; -1 is the last block.

    >>> layer_numbers([-1, -2, 0, 4], num_blocks=6)
    [6, 5, 0, 4]

    Raises:
        ValueError: a layer that there is not, or none at all.
    """
    if not layers:
        raise ValueError("layers are one at least; got none. -1 is the last.")
    for layer in layers:
        if not -num_blocks - 1 <= layer <= num_blocks:
            raise ValueError(
                f"A layer is a number from {-num_blocks - 1} to {num_blocks} for this model, 0 its embeddings and -1 "
                f"its last block; got {layer}."
            )
    return [layer % (num_blocks + 1) for layer in layers]


def token_features(encoder: Encoder, inputs: Mapping[str, Any], layers: Sequence[int] = (-1,), mix: str = "none"):
    """Vectors of every token, from some layers.

    Args:
        encoder: of any model: `kbert.Encoder.from_preset(...)`, or `model.encoder`.
        inputs: the id tensors, int32 [B, T], see `Encoder`.
        layers: 0 (the embeddings) to the number of blocks, or -1 (the last block) and down.
        mix: "none", or one vector a token: the "last" of these layers (the one nearest to the end of the model), their
            "sum" or their "mean".

    Returns:
        float32 [B, T, L, D], layers in the order asked for; [B, T, D] where they are mixed. What stands at padding
        means nothing.

    Raises:
        ValueError: a layer that there is not, or another mix.
    """
    if mix not in MIXES:
        raise ValueError(f"A mix of features is one of {', '.join(MIXES)}; got {mix!r}.")
    numbers = layer_numbers(layers, encoder.config.num_hidden_layers)
    layout, outputs = encoder.encode_layers(inputs)
    width = encoder.config.hidden_size
    if mix != "none":
        return layout.to_rows(mixed([outputs[number] for number in sorted(numbers)], mix), width)  # [B, T, D]
    return ops.stack([layout.to_rows(outputs[number], width) for number in numbers], axis=2)  # [B, T, L, D]


def word_features(vectors: np.ndarray, continues: np.ndarray, pieces: str = "mean") -> np.ndarray:
    """Vectors of words from those of their pieces.

    Args:
        vectors: [T, ...], a piece each.
        continues: bool [T], whether a piece continues the word before.
        pieces: "mean" of a word's pieces, or the "first" of them.

    Returns:
        float32 [W, ...].

    >>> word_features(np.array([[1.0], [2.0], [4.0]]), np.array([False, False, True])).ravel().tolist()
    [1.0, 3.0]

    Raises:
        ValueError: another `pieces`.
    """
    if pieces not in PIECES:
        raise ValueError(f"The vector of a word is the {' or the '.join(PIECES)} of its pieces; got {pieces!r}.")
    first = word_starts(continues)
    if pieces == "first" or not len(first):
        return vectors[first].astype("float32")
    sums = np.add.reduceat(vectors, first, axis=0)
    counts = np.diff(np.append(first, len(vectors))).reshape(-1, *[1] * (vectors.ndim - 1))
    return (sums / counts).astype("float32")


def word_starts(continues: np.ndarray) -> np.ndarray:
    """Places of the pieces that start a word, int [W]; the first piece of a text always does."""
    starts = ~np.asarray(continues, bool)
    starts[:1] = True
    return np.flatnonzero(starts)
