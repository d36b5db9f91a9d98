"""Pre-training batches: raw text -> masked rows, everything between a block of text and a batch in one graph function.

blocks -> windows -> lines -> sentences -> tokens -> examples -> rows -> masks -> batches. A window is WINDOW_BLOCKS
blocks, and its rows are a function of its text, the seed, the epoch and its number alone; so the place of a row is all
that there is to remember for a resume.

K blocks of a window, N its tokens, R its rows, T tokens of a row, P predictions of a row, S examples that share a
packed row, B batch.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import tensorflow as tf

from pipelines.documents import Corpus
from pipelines.filling import Sentences
from pipelines.masking import PHILOX, mask, replacements
from pipelines.pretraining_data import OBJECTIVES, PretrainingData
from pipelines.rows import fill_rows, pack_rows
from pipelines.sentences import split_sentences
from pipelines.word_segments import tokenize_words
from pipelines.wordpiece import WordPiece

WINDOW_BLOCKS = 16  # about 1 MiB of text, a quarter of a million tokens
LABELS = ("masked_lm_ids", "next_sentence_labels")
WEIGHTS = ("masked_lm_weights", "next_sentence_weights")
NO_EXAMPLES = "no example can be made: a pair needs a document of two tokens and more. Give more text."
plain = tf.autograph.experimental.do_not_convert


class UnreadableText(ValueError):
    """A part of the text cannot be read, or no example be made of it; says which and why."""


def pretraining(
    corpus: Corpus,
    spec: Mapping,
    settings: PretrainingData,
    *,
    batch_size: int,
    after: tuple[int, int, int] | None = None,
    part: str = "train",
    epochs: range | None = None,
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """Raw text -> batches of masked rows, in an order that is a function of the arguments; new masks in each epoch.

    Args:
        corpus: `Corpus.find(...)`.
        spec: `model.tokenizer_spec`, or a dict with `vocabulary` (a path) and `lowercase`.
        settings: which rows are made.
        batch_size: B, rows of a batch. A batch may hold the end of an epoch and the start of the next.
        after: the place of a row, as a batch gives it. The dataset goes on behind that row, with the same bits as one
            that was never stopped.
        part: "train"; or "held_out", one epoch with masks that never change, whose last batch may have fewer rows.
        epochs: which epochs; None goes on without end.
        worker, num_workers: each worker gets its own share of the text.

    Returns:
        A dataset of (inputs, labels, weights), dicts of tensors.
        inputs: `input_word_ids`, `input_mask`, `input_type_ids` int32 [B, T]; `masked_lm_positions` int32 [B, P];
        `place` int64 [B, 3], the (epoch, window, row) of each; packed also `input_example_ids` int32 [B, T] and
        `first_positions` int32 [B, S].
        labels: `masked_lm_ids` int32 [B, P]; with an objective `next_sentence_labels` int32 [B], packed [B, S].
        weights: `masked_lm_weights` float32 [B, P]; packed with an objective `next_sentence_weights` float32 [B, S].

    Raises:
        ValueError: max_length over the model's positions, a vocabulary without [MASK], no batch size, a part or a
            worker that the corpus does not know.
        FileNotFoundError: no vocabulary, or no word list, under the name given.
        tf.errors.OpError: while it is read, where the text cannot be; see `reading_errors`.
    """
    limit = spec.get("max_positions", settings.max_length)
    if settings.max_length > limit:
        raise ValueError(f"max_length is at most {limit} for this model; got {settings.max_length}. Lower it.")
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}.")
    wordpiece = WordPiece.from_spec(spec)
    replacements(wordpiece.vocabulary)  # raises where there are none
    share = {"part": part, "worker": worker, "num_workers": num_workers}
    corpus.blocks(seed=settings.seed, epoch=0, **share)  # raises what is wrong with these; reads nothing
    held_out = part == "held_out"
    epoch, window, row = after = (-1, 0, -1) if after is None else tuple(map(int, after))

    def windows() -> Iterator[tuple[int, int, list[bytes]]]:
        numbers = range(1) if held_out else itertools.count() if epochs is None else epochs
        return _read_windows(corpus, settings.seed, numbers, after, share)

    @plain
    def rows(number, count, texts):
        made = window_rows(texts, wordpiece, settings, number, count)
        enough = tf.debugging.Assert((tf.shape(made["place"])[0] > 0) | (count >= num_workers), [NO_EXAMPLES])
        done = tf.where((number == epoch) & (count == window), row + 1, 0)
        with tf.control_dependencies([enough]):
            return as_batch({name: values[done:] for name, values in made.items()})

    scalar = tf.TensorSpec([], tf.int64)
    dataset = tf.data.Dataset.from_generator(
        windows, output_signature=(scalar, scalar, tf.TensorSpec([None], tf.string))
    )
    dataset = dataset.map(rows, tf.data.AUTOTUNE, deterministic=True)
    return dataset.rebatch(batch_size, drop_remainder=not held_out).prefetch(tf.data.AUTOTUNE)


@contextmanager
def reading_errors() -> Iterator[None]:
    """Around what reads a dataset of `pretraining`: raises what is wrong with the text as itself.

    TensorFlow hands on an error of the reader inside of its own, with tracebacks of both sides.

    Raises:
        UnreadableText: in place of a tf.errors.OpError that holds one.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if NO_EXAMPLES in str(error):
            raise UnreadableText(NO_EXAMPLES) from None
        if found := re.search(rf"{UnreadableText.__name__}: (.*?)\s*\nTraceback \(most recent", str(error), re.DOTALL):
            raise UnreadableText(found[1]) from None
        raise


def _read_windows(
    corpus: Corpus, seed: int, epochs: Iterable[int], after: tuple[int, int, int], share: Mapping
) -> Iterator[tuple[int, int, list[bytes]]]:
    """(epoch, number, blocks) of each window, from that of the row `after` on; those before are read and dropped."""
    try:
        for epoch in itertools.dropwhile(lambda epoch: epoch < after[0], epochs):
            blocks = corpus.blocks(seed=seed, epoch=epoch, **share)
            for count in itertools.count():
                texts = list(itertools.islice(blocks, WINDOW_BLOCKS))
                if not texts:
                    break
                place = epoch, count * share["num_workers"] + share["worker"]  # no number in two workers
                if place >= after[:2]:
                    yield *place, texts
    except (ValueError, OSError) as error:
        known = isinstance(error, OSError) and error.strerror and error.filename is not None
        raise UnreadableText(f"{error.strerror}: {error.filename}" if known else str(error)) from error


def as_batch(rows: dict[str, tf.Tensor]) -> tuple[dict, dict, dict]:
    """Rows as (inputs, labels, weights)."""
    labels = {name: rows.pop(name) for name in LABELS if name in rows}
    weights = {name: rows.pop(name) for name in WEIGHTS if name in rows}
    return rows, labels, weights


def window_rows(texts: tf.Tensor, wordpiece: WordPiece, settings: PretrainingData, epoch, window) -> dict:
    """The rows of a window in a random order: a pure function, in a graph or not.

    Args:
        texts: string [K], blocks of lines; an empty line, and the end of a block, end a document.
        wordpiece: whose vocabulary has [MASK].
        epoch, window: int64 scalars; with `settings.seed` they decide all that is random.

    Returns:
        `input_word_ids`, `input_mask`, `input_type_ids` int32 [R, T]; `masked_lm_positions`, `masked_lm_ids` int32 and
        `masked_lm_weights` float32 [R, P]; `place` int64 [R, 3]; packed also `input_example_ids` int32 [R, T] and
        `first_positions` int32 [R, S]; with an objective `next_sentence_labels` int32 [R], or packed [R, S] and
        `next_sentence_weights` float32 [R, S].
    """
    epoch, window = (tf.cast(number, tf.int64) for number in (epoch, window))
    seed = tf.constant([settings.seed, 0], tf.int64)
    for number in (epoch, window):
        seed = tf.random.fold_in(seed, number, alg=PHILOX)
    seeds = tf.random.split(seed, 3, alg=PHILOX)
    tokens, begins_word, sentences = read_window(texts, wordpiece, settings)
    examples = OBJECTIVES[settings.objective](sentences, settings.max_length, settings.short_share, seeds[0])
    arrange = pack_rows if settings.packed else fill_rows
    rows = arrange(examples, tokens, wordpiece, settings.max_length)
    if not settings.pairs:
        rows = {name: values for name, values in rows.items() if not name.startswith("next_sentence")}
    count = tf.shape(rows["sources"], tf.int64)[0]
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds[1], alg=PHILOX)
    rows = {name: tf.gather(values, order) for name, values in rows.items()}
    sources = rows.pop("sources")
    rows = mask(
        rows,
        wordpiece.vocabulary,
        seeds[2],
        unit=settings.masking,
        begins_word=None if settings.masking == "tokens" else tf.gather(tf.pad(begins_word, [[1, 0]]), sources + 1),
        share=settings.masked_share,
        max_predictions=settings.predictions,
    )
    return rows | {"place": tf.stack([tf.fill([count], epoch), tf.fill([count], window), tf.range(count)], axis=1)}


def read_window(texts: tf.Tensor, wordpiece: WordPiece, settings: PretrainingData):
    """Blocks, string [K] -> tokens int32 [N], which of them begin a word, bool [N], and their `Sentences`."""
    lines = tf.strings.split([tf.strings.reduce_join(texts, separator="\n\n")], "\n").values  # [L]
    ends = tf.where(tf.strings.length(lines) == 0)[:, 0]  # of documents
    if settings.split:
        lines = split_sentences(lines)  # [L, (S)]
        ends = tf.gather(lines.row_splits, ends)
        lines = lines.values
    pieces, begins_word = tokenize_words(lines, wordpiece, settings.words)
    starts = tf.cast(pieces.row_splits, tf.int64)
    documents = tf.concat([[0], ends, [tf.size(lines, tf.int64)]], 0)
    return pieces.values, begins_word, Sentences(starts, documents)
