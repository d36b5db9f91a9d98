"""The best legal sequence of tags, and how likely each tag is, in a device's own operations.

Both come from one walk over the words and one back, in a semiring: with max and + what all sequences through a tag are
worth is the best of them, so that the best tag of a word is the largest, and no back-pointers are followed; with
logsumexp and + it is the CRF's marginals (Rabiner 1989).

B texts, T tokens, C tags, S = C + 1 states, the last of which is a text's border. Tokens that begin no word are stepped
over.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from kbert.tasks.crf import step_table

NEVER = -1e9  # of a step that may not be: sums of some of them are finite


class Decoder:
    """Sequences by the rules and the transitions of a `kbert.Tagger`."""

    def __init__(self, model: keras.Model):
        learned = np.asarray(model.transitions(), "float32")
        self.strict = np.where(model.legal, np.pad(learned, [[0, 1], [0, 1]]), NEVER).astype("float32")  # [S, S]
        self.soft = np.asarray(step_table(learned, model.legal), "float32") if model.crf else None

    def __call__(self, logits: tf.Tensor, begins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Tags int32 [B, T] and their probabilities [B, T], of tokens that begin a word; elsewhere they mean nothing.

        Args:
            logits: float32 [B, T, C], T known.
            begins: bool [B, T].
        """
        tags = tf.argmax(through(logits, begins, self.strict, tf.reduce_max), -1, output_type=tf.int32)
        sums = logits if self.soft is None else through(logits, begins, self.soft, log_sum)
        chosen = tf.one_hot(tags, logits.shape[-1], dtype=tf.float32)
        return tags, tf.reduce_sum(tf.nn.softmax(sums) * chosen, -1)


def log_sum(x: tf.Tensor, axis: int) -> tf.Tensor:
    """log of the sum of e^x over an axis."""
    largest = tf.reduce_max(x, axis, keepdims=True)
    return tf.squeeze(largest, [axis]) + tf.math.log(tf.reduce_sum(tf.exp(x - largest), axis))


def through(logits: tf.Tensor, begins: tf.Tensor, table: np.ndarray, plus: Callable) -> tf.Tensor:
    """What all sequences through each tag are worth together, `plus` being max or logsumexp: [B, T, C].

    Args:
        logits: float32 [B, T, C].
        begins: bool [B, T], which tokens there are.
        table: float32 [S, S], of each step, from row to column.
        plus: of a tensor and an axis.
    """
    there = tf.transpose(tf.cast(begins, tf.float32))[:, :, tf.newaxis]  # [T, B, 1]
    words = tf.pad(tf.transpose(logits, [1, 0, 2]), [[0, 0], [0, 0], [0, 1]], constant_values=NEVER)  # [T, B, S]
    words *= there
    at_border = np.where(np.arange(len(table)) == len(table) - 1, 0.0, NEVER).astype("float32")
    nothing = tf.zeros_like(words[0])  # [B, S]

    def ahead(state, word, is_word):
        after = plus(state[:, :, tf.newaxis] + table, 1) + word
        return after * is_word + state * (1.0 - is_word)

    def back(state, word, is_word):
        before = plus((state + word)[:, tf.newaxis] + table, 2)
        return before * is_word + state * (1.0 - is_word)

    forward = walk(ahead, nothing + at_border, words, there)  # up to and with each word
    backward = walk(back, nothing + table[:, -1], tf.reverse(words, [0]), tf.reverse(there, [0]))
    behind = tf.concat([(nothing + table[:, -1])[tf.newaxis], backward[:-1]], 0)  # what follows each word
    return tf.transpose(forward + tf.reverse(behind, [0]), [1, 0, 2])[:, :, :-1]


def walk(step: Callable, state: tf.Tensor, words: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """The state after each step over words [T, B, S] that are there [T, B, 1]: [T, B, S]."""
    length = words.shape[0]

    def body(place, state, states):
        state = step(state, tf.gather(words, place), tf.gather(there, place))
        return place + 1, state, tf.concat([states[1:], state[tf.newaxis]], 0)

    loop = (tf.constant(0), state, tf.zeros_like(words))
    return tf.while_loop(lambda place, *_: place < length, body, loop, maximum_iterations=length)[2]
