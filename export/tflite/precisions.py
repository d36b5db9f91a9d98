"""In which numbers a TFLite file holds weights and computes, and how far its answers may be from the model's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from export.litert_files import text_operations
from export.tflite.encoder import MODEST, Bytewise, Precision, Whole

Examples = Callable[[], Iterator]


@dataclass(frozen=True)
class Numbers:
    """What `--precision` names.

    Args:
        encoder: how tables are held, and what stands at padding.
        settle: sets a converter's options, given examples of what it is asked.
        tolerance: of a probability, of another number as a share of its size where that is over 1, of a vector's
            direction as in `far_vectors`.
        calibrated: needs examples.
    """

    encoder: Precision
    settle: Callable[[tf.lite.TFLiteConverter, Examples | None], None]
    tolerance: float
    calibrated: bool = False


def as_it_is(converter: tf.lite.TFLiteConverter, examples: Examples | None) -> None:
    """Weights and computation in float32."""


def halved(converter: tf.lite.TFLiteConverter, examples: Examples | None) -> None:
    """Weights, the token table among them, in float16; a CPU computes in float32."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic(converter: tf.lite.TFLiteConverter, examples: Examples | None) -> None:
    """Matrices in int8 with a scale for each output; what is multiplied by them is quantized when it is known."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def calibrated(converter: tf.lite.TFLiteConverter, examples: Examples | None) -> None:
    """As `dynamic`, and what flows between operations is int8 too, in ranges that examples showed."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec._experimental_custom_op_registerers = text_operations()  # there is no other way to name them
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]


PRECISIONS: Mapping[str, Numbers] = MappingProxyType(
    {
        "float32": Numbers(Precision(Whole), as_it_is, 1e-4),
        "float16": Numbers(Precision(Whole), halved, 1e-2),
        "int8": Numbers(Precision(Bytewise), dynamic, 0.1),
        "int8-full": Numbers(Precision(Bytewise, MODEST), calibrated, 0.3, calibrated=True),
    }
)


def far(answer: np.ndarray, right: np.ndarray) -> float:
    """The largest difference of numbers, as a share of their size where that is over 1; NaN where there is one.

    >>> round(far(np.array([0.5, 11.0]), np.array([0.25, 10.0])), 2)
    0.25
    """
    return float((np.abs(answer - right) / np.maximum(np.abs(right), 1.0)).max(initial=0.0))


def far_vectors(answer: np.ndarray, right: np.ndarray) -> float:
    """The largest distance of vectors [B, D] as a share of their length, halved: 1 is the opposite vector.

    >>> far_vectors(np.array([[0.0, -2.0]]), np.array([[0.0, 2.0]]))
    1.0
    """
    lengths = np.maximum(np.linalg.norm(right, axis=1), 1e-12)
    return float((np.linalg.norm(answer - right, axis=1) / lengths).max(initial=0.0) / 2)
