"""Answers of a span reader to many questions, the best few of each, and the files that SQuAD's evaluators read.

predictions.json, nbest_predictions.json and null_odds.json are as google-research/bert `run_squad.py` writes them.

W windows, T tokens of a row, B windows of a batch, K spans of a window.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from export.answers import N_BEST_SIZE, USUAL, Decoding, window_spans
from kbert.tasks.classify_scores import softmax
from kbert.whole_files import beside
from pipelines import WordPiece, pack
from pipelines.packing import packed_lengths
from pipelines.question_windows import DOC_STRIDE, MAX_QUERY_LENGTH, QuestionWindows
from pipelines.tasks.qa import MAX_LENGTH, Questions, windows_of

PREDICTIONS, NBEST, NULL_ODDS = "predictions.json", "nbest_predictions.json", "null_odds.json"


class Candidate(NamedTuple):
    """A part of the context; start and end are its characters, -1 of the answer "" that says that there is none."""

    text: str
    start: int
    end: int
    start_logit: float
    end_logit: float

    @property
    def score(self) -> float:
        """Both logits together."""
        return self.start_logit + self.end_logit


NO_CANDIDATE = Candidate("", -1, -1, 0.0, 0.0)


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        id: of the question.
        candidates: different texts, the best first, and no more than asked for.
        null: no answer, as the window with the least score for it has it.
        threshold: see `Decoding.null_score_diff_threshold`.
    """

    id: str
    candidates: tuple[Candidate, ...]
    null: Candidate
    threshold: float | None = None

    @property
    def best(self) -> Candidate:
        """The best that is a part of the context, whatever no answer scores."""
        return self.candidates[0] if self.candidates else NO_CANDIDATE

    @property
    def null_odds(self) -> float:
        """How much more no answer is worth than the best one."""
        return self.null.score - self.best.score

    @property
    def said(self) -> Candidate:
        """What is answered."""
        silent = self.threshold is not None and self.null_odds > self.threshold
        return NO_CANDIDATE if silent else self.best

    def nbest(self, size: int) -> list[dict]:
        """Rows of nbest_predictions.json: so many of the candidates, and no answer, where that is possible."""
        rows = self.candidates[:size]
        if self.threshold is not None:
            ranked = sorted((*self.candidates, self.null), key=lambda row: -row.score)[:size]
            rows = ranked if self.null in ranked else [*ranked, self.null]
        rows = rows or [NO_CANDIDATE]
        shares = softmax(np.array([row.score for row in rows]))
        return [
            {
                "text": row.text,
                "probability": float(share),
                "start_logit": row.start_logit,
                "end_logit": row.end_logit,
            }
            for row, share in zip(rows, shares, strict=True)
        ]


def answer_questions(
    model: keras.Model,
    questions: Questions,
    decoding: Decoding = USUAL,
    *,
    batch_size: int = 32,
    max_length: int = MAX_LENGTH,
    doc_stride: int = DOC_STRIDE,
    max_query_length: int = MAX_QUERY_LENGTH,
) -> list[Answer]:
    """Answers in the order of the questions, by the decoding that served models have.

    Args:
        model: a `kbert.SpanReader` with a tokenizer.
        questions: what `pipelines.read_questions` or `pipelines.read_question_answering` gives.
        decoding: where it has no threshold, the model's is taken.
        batch_size: windows of a call; windows of like length are asked together.
        max_length, doc_stride, max_query_length: as in `pipelines.question_answering`.

    Raises:
        ValueError: a question without tokens, or without room for its context; names it.
    """
    if decoding.null_score_diff_threshold is None:
        decoding = decoding._replace(null_score_diff_threshold=model.null_score_diff_threshold)
    decoding.check()
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    cut, contexts = windows_of(questions, wordpiece, max_length, doc_stride, max_query_length)
    lengths = packed_lengths([cut.questions, cut.contexts.ids], max_length).numpy()
    found, nulls = _spans(model, cut, wordpiece, np.argsort(-lengths, kind="stable"), batch_size, max_length, decoding)
    places = [tf.constant(found[..., column].astype("int32")) for column in (0, 1)]  # [W, K]
    starts, ends = (values.numpy() for values in cut.characters(contexts, *places))
    splits = np.searchsorted(cut.contexts.owners.numpy(), np.arange(len(questions) + 1))
    answers = []
    for number, name in enumerate(questions.ids):
        part = slice(splits[number], splits[number + 1])
        rows = _candidates(questions.contexts[number], starts[part], ends[part], found[part, :, 2:], decoding)
        null = nulls[part][nulls[part].sum(axis=-1).argmin()]
        silent = NO_CANDIDATE._replace(start_logit=float(null[0]), end_logit=float(null[1]))
        answers.append(Answer(name, rows, silent, decoding.null_score_diff_threshold))
    return answers


def _spans(
    model, cut: QuestionWindows, wordpiece, order: np.ndarray, batch_size: int, max_length: int, decoding: Decoding
) -> tuple[np.ndarray, np.ndarray]:
    """Every span of every window: (first, last, their logits) float32 [W, K, 4], and logits of [CLS], [W, 2]."""
    keep = decoding.n_best_size**2
    found = np.tile(np.array([-1, -1, 0, 0], "float32"), [len(order), keep, 1])
    nulls = np.zeros([len(order), 2], "float32")

    @tf.function(reduce_retracing=True, autograph=False)
    def decode(start_logits, end_logits, may_start, may_end):
        spans = window_spans(start_logits, end_logits, may_start, may_end, decoding, keep)
        return tf.stack([tf.cast(values, tf.float32) for values in spans], -1), start_logits[:, 0], end_logits[:, 0]

    longest = int(cut.before.numpy().max(initial=0) + cut.contexts.ids.row_lengths().numpy().max(initial=0)) + 1
    may_start, may_end = cut.may_start(longest), cut.in_window(longest) >= 0  # [W, T] of all
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        ids = pack([tf.gather(part, chosen) for part in (cut.questions, cut.contexts.ids)], wordpiece, max_length)
        logits = model.predict_on_batch(ids)
        width = ids["input_mask"].shape[1]
        may = [tf.gather(flags, chosen)[:, :width] for flags in (may_start, may_end)]
        spans, *null = decode(tf.constant(logits["start_logits"]), tf.constant(logits["end_logits"]), *may)
        found[chosen, : spans.shape[1]] = spans
        nulls[chosen] = np.stack(null, -1)
    return found, nulls


def _candidates(
    context: str, starts: np.ndarray, ends: np.ndarray, logits: np.ndarray, decoding: Decoding
) -> tuple[Candidate, ...]:
    """The best of all windows of a question with different texts; characters int [W, K], logits [W, K, 2]."""
    starts, ends, logits = starts.reshape(-1), ends.reshape(-1), logits.reshape(-1, 2)
    spans = np.flatnonzero(starts >= 0)
    kept: dict[str, Candidate] = {}
    for place in spans[np.argsort(-logits[spans].sum(axis=-1), kind="stable")]:
        text = context[starts[place] : ends[place]]
        if text not in kept:
            kept[text] = Candidate(text, int(starts[place]), int(ends[place]), *map(float, logits[place]))
        if len(kept) == decoding.n_best_size:
            break
    return tuple(kept.values())


def with_threshold(answers: Iterable[Answer], threshold: float | None) -> list[Answer]:
    """The same answers, by another threshold for none."""
    return [replace(answer, threshold=threshold) for answer in answers]


def write_predictions(folder: str | Path, answers: Sequence[Answer], n_best_size: int = N_BEST_SIZE) -> list[Path]:
    """Writes predictions.json, nbest_predictions.json, and where questions may have no answer null_odds.json.

    Returns:
        The files.
    """
    files = {
        PREDICTIONS: {answer.id: answer.said.text for answer in answers},
        NBEST: {answer.id: answer.nbest(n_best_size) for answer in answers},
    }
    if any(answer.threshold is not None for answer in answers):
        files[NULL_ODDS] = {answer.id: answer.null_odds for answer in answers}
    for name, held in files.items():
        with beside(Path(folder) / name) as unfinished:
            unfinished.write_text(json.dumps(held, ensure_ascii=False, indent=4) + "\n", encoding="utf-8")
    return [Path(folder) / name for name in files]
