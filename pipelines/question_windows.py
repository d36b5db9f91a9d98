"""Question windows: a question and its context -> rows `[CLS] question [SEP] window of the context [SEP]`.

B questions, Q tokens of a question, N tokens of a context, W windows of all contexts, n tokens of a window, T tokens of
a row. The rows are those of google-research/bert `run_squad.py`; training and serving take them from here.
"""

from typing import NamedTuple

import tensorflow as tf

from pipelines.packing import PAIR_SPECIALS
from pipelines.windows import Windows, most_context, windows
from pipelines.wordpiece import WordPiece

DOC_STRIDE, MAX_QUERY_LENGTH = 128, 64  # run_squad.py's


class Contexts(NamedTuple):
    """Tokens of contexts: ids, and the characters where they start and end; RaggedTensor int32 [B, (N)] each."""

    ids: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


class QuestionWindows(NamedTuple):
    """A question with each window of its context. questions: RaggedTensor int32 [W, (Q)]; contexts: W windows."""

    questions: tf.RaggedTensor
    contexts: Windows

    @property
    def before(self) -> tf.Tensor:
        """Tokens of a row that come before the window, int32 [W]."""
        return tf.cast(self.questions.row_lengths(), tf.int32) + 2

    def in_window(self, width: tf.Tensor | int) -> tf.Tensor:
        """For each token of rows of so many tokens its place in the window, -1 outside of it: int32 [W, T]."""
        place = tf.range(width)[tf.newaxis] - self.before[:, tf.newaxis]
        sizes = tf.cast(self.contexts.ids.row_lengths(), tf.int32)[:, tf.newaxis]
        return tf.where((place >= 0) & (place < sizes), place, -1)

    def may_start(self, width: tf.Tensor | int) -> tf.Tensor:
        """Where in rows of so many tokens an answer may start: tokens that no window shows better; bool [W, T]."""
        shown, place = most_context(self.contexts), self.in_window(width)
        first = tf.cast(shown.row_splits[:-1], tf.int32)[:, tf.newaxis]
        shows = tf.concat([shown.values, [False]], 0)  # windows may have no token at all
        return tf.gather(shows, tf.where(place < 0, tf.size(shown.values), first + place))

    def characters(self, contexts: Contexts, starts: tf.Tensor, ends: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Places of first and last tokens in the rows, -1 for none -> where they start and end in the context.

        Args:
            contexts: of the B questions.
            starts, ends: int32 [W, ...].

        Returns:
            Characters, int32 [W, ...], -1 for none.
        """
        rank = len(starts.shape)
        shift = tf.cast(tf.gather(contexts.ids.row_splits, self.contexts.owners), tf.int32)
        shift = tf.reshape(shift + self.contexts.starts - self.before, [-1] + [1] * (rank - 1))  # row -> flat tokens
        return tuple(
            tf.gather(
                tf.concat([offsets.values, [-1]], 0), tf.where(places < 0, tf.size(offsets.values), places + shift)
            )
            for places, offsets in ((starts, contexts.starts), (ends, contexts.ends))
        )


def most_query_tokens(max_length: int, max_query_length: int) -> int:
    """Tokens that are kept of a question: so many, and few enough to leave room for a token of the context."""
    return max(min(max_query_length, max_length - PAIR_SPECIALS - 1), 0)


def question_windows(
    questions: tf.RaggedTensor, contexts: tf.RaggedTensor, max_length: int, doc_stride: int = DOC_STRIDE
) -> QuestionWindows:
    """Each question with each window of its context; a graph function.

    Args:
        questions: int32 [B, (Q)], cut to `most_query_tokens`.
        contexts: int32 [B, (N)].
        max_length: most tokens of a row, special tokens included.
        doc_stride: tokens from the start of a window to the start of the next.
    """
    room = max_length - PAIR_SPECIALS - tf.cast(questions.row_lengths(), tf.int32)  # [B]
    cut = windows(contexts, room, doc_stride)
    return QuestionWindows(tf.gather(questions, cut.owners), cut)


def tokenize_contexts(texts: tf.Tensor, wordpiece: WordPiece) -> Contexts:
    """Texts, string [B] -> their tokens; a thousand at a time, on all cores."""
    if not len(texts):
        empty = tf.RaggedTensor.from_row_lengths(tf.constant([], tf.int32), tf.constant([], tf.int64))
        return Contexts(empty, empty, empty)
    plain = tf.autograph.experimental.do_not_convert
    parts = tf.data.Dataset.from_tensor_slices(texts).batch(1000)
    parts = list(parts.map(plain(lambda batch: wordpiece.tokenize_with_offsets(batch)), tf.data.AUTOTUNE))
    return Contexts(*(tf.concat(column, axis=0) for column in zip(*parts, strict=True)))
