"""Answers from scores of first and last tokens: the one decoding, of files and of served models.

The rules are those of google-research/bert `run_squad.py` (`write_predictions`); answers are cut out of the context by
the characters of their tokens, so that nothing has to be put together again from pieces.

B questions, W windows of their contexts, T tokens of a row, K spans of a window.
"""

from typing import NamedTuple

import tensorflow as tf

NOTHING = -1e9  # total of a span that may not be
N_BEST_SIZE, MAX_ANSWER_LENGTH = 20, 30  # run_squad.py's


class Decoding(NamedTuple):
    """How spans are chosen.

    n_best_size: how many first and how many last tokens of a window are tried; max_answer_length: most tokens of an
    answer; null_score_diff_threshold: a question has no answer where [CLS] scores by more than this over the best
    answer, None for always an answer.
    """

    n_best_size: int = N_BEST_SIZE
    max_answer_length: int = MAX_ANSWER_LENGTH
    null_score_diff_threshold: float | None = None

    def check(self) -> "Decoding":
        """Raises ValueError for a number below 1."""
        for name in ("n_best_size", "max_answer_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 at least; got {getattr(self, name)}. 20 and 30 are usual.")
        return self


class Spans(NamedTuple):
    """Spans of each window, the best first.

    starts, ends: int32 [W, K], places in the row, -1 where there are fewer; start_logits, end_logits: float32 [W, K],
    0 there.
    """

    starts: tf.Tensor
    ends: tf.Tensor
    start_logits: tf.Tensor
    end_logits: tf.Tensor

    @property
    def totals(self) -> tf.Tensor:
        """float32 [W, K], `NOTHING` where there is no span."""
        return tf.where(self.starts < 0, NOTHING, self.start_logits + self.end_logits)


USUAL = Decoding()


def window_spans(
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    may_start: tf.Tensor,
    may_end: tf.Tensor,
    decoding: Decoding,
    keep: int,
) -> Spans:
    """The best spans of each window among its `n_best_size` likeliest first and last tokens; a graph function.

    Args:
        start_logits, end_logits: float32 [W, T], low at padding.
        may_start, may_end: bool [W, T].
        decoding: see `Decoding`.
        keep: spans of a window, K.
    """
    size = tf.minimum(decoding.n_best_size, tf.shape(start_logits)[1])
    first_logits, first = tf.math.top_k(start_logits, size)  # [W, n]
    last_logits, last = tf.math.top_k(end_logits, size)
    length = last[:, tf.newaxis] - first[:, :, tf.newaxis] + 1  # [W, n, n]
    allowed = (
        tf.gather(may_start, first, batch_dims=1)[:, :, tf.newaxis]
        & tf.gather(may_end, last, batch_dims=1)[:, tf.newaxis]
        & (length >= 1)
        & (length <= decoding.max_answer_length)
    )
    totals = tf.where(allowed, first_logits[:, :, tf.newaxis] + last_logits[:, tf.newaxis], NOTHING)
    best, place = tf.math.top_k(tf.reshape(totals, [-1, size * size]), tf.minimum(keep, size * size))  # [W, K]
    none = best <= NOTHING
    row, column = place // size, place % size
    return Spans(
        tf.where(none, -1, tf.gather(first, row, batch_dims=1)),
        tf.where(none, -1, tf.gather(last, column, batch_dims=1)),
        tf.where(none, 0.0, tf.gather(first_logits, row, batch_dims=1)),
        tf.where(none, 0.0, tf.gather(last_logits, column, batch_dims=1)),
    )


def best_windows(totals: tf.Tensor, owners: tf.Tensor) -> tf.Tensor:
    """The window with the best span of each question, the earlier of equal ones: [W], int32 [W] -> int32 [B]."""
    best = tf.gather(tf.math.segment_max(totals, owners), owners)
    windows = tf.range(tf.size(owners))
    return tf.math.segment_min(tf.where(totals >= best, windows, tf.size(owners)), owners)


def is_null(score: tf.Tensor, null_score: tf.Tensor, decoding: Decoding) -> tf.Tensor:
    """Whether a question has no answer: float32 [B] -> bool [B]."""
    if decoding.null_score_diff_threshold is None:
        return tf.zeros_like(score, tf.bool)
    return null_score - score > decoding.null_score_diff_threshold
