"""Question answering: files of questions, contexts and the answers in them -> examples -> batches for a span reader.

A answers, B batch, T tokens of a row. An answer is a part of its context (Rajpurkar et al. 2016); a question may have
none (Rajpurkar et al. 2018).
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.orders import FileOrder, GroupedOrder
from pipelines.packing import PAIR_SPECIALS
from pipelines.question_windows import (
    DOC_STRIDE,
    MAX_QUERY_LENGTH,
    Contexts,
    QuestionWindows,
    most_query_tokens,
    question_windows,
    tokenize_contexts,
)
from pipelines.row_batches import Rows, open_wordpiece, row_batches, tokenize_all
from pipelines.squad import Asked, asked_in, asked_in_lines, find_answer
from pipelines.tasks.texts import Paths
from pipelines.wordpiece import WordPiece

MOST_NAMED = 5  # bad rows in an error
MAX_LENGTH = 384  # run_squad.py's


@dataclass(frozen=True)
class Questions:
    """Questions and the contexts that answer them; `ids` are all different."""

    ids: tuple[str, ...]
    questions: tuple[str, ...]
    contexts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class QuestionAnsweringExamples(Questions):
    """Questions with their answers.

    Attributes:
        answers: texts of the answers that are right, none for a question that cannot be answered.
        spans: the answer that is trained: characters of the context where it starts and ends, (-1, -1) for none.
        skipped: what was wrong with each row that was left out.
        corrected: how many answers were found elsewhere than their file says.
        unfound: how many are nowhere in their contexts, of questions that have others; they count as right still.
    """

    answers: tuple[tuple[str, ...], ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    skipped: tuple[str, ...] = ()
    corrected: int = 0
    unfound: int = 0

    @property
    def gold(self) -> dict[str, tuple[str, ...]]:
        """The right answers by id, as `kbert.tasks.qa_scores` takes them."""
        return dict(zip(self.ids, self.answers, strict=True))

    @property
    def has_unanswerable(self) -> bool:
        """Whether a question is without an answer, as in SQuAD 2.0."""
        return not all(self.answers)


def read_question_answering(paths: Paths, *, skip_bad: bool = False) -> QuestionAnsweringExamples:
    """Reads questions with their answers.

    An answer that does not stand where the file says is looked for; the place nearest to the one told is taken.

    Args:
        paths: a file, a glob, or several of either: .json as SQuAD 1.1 and 2.0; .jsonl, .tsv, .csv with `question`,
            `context`, `answers` (see `pipelines.squad.answers`) and, if they have names, `id`. Also .gz and .xz.
        skip_bad: leaves out questions with an empty context, and those that have answers but none in the context.

    Raises:
        ValueError: such a row, without `skip_bad`; a key that is not there; two questions of one id; and what
            `files.rows` raises. All name the file and the question.
        FileNotFoundError: no such file.
    """
    kept, bad, corrected, unfound, count = [], [], 0, 0, 0
    for asked in asked_in(paths):
        count += 1
        if asked.answers is None:
            raise ValueError(
                f"{asked.place}: no key 'answers'. Write the answers of each question, [] for one that has none."
            )
        texts = tuple(text for text, _ in asked.answers)
        spans = [find_answer(asked.context, text, start) for text, start in asked.answers]
        found = [span for span in spans if span]
        if not asked.context.strip():
            bad.append(f"{asked.place}: the context is empty")
        elif texts and not found:
            bad.append(f"{asked.place}: the answer {texts[0]!r:.80} is not in the context")
        else:
            told = zip(spans, asked.answers, strict=True)
            corrected += sum(bool(span) and not _stands(asked.context, *answer) for span, answer in told)
            unfound += len(spans) - len(found)
            kept.append((asked, texts, found[0] if found else (-1, -1)))
    if bad and not skip_bad:
        raise ValueError(
            f"an answer is a part of its context, which is not empty; {len(bad)} of {count} questions are otherwise: "
            f"{'; '.join(bad[:MOST_NAMED])}{' ...' if len(bad) > MOST_NAMED else ''}. "
            "Correct them, or leave them out with skip_bad=True (--skip-bad)."
        )
    if not kept:
        raise ValueError(f"at least one question is needed; all {count} of {paths} were left out.")
    named = _named([asked for asked, _, _ in kept])
    return QuestionAnsweringExamples(
        *named, tuple(row[1] for row in kept), tuple(row[2] for row in kept), tuple(bad), corrected, unfound
    )


def _stands(context: str, text: str, start: int | None) -> bool:
    """Whether an answer is where it is said to be; where nothing is said, it is."""
    return start is None or (start >= 0 and context.startswith(text, start))


def read_questions(source: Paths | io.IOBase) -> Questions:
    """Reads questions to answer; answers that a file may have are left alone, and a context may be empty.

    Args:
        source: files as in `read_question_answering`, or an open stream such as `sys.stdin`, UTF-8: a line each, a tab
            between question and context.
    """
    return Questions(*_named(list(asked_in_lines(source) if hasattr(source, "read") else asked_in(source))))


def question_answering(
    files: Paths | QuestionAnsweringExamples,
    spec: Mapping,
    *,
    batch_size: int = 32,
    max_length: int = MAX_LENGTH,
    doc_stride: int = DOC_STRIDE,
    max_query_length: int = MAX_QUERY_LENGTH,
    seed: int | None = None,
    skip_bad: bool = False,
    epochs: range | None = None,
) -> tf.data.Dataset:
    """Files of questions with answers -> batches for a span reader; each window of a context is an example.

    Over eight parameters, as this is a line that users type. A window without the whole answer has it at [CLS], place
    0, as in google-research/bert `run_squad.py`.

    Args:
        files: as `read_question_answering` takes them, or the examples that it has read.
        spec: `model.tokenizer_spec`.
        batch_size: windows in a batch; the last batch of an epoch may have fewer.
        max_length: most tokens of a row, special tokens included.
        doc_stride: tokens from the start of a window to the start of the next.
        max_query_length: tokens that are kept of a question.
        seed, epochs: as in `pipelines.classification`.
        skip_bad: see `read_question_answering`.

    Returns:
        A dataset of known cardinality, of (`pack`'s three tensors int32 [B, T], {"start_positions", "end_positions":
        int32 [B], the first and the last token of the answer in the row}).

    Raises:
        ValueError: a question without tokens, or so long that no room for a context is left; max_length over the
            model's positions; and what `read_question_answering` raises.
    """
    examples = files
    if not isinstance(files, QuestionAnsweringExamples):
        examples = read_question_answering(files, skip_bad=skip_bad)
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    cut, contexts = windows_of(examples, wordpiece, max_length, doc_stride, max_query_length)
    targets = dict(zip(("start_positions", "end_positions"), positions(cut, contexts, examples.spans), strict=True))
    order = FileOrder() if seed is None else GroupedOrder(seed)
    rows = Rows((cut.questions, cut.contexts.ids), targets)
    return row_batches(rows, wordpiece, order, batch_size, max_length, lambda *batch: batch, epochs)


def windows_of(
    questions: Questions, wordpiece: WordPiece, max_length: int, doc_stride: int, max_query_length: int
) -> tuple[QuestionWindows, Contexts]:
    """Every window of every question, and the tokens of their contexts; a context that many share is read once.

    Raises:
        ValueError: a question without tokens, or one that leaves no room for a context.
    """
    asked = tokenize_all(tf.constant(questions.questions, tf.string), wordpiece, max_query_length)
    lengths = asked.row_lengths().numpy()
    most = most_query_tokens(max_length, max_query_length)
    for place in np.flatnonzero(lengths == 0)[:1]:
        raise ValueError(
            f"a question has at least one token; {questions.ids[place]} is {questions.questions[place]!r}. Remove it."
        )
    for place in np.flatnonzero(lengths > most)[:1]:
        raise ValueError(
            f"a question leaves room for its context: at most {most} tokens, as max_length is {max_length} and "
            f"{PAIR_SPECIALS} are special; {questions.ids[place]} has {lengths[place]}. Raise max_length, or cut "
            f"questions with max_query_length={max(most, 1)} (--max-query-length)."
        )
    different = {text: number for number, text in enumerate(dict.fromkeys(questions.contexts))}
    read = tokenize_contexts(tf.constant(list(different), tf.string), wordpiece)
    which = [different[text] for text in questions.contexts]
    contexts = Contexts(*(tf.gather(column, tf.constant(which, tf.int32)) for column in read))
    return question_windows(asked, contexts.ids, max_length, doc_stride), contexts


def positions(cut: QuestionWindows, contexts: Contexts, spans) -> tuple[np.ndarray, np.ndarray]:
    """Characters of answers, (start, end) a question -> places of first and last tokens in the rows, int32 [W]."""
    starts, ends = contexts.starts.values.numpy(), contexts.ends.values.numpy()
    splits = contexts.ids.row_splits.numpy()
    tokens = np.zeros([len(spans), 2], "int64")  # first and last; a first after the last is none
    for question, (start, end) in enumerate(spans):
        part = slice(splits[question], splits[question + 1])
        tokens[question] = (
            np.searchsorted(ends[part], start, "right"),  # the first token that ends after the answer starts
            np.searchsorted(starts[part], end, "left") - 1,  # the last that starts before it ends
        )
    tokens[[start < 0 for start, _ in spans]] = (0, -1)
    owners, begin = cut.contexts.owners.numpy(), cut.contexts.starts.numpy()
    first, last = tokens[owners].T - begin
    held = (first >= 0) & (first <= last) & (last < cut.contexts.ids.row_lengths().numpy())
    before = cut.before.numpy()
    return tuple(np.where(held, place + before, 0).astype("int32") for place in (first, last))


def _named(asked: list[Asked]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """ids, questions, contexts; a question without an id has its number, from 1."""
    ids: dict[str, str] = {}
    for number, one in enumerate(asked, start=1):
        name = str(number) if one.id is None else one.id
        if name in ids:
            raise ValueError(f"{one.place}: ids of questions must differ; {name!r} is that of {ids[name]} too.")
        ids[name] = one.place
    return tuple(ids), tuple(one.question for one in asked), tuple(one.context for one in asked)
