"""Graphs of several signatures -> one TFLite file that holds their weights once."""

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

CUSTOM_OPS = frozenset({"FastBertNormalize", "FastWordpieceTokenizeWithOffsets"})


class ConversionError(ValueError):
    """A model that cannot be written as TFLite."""


def frozen(
    answer: Callable[..., dict[str, tf.Tensor]], specs: Mapping[str, tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """`answer` of tensors by name, with all weights as constants, and with the names that freezing loses."""
    traced = tf.function(lambda **tensors: answer(**tensors), autograph=False).get_concrete_function(**specs)
    names = sorted(traced.structured_outputs)  # the order in which TensorFlow lays a dict out
    constant = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    placed = [tensor.name.partition(":")[0] for tensor in constant.inputs]

    def named(**tensors):
        return dict(zip(names, constant(*(tensors[name] for name in placed)), strict=True))

    return tf.function(named, autograph=False).get_concrete_function(**specs)


def convert(signatures: Mapping[str, Any], settle: Callable[[tf.lite.TFLiteConverter], None]) -> bytes:
    """Frozen functions by name -> the bytes of a TFLite file with a signature each.

    Args:
        signatures: see `frozen`.
        settle: sets the converter's options for a precision.

    Raises:
        ConversionError: an operation that TFLite has not.
    """
    with tempfile.TemporaryDirectory() as scratch:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), scratch, dict(signatures), options)
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
