"""Freezing: a traced function with its variables as constants, and without what only training needs."""

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

LARGEST = 1.9e9  # bytes of weights: a SavedModel's graph is one protocol buffer, which holds less than 2 GiB


def freeze(function: tf.types.experimental.ConcreteFunction) -> Callable[..., Mapping[str, tf.Tensor]]:
    """`function` with its variables as constants, which TensorFlow can then fold, fuse and lay out for the processor.

    One text at a time costs what its operations cost, and this halves them.

    Raises:
        ValueError: the weights are too large for one graph.
    """
    size = sum(variable.dtype.size * variable.shape.num_elements() for variable in function.variables)
    if size > LARGEST:
        raise ValueError(f"A graph holds at most {LARGEST / 1e9} GB of weights; this model has {size / 1e9:.1f} GB.")
    names = sorted(function.structured_outputs)  # the order in which TensorFlow lays a dict out
    frozen = convert_variables_to_constants_v2(function)
    graph = without_gradients(frozen.graph.as_graph_def())
    pruned = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), []).prune(
        [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in frozen.outputs]
    )
    return lambda *tensors: dict(zip(names, pruned(*tensors), strict=True))


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
