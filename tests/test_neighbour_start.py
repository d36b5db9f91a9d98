"""A start at neighbours: where heads look before anything is learned.

T tokens, D width, H heads.
"""

import keras
import numpy as np
import pytest

from kbert.config import BertConfig
from kbert.pretraining.neighbour_start import OFFSETS, frequencies, positions, start_at_neighbours, turn
from kbert.pretraining.pretrainer import Pretrainer

T, D, H = 29, 256, 4
LONGEST = 512


def model(**sizes):
    asked = {"vocab_size": 41, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": H, **sizes}
    return Pretrainer(BertConfig(**{"intermediate_size": 10, **asked}), seed=3)


def attention(started, tokens):
    """Probabilities of the first block's heads over random tokens, [H, T, T], in NumPy."""
    weights = {name: keras.ops.convert_to_numpy(weight) for name, weight in started.named_weights().items()}
    tables = (f"embeddings/{name}" for name in ("token", "position", "segment"))
    token, position, segment = (weights[name] for name in tables)
    x = token[tokens] + position[: len(tokens)] + segment[0]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    query, key, _ = np.split(x @ weights["layer_0/attention/query_key_value/kernel"], 3, axis=-1)
    rows = [part.reshape(len(tokens), H, D // H).swapaxes(0, 1) for part in (query, key)]
    scores = np.exp(rows[0] @ rows[1].swapaxes(1, 2) / np.sqrt(D // H))
    return scores / scores.sum(-1, keepdims=True)


def test_each_head_looks_at_its_neighbour():
    started = model()
    start_at_neighbours(started)
    seen = attention(started, np.random.default_rng(1).integers(5, 41, T))
    for head, offset in enumerate(OFFSETS):
        inside = np.array([place for place in range(T) if 0 <= place + offset < T])
        assert seen[head][inside, inside + offset].mean() > 0.8


def test_without_it_attention_is_even():
    seen = attention(model(), np.random.default_rng(1).integers(5, 41, T))
    assert seen.max() < 2 / T


def test_no_two_places_of_the_longest_text_look_alike():
    table = positions(LONGEST, frequencies(32, seed=0))
    likeness = table @ table.T / 32
    assert likeness[~np.eye(LONGEST, dtype=bool)].max() < 0.8


def test_turning_there_and_back_is_nothing():
    waves = frequencies(5, seed=7)
    np.testing.assert_allclose(turn(waves, 3) @ turn(waves, -3), np.eye(10), atol=1e-12)


def test_the_same_seed_gives_the_same_start():
    first, second = model(), model()
    start_at_neighbours(first, seed=2)
    start_at_neighbours(second, seed=2)
    for name, weight in first.named_weights().items():
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(weight), keras.ops.convert_to_numpy(second.named_weights()[name])
        )


def test_a_head_of_odd_width_is_refused():
    with pytest.raises(ValueError, match="even width; got 3"):
        start_at_neighbours(model(hidden_size=6, num_attention_heads=2))
