"""Tracing for serving: a model's answer as a graph with as little in it as TensorFlow will have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

SMALL = 1 << 14  # elements: biases and norms are below it, matrices of any size worth naming above


@dataclass
class Traced:
    """A traced answer: tensors -> tensors by name.

    Args:
        pruned: the graph as a function of tensors and of what it captured.
        names: of its outputs, in order.
        captured: handles of the variables that it reads; others of the same shapes may be put in their places.
    """

    pruned: Callable[..., Sequence[tf.Tensor]]
    names: tuple[str, ...]
    captured: list[tf.Tensor]

    def __call__(self, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(self.names, self.pruned(*tensors, *self.captured), strict=True))


def trace(answer: Callable[..., dict[str, tf.Tensor]], model: keras.Model, specs: Sequence[tf.TensorSpec]) -> Traced:
    """`answer` as a graph: small weights are constants, which cost no operation to read and can be folded; matrices are
    variables, which all signatures share and which loading a SavedModel neither copies nor lays out again.

    With the matrices as constants too, one text is answered a little faster, but loading takes several times the
    memory and the time, and no graph holds more than 2 GB.

    Args:
        answer: of tensors; calls `model`.
        model: whose weights are read.
        specs: of the tensors.
    """
    values = [(weight, np.asarray(keras.ops.convert_to_tensor(weight))) for weight in model.weights if is_small(weight)]

    def lean(*tensors):
        with keras.StatelessScope([(weight, tf.constant(value)) for weight, value in values]):
            return answer(*tensors)

    traced = tf.function(lean, autograph=False).get_concrete_function(*specs)
    names = tuple(sorted(traced.structured_outputs))  # the order in which TensorFlow lays a dict out
    graph = without_gradients(traced.graph.as_graph_def())
    pruned = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), []).prune(
        [tensor.name for tensor in traced.inputs], [tensor.name for tensor in traced.outputs]
    )
    return Traced(pruned, names, list(traced.captured_inputs))


def is_small(weight: keras.Variable) -> bool:
    """Whether `trace` makes a constant of a weight."""
    return int(np.prod(weight.shape)) <= SMALL


def without_gradients(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """`graph` without the IdentityN that custom gradients leave: they keep the operations around from being fused."""
    passes = {node.name: list(node.input) for node in graph.node if node.op == "IdentityN"}

    def source(name: str) -> str:
        node, _, output = name.partition(":")
        return source(passes[node][int(output or 0)]) if node in passes else name

    kept = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        if node.name not in passes:
            copy = kept.node.add()
            copy.CopyFrom(node)
            copy.input[:] = [f"^{name[1:]}" if name.startswith("^") else source(name) for name in node.input]
    return kept
