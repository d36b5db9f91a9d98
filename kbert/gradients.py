"""Gradients that TensorFlow takes in a slower way, or has no way for: tied tables, and batches in parts.

M rows, V entries of a table, D width, B batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def lookup(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Rows of a table, [V, D] and int [M] -> [M, D], whose gradient is a whole table.

    For a table that has another, dense gradient: TensorFlow would turn that one into V more sparse rows, sort all rows
    and sum the equal ones; whole tables are just added.
    """
    table = tf.convert_to_tensor(table)

    @tf.custom_gradient
    def look(table):
        return tf.gather(table, ids), lambda upstream: tf.scatter_nd(ids[:, None], upstream, tf.shape(table))

    return look(table)


def gradients_of(loss: Callable[[Any, Any], tuple[tf.Tensor, Any]], batch, variables: Sequence, num_parts: int = 1):
    """Gradients of a loss that is a sum over examples, of a whole batch, or of its parts one after the other.

    Parts need the memory of one part only. The sum is that of the whole batch, up to rounding.

    Args:
        loss: (batch or part, its number) -> (scalar, figures: a structure of scalar tensors that add up over parts).
        batch: a structure of tensors [B, ...].
        variables: what to differentiate by, tf.Variables.
        num_parts: divides B.

    Returns:
        Gradients, one a variable, dense where there are several parts; and the figures.

    Raises:
        InvalidArgumentError: num_parts does not divide B.
    """
    if num_parts == 1:
        return _gradients(lambda whole: loss(whole, 0), batch, variables)
    parts = tf.nest.map_structure(lambda x: tf.reshape(x, [num_parts, -1, *x.shape[1:]]), batch)

    def part(number):
        one = tf.nest.map_structure(lambda x: x[number], parts)
        gradients, figures = _gradients(lambda part: loss(part, number), one, variables)
        return [_dense(g) for g in gradients], figures

    def add(number, sums):
        return number + 1, tf.nest.map_structure(tf.add, sums, part(number))

    rest = tf.while_loop(lambda number, _: number < num_parts, add, (1, part(0)), parallel_iterations=1)
    return rest[1]


def _gradients(loss, batch, variables):
    with tf.GradientTape() as tape:
        value, figures = loss(batch)
    return tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO), figures


def _dense(gradient) -> tf.Tensor:
    return tf.convert_to_tensor(gradient)
