"""Graphs of several signatures -> one TFLite file that holds their weights once."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from kbert.whole_files import named

CUSTOM_OPS = frozenset({"FastBertNormalize", "FastWordpieceTokenizeWithOffsets"})


class ConversionError(ValueError):
    """A model that cannot be written as TFLite."""


def traced(answer: Callable[..., dict[str, tf.Tensor]], specs: Mapping[str, tf.TensorSpec]) -> Any:
    """`answer` of tensors by name, as a graph whose inputs and outputs have their names."""
    return tf.function(lambda **tensors: answer(**tensors), autograph=False).get_concrete_function(**specs)


def convert(
    signatures: Mapping[str, Any], weights: tf.Module, settle: Callable[[tf.lite.TFLiteConverter], None]
) -> bytes:
    """Graphs by name -> the bytes of a TFLite file with a signature each.

    Args:
        signatures: see `traced`.
        weights: whose variables they read; the converter gives no value to a variable that it does not find here.
        settle: sets the converter's options for a precision.

    Raises:
        ConversionError: an operation that TFLite has not.
    """
    with tempfile.TemporaryDirectory() as scratch, named(Path(scratch)):
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(weights, scratch, dict(signatures), options)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.allow_custom_ops = True
        settle(converter)
        content = converter.convert()
    check_operations(content)
    return content


def check_operations(content: bytes) -> None:
    """Raises ConversionError where a file has an operation that is neither TFLite's nor one of `CUSTOM_OPS`."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(content, 0)
    codes = (model.OperatorCodes(place).CustomCode() for place in range(model.OperatorCodesLength()))
    strange = {code.decode() for code in codes if code} - CUSTOM_OPS
    if strange:
        raise ConversionError(
            f"A TFLite file has TFLite's own operations and {', '.join(sorted(CUSTOM_OPS))}; this one needs "
            f"{', '.join(sorted(strange))}. Nothing was written."
        )
