"""Activations, by the names that a config uses."""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

Tensor = Any


def gelu_erf(x: Tensor) -> Tensor:
    """x * Phi(x), Phi the normal distribution function by erf (Hendrycks and Gimpel 2016, equation 1).

    Computed in float32 whatever comes in: CPUs have no bfloat16 arithmetic but products, and its gradient
    Phi(x) + x * phi(x) reuses Phi, which differentiating step by step does not.
    """

    @ops.custom_gradient
    def forward(x):
        # Phi(x), in the order that TensorFlow fuses with the product before
        below = (ops.erf(x * math.sqrt(0.5)) + 1.0) * 0.5

        def gradient(*upstream):
            density = ops.exp(-0.5 * ops.square(x)) * (1.0 / math.sqrt(2.0 * math.pi))
            return upstream[0] * (below + x * density)

        return below * x, gradient

    return ops.cast(forward(ops.cast(x, "float32")), x.dtype)


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh form of GELU (Hendrycks and Gimpel 2016, section 2), in float32 as `gelu_erf`."""
    return ops.cast(ops.gelu(ops.cast(x, "float32"), approximate=True), x.dtype)


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function that `BertConfig.hidden_act` names: "gelu_erf", "gelu_tanh" or "relu"."""
    return {"gelu_erf": gelu_erf, "gelu_tanh": gelu_tanh, "relu": ops.relu}[name]
