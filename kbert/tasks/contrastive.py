"""Contrastive losses: texts that mean the same end near each other, others apart.

B examples, S texts of each (2 of a pair, 3 of a triplet), D width. Cosines are taken here, so that the vectors need no
unit length.
"""

from collections.abc import Mapping
from types import MappingProxyType

import keras
from keras import ops

from kbert.pooling import unit_length

MASKED = -1e4  # a logit of what may not be chosen


def cosines(vectors):
    """Cosine of the first and the second text of each example: [B, S, D] -> [B]."""
    units = unit_length(ops.cast(vectors, "float32"))
    return ops.sum(units[:, 0] * units[:, 1], axis=-1)


def allowed(numbers):
    """Which texts may stand as negatives of which anchors, and the positives: bool [B, B * (S - 1)].

    Candidates are the second texts of all examples, then the third ones. One that equals an anchor, or its positive, or
    that is the positive of an equal anchor, is no negative of it; its own positive is a candidate always.

    Args:
        numbers: int or float [B, S]; equal texts, or texts of one class, have equal numbers.

    >>> allowed(ops.convert_to_tensor([[0, 1], [0, 2], [3, 4]])).numpy().astype(int).tolist()
    [[1, 0, 1], [0, 1, 1], [1, 1, 1]]
    """
    anchor, positive = numbers[:, :1], numbers[:, 1:2]  # [B, 1]
    candidates = ops.reshape(ops.transpose(numbers[:, 1:]), [1, -1])  # [1, B * (S - 1)]
    same = (candidates == anchor) | (candidates == positive)
    siblings = anchor == ops.transpose(anchor)  # [B, B], equal anchors
    thirds = ops.zeros_like(siblings)
    siblings = ops.concatenate([siblings] + [thirds] * (numbers.shape[1] - 2), axis=1)
    own = ops.cast(ops.eye(ops.shape(numbers)[0], ops.shape(candidates)[1]), "bool")
    return own | ~(same | siblings)


@keras.saving.register_keras_serializable("kbert")
class RankingLoss(keras.losses.Loss):
    """-log of the share that an anchor's own positive has among all second and third texts of the batch.

    The logits are scale * cosine. Texts that are not wrong answers are left out, see `allowed`.

    Args:
        scale: of the cosines, the inverse of a temperature.
        symmetric: the mean with the loss of the positive that looks for its anchor (Radford et al. 2021, figure 3).

    Shapes: numbers of the texts int [B, S], vectors [B, S, D] -> float32 [B].

    References: Henderson et al. 2017, "Efficient Natural Language Response Suggestion for Smart Reply", section 4.4;
    van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", equation 4.

    >>> vectors = ops.convert_to_tensor([[[1.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 3.0]]])
    >>> loss = RankingLoss(scale=1.0, reduction="none")(ops.convert_to_tensor([[0, 1], [2, 3]]), vectors)
    >>> [round(float(one), 4) for one in loss]  # log(1 + 1 / e)
    [0.3133, 0.3133]
    """

    def __init__(self, scale: float = 20.0, symmetric: bool = False, name: str = "ranking", **kwargs):
        if not scale > 0:
            raise ValueError(f"scale is above 0; got {scale}. 20 is usual.")
        super().__init__(name=name, **kwargs)
        self.scale, self.symmetric = scale, symmetric

    def call(self, y_true, y_pred):
        units = unit_length(ops.cast(y_pred, "float32"))
        width = units.shape[-1]
        candidates = ops.reshape(ops.transpose(units[:, 1:], [1, 0, 2]), [-1, width])  # [B * (S - 1), D]
        loss = self._loss(units[:, 0], candidates, allowed(y_true))
        if not self.symmetric:
            return loss
        turned = ops.stack([y_true[:, 1], y_true[:, 0]], axis=1)
        return 0.5 * (loss + self._loss(units[:, 1], units[:, 0], allowed(turned)))

    def _loss(self, anchors, candidates, may_stand):
        logits = ops.where(may_stand, self.scale * ops.matmul(anchors, ops.transpose(candidates)), MASKED)
        right = self.scale * ops.sum(anchors * candidates[: ops.shape(anchors)[0]], axis=-1)
        return ops.logsumexp(logits, axis=-1) - right

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "symmetric": self.symmetric}


@keras.saving.register_keras_serializable("kbert")
class CosineLoss(keras.losses.Loss):
    """(cosine - score)^2 for pairs with a score, 1 for the same (Reimers and Gurevych 2019, section 3).

    Shapes: scores float [B], vectors [B, 2, D] -> float32 [B].
    """

    def __init__(self, name: str = "cosine", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ops.square(cosines(y_pred) - ops.reshape(y_true, [-1]))


@keras.saving.register_keras_serializable("kbert")
class ContrastiveLoss(keras.losses.Loss):
    """distance^2 / 2 of pairs that belong together, max(0, margin - distance)^2 / 2 of others; distance = 1 - cosine.

    Args:
        margin: distance at which two texts are far enough from each other.

    Shapes: labels 0 or 1 [B], vectors [B, 2, D] -> float32 [B].

    References: Hadsell, Chopra and LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", equation 4.
    """

    def __init__(self, margin: float = 0.5, name: str = "contrastive", **kwargs):
        if not 0 < margin <= 2:
            raise ValueError(f"margin is a distance of cosines, above 0 and up to 2; got {margin}.")
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true, y_pred):
        label, distance = ops.reshape(y_true, [-1]), 1.0 - cosines(y_pred)
        near, far = ops.square(distance), ops.square(ops.maximum(self.margin - distance, 0.0))
        return 0.5 * (label * near + (1.0 - label) * far)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


OBJECTIVES: Mapping[str, type] = MappingProxyType(
    {"ranking": RankingLoss, "cosine": CosineLoss, "contrastive": ContrastiveLoss}
)
