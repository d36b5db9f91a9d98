"""Figures of pre-training: means since the last reset, over masked tokens, pairs and slots of the batches."""

import keras
import tensorflow as tf
from keras import ops


class PretrainingMetrics:
    """Sums of `Pretrainer.sums` in Keras metrics, and the figures that they make.

    `loss`, `masked_loss`, `masked_accuracy`, `perplexity` (e to the masked loss), `next_sentence_loss` and
    `next_sentence_accuracy` where there are pairs, `real_share` (of the slots that hold a token), `tokens` (a sum).

    Args:
        pairs: whether the model answers pairs.
    """

    def __init__(self, pairs: bool):
        self.pairs = pairs
        names = ("masked_loss", "masked_right", "masked", "tokens", "slots")
        names += ("pair_loss", "pair_right", "pairs") if pairs else ()
        self._sums = {name: keras.metrics.Sum(name=name) for name in names}

    @property
    def parts(self) -> list[keras.metrics.Metric]:
        return list(self._sums.values())

    def update(self, sums: dict) -> dict:
        """Adds the sums of a batch, and returns the figures so far; scalars."""
        added = dict(zip(("masked_loss", "masked_right", "masked"), sums["masked"], strict=True))
        added |= dict(zip(("tokens", "slots"), sums["slots"], strict=True))
        if self.pairs:
            added |= dict(zip(("pair_loss", "pair_right", "pairs"), sums["pairs"], strict=True))
        # Numbers of slots and pairs are known before the batch is: at the end of the data they would be added for none.
        with tf.control_dependencies([added["tokens"]]):
            for name, value in added.items():
                self._sums[name].update_state(tf.identity(value))
        return self.result()

    def result(self) -> dict:
        total = {name: metric.result() for name, metric in self._sums.items()}
        masked = ops.maximum(total["masked"], 1.0)
        loss = total["masked_loss"] / masked
        figures = {
            "masked_loss": loss,
            "masked_accuracy": total["masked_right"] / masked,
            "perplexity": ops.exp(loss),
            "real_share": total["tokens"] / ops.maximum(total["slots"], 1.0),
            "tokens": total["tokens"],
        }
        if self.pairs:
            pairs = ops.maximum(total["pairs"], 1.0)
            figures["next_sentence_loss"] = total["pair_loss"] / pairs
            figures["next_sentence_accuracy"] = total["pair_right"] / pairs
            loss = loss + figures["next_sentence_loss"]
        return {"loss": loss, **figures}
