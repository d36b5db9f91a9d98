"""A start from which every token already attends to its neighbours: for pre-trainings too short to find them.

From random weights attention is even: a masked token sees the mean of its text and learns how frequent words are. That
a query should match the key one place before or after is found late, after a long plateau of the loss (Chen et al.
2024, "Sudden Drops in the Loss"); heads that are told to look at fixed neighbours learn from the first step
(Deshpande and Narasimhan 2020, "Guiding Attention for Self-Supervised Learning with Transformers"; Trockman and Kolter
2023, "Mimetic Initialization of Self-Attention Layers"). Here only the start is told, and all weights learn as ever.

The position table starts as waves: [sin(w p), cos(w p)] for the frequencies w of a head, the same in every head. A
turn by w o moves a wave by o places, so with keys that copy the waves and queries that copy them turned, a head's
scores are highest o places away: in the first block, heads look at the tokens before, after, two before, two after.

D width, H heads, P positions.
"""

import keras
import numpy as np

OFFSETS = (-1, 1, -2, 2)  # of the heads in turn
SHARPNESS = 1.75  # of queries and keys: the neighbour's score is about 8 over the others' in a head of 64


def start_at_neighbours(model, seed: int = 0) -> None:
    """Sets the position table, and the queries and keys of the first block, of a model with random weights.

    Args:
        model: with `named_weights()` and a config, e.g. a `kbert.Pretrainer`.
        seed: of the frequencies.

    Raises:
        ValueError: a head's width is odd.
    """
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    if width % 2:
        raise ValueError(f"Heads that start at their neighbours have an even width; got {width}. Take other sizes.")
    weights = model.named_weights()
    waves = frequencies(width // 2, seed)
    table = positions(config.max_position_embeddings, waves)  # [P, D / H]
    spread = config.initializer_range * np.sqrt(2.0)  # as wide as the other tables; a wave's own is 1 / sqrt(2)
    weights["embeddings/position"].assign(np.tile(spread * table, (1, config.num_attention_heads)))
    kernel = weights["layer_0/attention/query_key_value/kernel"]  # [D, 3 D]
    values = np.array(keras.ops.convert_to_numpy(kernel))
    for head in range(config.num_attention_heads):
        place = slice(head * width, (head + 1) * width)
        query, key = place, slice(config.hidden_size + place.start, config.hidden_size + place.stop)
        values[place, query] += SHARPNESS * turn(waves, OFFSETS[head % len(OFFSETS)])
        values[place, key] += SHARPNESS * np.eye(width)
    kernel.assign(values)


def frequencies(count: int, seed: int) -> np.ndarray:
    """Radians a place, float64 [count]: one at random in each of as many equal parts of (0, pi), so that no two places
    of a text look alike."""
    return np.pi * (np.arange(count) + np.random.default_rng(seed).random(count)) / count


def positions(count: int, waves: np.ndarray) -> np.ndarray:
    """Places 0, 1, ... as waves, float64 [count, 2 x frequencies]: sine and cosine of each, side by side.

    >>> positions(3, np.array([np.pi / 2])).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]]
    """
    angles = np.arange(count)[:, None] * waves
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(count, -1)


def turn(waves: np.ndarray, offset: int) -> np.ndarray:
    """The matrix that moves waves by so many places: positions(n) @ turn(offset) = positions(n + offset).

    >>> waves = np.array([0.3, 1.1])
    >>> np.allclose((positions(9, waves) @ turn(waves, 2))[:7], positions(9, waves)[2:])
    True
    """
    matrix = np.zeros((2 * len(waves), 2 * len(waves)))
    for place, wave in enumerate(waves):
        sine, cosine = np.sin(offset * wave), np.cos(offset * wave)
        both = slice(2 * place, 2 * place + 2)
        matrix[both, both] = [[cosine, -sine], [sine, cosine]]
    return matrix
