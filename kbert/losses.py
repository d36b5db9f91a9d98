"""Losses: what training makes small. M rows, V classes."""

from keras import ops


def cross_entropy(logits, labels, weights) -> tuple:
    """Sums over rows: of weight * -log softmax(logits)[label], of the weights of right answers, and of the weights.

    A row is right where no class has a greater logit than its label. Computed in float32 whatever the logits are.

    Args:
        logits: float [M, V].
        labels: int [M].
        weights: float32 [M].

    >>> from keras.ops import convert_to_tensor as tensor
    >>> sums = cross_entropy(tensor([[2.0, 0.0, 0.0], [0.0, 9.0, 0.0]]), tensor([1, 1]), tensor([1.0, 0.5]))
    >>> [round(float(total), 2) for total in sums]
    [2.24, 0.5, 1.5]
    """
    logits = ops.cast(logits, "float32")
    losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)  # [M]
    chosen = ops.take_along_axis(logits, ops.cast(labels, "int32")[:, None], axis=1)[:, 0]
    right = ops.cast(chosen >= ops.max(ops.stop_gradient(logits), axis=1), "float32")
    return ops.sum(losses * weights), ops.sum(right * weights), ops.sum(weights)
