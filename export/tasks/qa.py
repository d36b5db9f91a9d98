"""Question answering, served: questions and contexts in, answers with their places in the contexts out.

B questions, W windows of all contexts, T tokens of a row.
"""

from types import MappingProxyType

import keras
import tensorflow as tf

from export.answers import MAX_ANSWER_LENGTH, N_BEST_SIZE, Decoding, best_windows, is_null, window_spans
from export.serving import ID_TENSORS, Serving
from pipelines import WordPiece, pack
from pipelines.packing import PAIR_SPECIALS
from pipelines.question_windows import (
    DOC_STRIDE,
    MAX_QUERY_LENGTH,
    Contexts,
    QuestionWindows,
    most_query_tokens,
    question_windows,
)


class QuestionAnswering(Serving):
    """Answers of a span reader; a context of any length is read through windows, and the best of all is taken.

    Args:
        model: a `kbert.SpanReader` in float32.
        wordpiece, max_length: see `Serving`.
        doc_stride: tokens from the start of a window to the start of the next.
        max_query_length: tokens that are kept of a question.
        n_best_size, max_answer_length: see `export.answers.Decoding`.
        null_score_diff_threshold: see there; None for the model's.

    Answers, [B]: `answer` string, a part of the context or ""; `start` and `end` int32, characters of the context, -1
    for none; `score` float, the logits of the best answer together, 0 where the context has no token, and
    `null_score`, those of no answer, the least of all windows. Strings are `question` and `context`, [B].

    `tokenize` gives a row for each window, so that there may be more rows than questions. `from_ids` answers for each
    row alone: `start` and `end` are then places of tokens in the row, -1 for none.
    """

    inputs = MappingProxyType({name: tf.TensorSpec([None], tf.string, name) for name in ("question", "context")})

    def __init__(
        self,
        model: keras.Model,
        wordpiece: WordPiece,
        max_length: int,
        doc_stride: int = DOC_STRIDE,
        max_query_length: int = MAX_QUERY_LENGTH,
        n_best_size: int = N_BEST_SIZE,
        max_answer_length: int = MAX_ANSWER_LENGTH,
        null_score_diff_threshold: float | None = None,
    ):
        if null_score_diff_threshold is None:
            null_score_diff_threshold = model.null_score_diff_threshold
        self.decoding = Decoding(n_best_size, max_answer_length, null_score_diff_threshold).check()
        self.doc_stride, self.max_query_length = doc_stride, max_query_length
        super().__init__(model, wordpiece, max_length)

    @property
    def most_asked(self) -> int:
        """Most tokens of a question."""
        return most_query_tokens(self.max_length, self.max_query_length)

    def sample_words(self, length: int) -> int:
        return max(super().sample_words(length), length - PAIR_SPECIALS - self.most_asked)  # questions are cut

    def answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors -> start_logits, end_logits."""
        return model(dict(zip(ID_TENSORS, ids, strict=True)), training=False)

    def cut(self, questions: tf.Tensor, contexts: tf.Tensor) -> tuple[QuestionWindows, Contexts]:
        """Strings [B] -> the windows of the contexts, and the tokens of each."""
        asked = self.wordpiece.tokenize(questions)[:, : self.most_asked]
        read = Contexts(*self.wordpiece.tokenize_with_offsets(contexts))
        return question_windows(asked, read.ids, self.max_length, self.doc_stride), read

    def tokenize(self, questions: tf.Tensor, contexts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] -> the three id tensors of all windows, int32 [W, T]."""
        return self.pack(self.cut(questions, contexts)[0])

    def pack(self, cut: QuestionWindows) -> dict[str, tf.Tensor]:
        """Windows -> the three id tensors, int32 [W, T]."""
        return pack([cut.questions, cut.contexts.ids], self.wordpiece, self.max_length)

    def from_ids(self, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The three id tensors [W, T] -> start, end (tokens of the row), score, null_score, [W]."""
        logits = self.ask(*ids)
        _, mask, types = ids
        is_last = tf.range(tf.shape(mask)[1])[tf.newaxis] == tf.reduce_sum(mask, 1, keepdims=True) - 1  # the last [SEP]
        in_context = (types > 0) & (mask > 0) & ~is_last
        spans = window_spans(**logits, may_start=in_context, may_end=in_context, decoding=self.decoding, keep=1)
        null_scores = logits["start_logits"][:, 0] + logits["end_logits"][:, 0]
        scores = tf.where(spans.starts < 0, 0.0, spans.totals)[:, 0]
        none = is_null(scores, null_scores, self.decoding)
        start, end = (tf.where(none, -1, places[:, 0]) for places in spans[:2])
        return {"start": start, "end": end, "score": scores, "null_score": null_scores}

    def serve(self, questions: tf.Tensor, contexts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] -> answer, start, end (characters of the context), score, null_score."""
        cut, read = self.cut(questions, contexts)
        packed = self.pack(cut)
        logits = self.ask(*(packed[name] for name in ID_TENSORS))
        width, owners = tf.shape(packed["input_mask"])[1], cut.contexts.owners
        spans = window_spans(
            **logits,
            may_start=cut.may_start(width),
            may_end=cut.in_window(width) >= 0,
            decoding=self.decoding,
            keep=1,
        )
        starts, ends = cut.characters(read, spans.starts[:, 0], spans.ends[:, 0])
        chosen = best_windows(spans.totals[:, 0], owners)
        null_scores = tf.math.segment_min(logits["start_logits"][:, 0] + logits["end_logits"][:, 0], owners)
        start, end = tf.gather(starts, chosen), tf.gather(ends, chosen)
        scores = tf.where(start < 0, 0.0, tf.gather(spans.totals[:, 0], chosen))
        none = (start < 0) | is_null(scores, null_scores, self.decoding)
        start, end = tf.where(none, -1, start), tf.where(none, -1, end)
        return {
            "answer": parts(contexts, start, end),
            "start": start,
            "end": end,
            "score": scores,
            "null_score": null_scores,
        }


def parts(texts: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Characters of texts, string [B] with int32 [B] each -> string [B]; "" where a start is -1.

    Bytes that are not UTF-8 count as characters, as in the tokenizer's offsets, and come out as U+FFFD.
    """
    readable = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
    return tf.strings.substr(readable, tf.maximum(starts, 0), ends - starts, unit="UTF8_CHAR")
