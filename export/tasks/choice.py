"""Choice, served: texts and their choices in, a score for each choice out.

B texts, C choices, T tokens.
"""

from types import MappingProxyType

import keras
import tensorflow as tf

from export.serving import ID_TENSORS, Serving
from pipelines import pack


class Choice(Serving):
    """Answers of a `kbert.Chooser`: which of its choices goes with a text.

    Strings: `text` [B], `choices` [B, C]; C may differ from call to call, and is at least 1.
    Answers: `scores` float [B, C], which sum to 1; `choice` int32 [B], the number of the highest, from 0.
    Id tensors are int32 [B, C, T], a row `[CLS] text [SEP] choice [SEP]` a choice.

    Args: see `Serving`.
    """

    inputs = MappingProxyType(
        {
            "text": tf.TensorSpec([None], tf.string, "text"),
            "choices": tf.TensorSpec([None, None], tf.string, "choices"),
        }
    )
    ids = MappingProxyType({name: tf.TensorSpec([None, None, None], tf.int32, name) for name in ID_TENSORS})

    def answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors [B, C, T] -> scores, choice."""
        scores = tf.nn.softmax(model(dict(zip(ID_TENSORS, ids, strict=True)), training=False))  # [B, C]
        return {"scores": scores, "choice": tf.argmax(scores, axis=-1, output_type=tf.int32)}

    def tokenize(self, text: tf.Tensor, choices: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] and [B, C] -> the three id tensors, int32 [B, C, T]."""
        shape = tf.shape(choices)  # [B, C]
        owners = tf.repeat(tf.range(shape[0]), shape[1])  # [B * C]
        texts = tf.gather(self.wordpiece.tokenize(text), owners)  # each text is tokenized once
        packed = pack([texts, self.wordpiece.tokenize(tf.reshape(choices, [-1]))], self.wordpiece, self.max_length)
        return {name: tf.reshape(ids, [shape[0], shape[1], tf.shape(ids)[1]]) for name, ids in packed.items()}
