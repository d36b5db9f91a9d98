"""Layer mixes: one vector a token out of those that the layers give it.

N tokens, D width, L blocks; layers are numbered 0 (the embeddings) to L, or -1 (the last) down to -(L + 1).

What the mixes are worth: Devlin et al. 2019, table 7 (sum and concatenation of the last four, features without
fine-tuning); Peters et al. 2018, "Deep contextualized word representations", equation 1 (the learned one).
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

LAST_FOUR = 4
LEARNED = "scalar"
MIXES = ("last", "sum", "mean", LEARNED)


@keras.saving.register_keras_serializable("kbert")
class ScalarMix(keras.layers.Layer):
    """gamma * sum_j softmax(s)_j h_j, with a learned s_j for each layer and one learned gamma (Peters et al. 2018).

    It starts as the mean of the layers.

    Args:
        num_layers: how many layers are mixed, 1 at least.

    Shapes: a list of `num_layers` float [..., D] -> float32 [..., D].

    Example:
        >>> mix = ScalarMix(2)
        >>> mix([keras.ops.ones([3, 5]), 3 * keras.ops.ones([3, 5])]).numpy()[0, 0].item()
        2.0
    """

    def __init__(self, num_layers: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if num_layers < 1:
            raise ValueError(f"num_layers is how many layers are mixed, 1 at least; got {num_layers}.")
        self.num_layers = num_layers
        self.weight = self.add_weight(name="weights", shape=(num_layers,), initializer="zeros", dtype="float32")
        self.gamma = self.add_weight(name="gamma", shape=(1,), initializer="ones", dtype="float32")
        self.built = True

    def call(self, layers):
        if len(layers) != self.num_layers:
            raise ValueError(f"This mix is of {self.num_layers} layers; got {len(layers)}.")
        shares = self.gamma * ops.softmax(self.weight)  # [L]
        return sum(shares[j] * ops.cast(layer, "float32") for j, layer in enumerate(layers))  # [..., D]

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}


def layer_mix(how: str, num_blocks: int, name: str = "scalar_mix") -> Callable[[Sequence[Any]], Any]:
    """A mix for a model's head: all layers of `Encoder.encode_layers`, [N, D] each, -> [N, D].

    Args:
        how: "last"; "sum" or "mean" of the last four blocks, or of all where there are fewer; "scalar", a `ScalarMix`
            of the embeddings and all blocks, whose weights the model then has.
        num_blocks: L.
        name: of the `ScalarMix`, and the first part of the names of its weights.

    >>> layer_mix("mean", num_blocks=5)([9.0, 9.0, 1.0, 2.0, 3.0, 6.0])
    3.0

    Raises:
        ValueError: another `how`.
    """
    if how not in MIXES:
        raise ValueError(f"A layer mix is one of {', '.join(MIXES)}; got {how!r}.")
    if how == LEARNED:
        return ScalarMix(num_blocks + 1, name=name)
    chosen = 1 if how == "last" else min(LAST_FOUR, num_blocks)
    return lambda layers: mixed(layers[-chosen:], how)


def mixed(layers: Sequence[Any], how: str) -> Any:
    """The "last" of some layers, their "sum" or their "mean"."""
    if how == "last":
        return layers[-1]
    total = sum(layers[1:], start=layers[0])
    return total / len(layers) if how == "mean" else total
