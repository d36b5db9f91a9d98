"""A linear-chain conditional random field over tags (Lafferty et al. 2001; over a network's scores: Collobert et al.
2011, section 3.3.2; Lample et al. 2016).

score(tags) = sum of logits[w, tags[w]] + sum of table[tags[w - 1], tags[w]], with a border before the first word and
behind the last; log p(tags) = score(tags) - log of the sum of e^score over all sequences.

B sentences, W words, C tags, S = C + 1 states, the last of which is the border. `mask`, bool [B, W], says which words
there are; the others are stepped over.
"""

import keras
from keras import ops

SCALE = 100.0
ILLEGAL = -10.0
NEVER = -1e9  # of a state that it cannot be: its e^x is 0, and it can still be added to


class Transitions(keras.layers.Layer):
    """What it is worth that one tag follows another, learned: float32 [C, C], from row to column.

    The weight is kept in hundredths, so that the learning rate of an encoder (1e-4) moves it as such tables are moved
    where they are trained alone (1e-2).

    Args:
        num_tags: C.
    """

    def __init__(self, num_tags: int, **kwargs):
        super().__init__(autocast=False, dtype="float32", **kwargs)
        self.transitions = self.add_weight(name="transitions", shape=(num_tags, num_tags), initializer="zeros")
        self.built = True

    def values(self):
        """The table, not in hundredths."""
        return SCALE * ops.convert_to_tensor(self.transitions)


def step_table(transitions, legal):
    """What each step between states is worth, from row to column: float32 [S, S].

    Steps that a scheme forbids are costly here; decoding forbids them. They are not forbidden here, as Wei et al. 2021
    do ("Masked Conditional Random Fields for Sequence Labeling"), since a row may begin in the middle of an entity.

    Args:
        transitions: float32 [C, C].
        legal: bool [S, S], see `kbert.tasks.viterbi.legal_transitions`.
    """
    return ops.pad(transitions, [[0, 1], [0, 1]]) + ops.where(ops.convert_to_tensor(legal), 0.0, ILLEGAL)


def log_likelihood(logits, tags, mask, table):
    """log p(tags | logits): float32 [B].

    Args:
        logits: float32 [B, W, C].
        tags: int [B, W].
        mask: bool [B, W].
        table: float32 [S, S], see `step_table`.

    >>> found = log_likelihood(ops.zeros([1, 2, 2]), [[0, 1]], ops.ones([1, 2], "bool"), ops.zeros([3, 3]))
    >>> round(float(ops.exp(found)[0]), 4)
    0.25
    """
    right = ops.one_hot(ops.cast(tags, "int32"), logits.shape[-1], dtype="bool")  # [B, W, C]
    only = ops.where(right, logits, NEVER)
    return log_partition(only, mask, table) - log_partition(logits, mask, table)


def log_partition(logits, mask, table):
    """log of the sum of e^score over all sequences of tags: float32 [B]; arguments as of `log_likelihood`."""
    last, _ = _forward(_by_word(logits, mask), table)
    return ops.logsumexp(last + table[:, -1], axis=-1)


def log_marginals(logits, mask, table):
    """log of the probability of each tag at each word, over all sequences: float32 [B, W, C] (Rabiner 1989).

    Arguments as of `log_likelihood`; what stands at words that there are not means nothing.
    """
    words = _by_word(logits, mask)

    def step(behind, word):
        ahead = ops.logsumexp((behind + word[:, :-1])[:, None, :] + table, axis=2)  # [B, S]
        return ops.where(word[:, -1:] > 0, ahead, behind), behind

    _, forward = _forward(words, table)  # [W, B, S]
    end = 0.0 * _at_border(words, table) + table[:, -1]  # [B, S]
    _, backward = ops.scan(step, end, words, reverse=True)
    scores = ops.reshape(forward + backward, [-1, ops.shape(words)[1], table.shape[0]])  # the scan forgets the rank
    scores = ops.transpose(scores, [1, 0, 2])[:, :, :-1]  # [B, W, C]
    return scores - ops.logsumexp(scores, axis=2, keepdims=True)


def _by_word(logits, mask):
    """Words first: logits with those of the border, and 1 where there is a word: float32 [W, B, S + 1].

    One tensor, as Keras' scan of several fails on TensorFlow where their length is not known before.
    """
    there = ops.cast(mask, "float32")[:, :, None]
    return ops.transpose(ops.concatenate([logits, 0.0 * there + NEVER, there], axis=2), [1, 0, 2])


def _at_border(words, table):
    """The state before the first word: float32 [B, S], 0 at the border."""
    row = ops.convert_to_tensor([NEVER] * (table.shape[0] - 1) + [0.0])
    return ops.tile(row[None], [ops.shape(words)[1], 1])


def _forward(words, table):
    """log of the sum of e^score over all beginnings that end in a state: after the last word [B, S], and [W, B, S]."""

    def step(before, word):
        after = word[:, :-1] + ops.logsumexp(before[:, :, None] + table, axis=1)  # [B, S]
        after = ops.where(word[:, -1:] > 0, after, before)
        return after, after

    return ops.scan(step, _at_border(words, table), words)
