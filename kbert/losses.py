"""Losses: what training makes small. M rows, V classes."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kbert")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of labels that share some of their probability among all classes (Szegedy et al. 2016, section 7).

    (1 - smoothing) * -log p[label] + smoothing * the mean of -log p over the classes.

    Args:
        smoothing: in [0, 1); what all V classes share.

    Shapes: labels int [...], logits float [..., V] -> float32 [...].

    >>> loss = SmoothedCrossEntropy(0.5, reduction="none")
    >>> round(float(loss([1], [[0.0, 0.0]])[0]), 4)
    0.6931
    """

    def __init__(self, smoothing: float, name: str = "smoothed_cross_entropy", **kwargs):
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing is a share, from 0 to below 1; got {smoothing}.")
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        logits = ops.cast(y_pred, "float32")
        right = ops.sparse_categorical_crossentropy(ops.cast(y_true, "int32"), logits, from_logits=True)  # [...]
        every = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        return (1.0 - self.smoothing) * right + self.smoothing * every

    def get_config(self):
        return {**super().get_config(), "smoothing": self.smoothing}


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
