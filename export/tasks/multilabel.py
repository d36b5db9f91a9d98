"""Multi-label classification, served: texts or pairs of texts in, the labels that each has out.

B texts, W rows of tokens, C labels.
"""

import keras
import tensorflow as tf

from export.long_texts import TextServing
from kbert.tasks.multilabel_scores import separator_for
from pipelines import WordPiece


class MultiLabelClassification(TextServing):
    """Answers of a multi-label classifier for texts or for pairs of texts.

    Args: see `export.long_texts.TextServing`; the model is a `kbert.MultiLabelClassifier` in float32, whose thresholds
    become part of the graph.

    Answers: `classes` string [B, C], `scores` float [B, C], the probability of each label by itself, and `label` string
    [B], the labels whose score is not below their threshold, in the order of `classes` and with commas between them; ""
    where there is none. (Where a label has a comma: see `kbert.tasks.multilabel_scores.separator_for`.) Strings are
    `text`, or `text_a` and `text_b`, [B].
    """

    def __init__(self, model: keras.Model, wordpiece: WordPiece, max_length: int, **settings):
        self.thresholds = tuple(model.thresholds)
        super().__init__(model, wordpiece, max_length, **settings)

    def rows(self, model: keras.Model, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Probabilities, float [W, C]."""
        return tf.sigmoid(model(inputs, training=False))

    def told(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "classes": tf.tile(tf.constant(self.labels)[tf.newaxis], [tf.shape(rows)[0], 1]),
            "scores": rows,
            "label": joined(rows >= tf.constant(self.thresholds, tf.float32), self.labels),
        }


def joined(chosen: tf.Tensor, labels: tuple[str, ...]) -> tf.Tensor:
    """The chosen of C labels as one string a text: bool [B, C] -> string [B].

    >>> joined(tf.constant([[True, False, True], [False, False, False]]), ("x", "y", "z")).numpy().tolist()
    [b'x,z', b'']
    """
    later = tf.cumsum(tf.cast(chosen, tf.int32), axis=1, exclusive=True) > 0  # a label was chosen before
    separated = tf.constant([separator_for(labels) + label for label in labels])
    return tf.strings.reduce_join(tf.where(chosen, tf.where(later, separated, tf.constant(labels)), ""), axis=1)
