"""Class weights: what an example counts by its label, for labels of any shape."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
from keras import ops


def weigh(batches: Callable, class_weight: Mapping[int, float], num_classes: int = 0) -> Callable:
    """Batches whose examples count by their class.

    Args:
        batches: range of epochs -> tf.data.Dataset of (inputs, labels int [B, ...]), or with weights [B, ...]. Labels
            float [B, C] are any number of classes a text, 0 or 1 each.
        class_weight: class -> factor, 0 or more; 1 for classes that are not there. Of any number of classes it is the
            1 that counts by its class; a 0 counts 1.
        num_classes: C.

    Returns:
        range of epochs -> dataset of (inputs, labels, weights float32 [B, ...], as the labels).

    Raises:
        ValueError: a weight below 0 or not finite, or a class that there is not.
    """
    for index, weight in class_weight.items():
        if index < 0 or (num_classes and index >= num_classes):
            raise ValueError(f"class_weight names classes from 0 to {num_classes - 1}; got {index}.")
        if not 0 <= weight < float("inf"):
            raise ValueError(f"class_weight is 0 or more and finite; got {weight} for class {index}.")
    factors = np.ones(max([num_classes, *(index + 1 for index in class_weight)]), "float32")  # [C]
    factors[list(class_weight)] = list(class_weight.values())

    def weighed(inputs, labels, weights=None):
        if "float" in keras.backend.standardize_dtype(labels.dtype):
            factor = ops.where(labels > 0, factors, np.float32(1))  # [B, C]
            weights = None if weights is None else ops.reshape(weights, (-1, 1))
        else:
            factor = ops.take(factors, labels, axis=0)
        return inputs, labels, factor if weights is None else factor * ops.cast(weights, "float32")

    return lambda epochs: batches(epochs).map(weighed)
