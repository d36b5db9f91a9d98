"""Matrices held in eight bits: whole numbers and a float32 scale for each row of a table or column of a kernel.

A file has a quarter of the size. When it is loaded, the matrices are multiplied out once, so that answers take the
time and the memory of float32: on CPUs TensorFlow has no product of float32 and int8 to gain more from. Biases and
norms stay float32.

The rule is w = q * s, s = max |w| / 127 (symmetric, without a zero point), as in Dettmers et al. 2022, section 2.1.
"""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from export.serving import Serving
from export.tracing import Traced, is_small
from kbert.lora import merged_weights

MOST = 127
TABLES = ("embeddings/",)  # a scale for each row, since rows are what is read of them


def quantized(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers int8 and scales float32, with as many axes as the array; scales are along `axis` one.

    >>> numbers, scales = quantized(np.array([[1.0, -4.0], [0.5, 2.0]], np.float32), axis=0)
    >>> numbers.tolist(), (scales * 127).tolist()
    ([[127, -127], [64, 64]], [[1.0, 4.0]])
    """
    scales = np.abs(array).max(axis=axis, keepdims=True) / MOST
    scales = np.where(scales > 0, scales, 1.0).astype("float32")
    return np.rint(array / scales).astype("int8"), scales


def axis_of(name: str) -> int:
    """Along which axis the matrix of a name shares a scale."""
    return 1 if name.startswith(TABLES) else 0


def rounded(model: keras.Model) -> keras.Model:
    """A copy of a model in float32 with the weights that its export in eight bits has.

    Raises:
        ValueError: weights that are not finite.
    """
    copy = type(model).from_config({**model.get_config(), "dtype": "float32"})
    own = {name: np.asarray(keras.ops.convert_to_tensor(weight)) for name, weight in merged_weights(model).items()}
    for name, weight in copy.named_weights().items():
        array = own[name]
        if not np.isfinite(array).all():
            raise ValueError(f"Weights are finite numbers; {name} has others. Train again with a lower rate.")
        if not is_small(weight):
            numbers, scales = quantized(array, axis_of(name))
            array = numbers * scales
        weight.assign(array)
    return copy


def in_int8(serving: Serving, model: keras.Model) -> list[tf.Module | tf.saved_model.experimental.TrackableResource]:
    """Has a serving read its matrices from eight bits.

    Args:
        serving: of `model`, not traced yet but for its `ask`.
        model: as `rounded` made it.

    Returns:
        What has to be saved beside `serving.variables`.
    """
    traced: Traced = serving.ask
    mark = fingerprint(model)
    handles, kept = {}, []
    for number, (name, weight) in enumerate(model.named_weights().items()):
        if not is_small(weight):
            matrix = Matrix(np.asarray(weight.value), axis_of(name), f"kbert_{mark}_{number}")
            handles[id(weight.value.handle)] = matrix.resource_handle
            kept.append(matrix)
    traced.captured = [handles.get(id(handle), handle) for handle in traced.captured]
    serving.variables = [part for matrix in kept for part in (matrix.numbers, matrix.scales)]
    return kept


class Matrix(tf.saved_model.experimental.TrackableResource):
    """A float32 variable that a SavedModel fills, once it is loaded, from numbers in eight bits.

    Args:
        array: float32 [rows, columns], which `quantized` gives back.
        axis: along which scales are shared.
        name: of the variable in the process. Models of one name share it, so it must tell the content.

    It is never destroyed: another loaded copy of the same model may read it.
    """

    def __init__(self, array: np.ndarray, axis: int, name: str):
        super().__init__()
        numbers, scales = quantized(array, axis)
        self.shape, self.shared_name = array.shape, name
        self.numbers = tf.Variable(numbers, trainable=False, name="numbers")
        self.scales = tf.Variable(scales, trainable=False, name="scales")
        self._initialize()

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=self.shape, shared_name=self.shared_name)

    def _initialize(self):
        tf.raw_ops.AssignVariableOp(
            resource=self.resource_handle, value=tf.cast(self.numbers, tf.float32) * self.scales
        )

    def _destroy_resource(self):
        """See the class."""


def fingerprint(model: keras.Model) -> str:
    """12 hexadecimal digits that differ where weights differ."""
    found = hashlib.sha256()
    for name, weight in sorted(model.named_weights().items()):
        found.update(name.encode())
        found.update(np.asarray(keras.ops.convert_to_tensor(weight)).tobytes())
    return found.hexdigest()[:12]
