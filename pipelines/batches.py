"""Batches: examples -> tf.data.Dataset of what `model.fit` and `model.predict` take, one function a task.

B batch, T tokens of the batch's longest row, W examples of a window: what is tokenized at once and grouped by length.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines.long_texts import window_rows, with_text_ids
from pipelines.orders import WINDOW_BATCHES, FileOrder, GroupedOrder
from pipelines.packing import pack, packed_lengths
from pipelines.row_batches import open_wordpiece, row_batches, tokenize_all
from pipelines.tasks.classify import ClassificationExamples, read_classification
from pipelines.tasks.texts import LABEL_COLUMN, TEXT_COLUMN, Paths

plain = tf.autograph.experimental.do_not_convert  # no Python `if` or loop here is on a tensor: tracing takes a tenth


def classification(
    files: Paths | ClassificationExamples,
    spec: dict,
    *,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int | None = None,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str = LABEL_COLUMN,
    labels: Sequence[str] | None = None,
    epochs: range | None = None,
    window: int | None = None,
) -> tf.data.Dataset:
    """Files of labelled texts, or of pairs of texts -> batches for a classifier.

    Over eight parameters, as this is a line that users type; five of them are `read_classification`'s.

    Args:
        files: files and globs as `read_classification` takes them, or the examples that it has read.
        spec: `model.tokenizer_spec`.
        batch_size: examples in a batch; the last batch of an epoch may have fewer.
        max_length: the most tokens in a row, special tokens included; longer texts are cut.
        seed: shuffles, and groups rows of like length. None keeps the order of the files, for evaluation.
        labels: the labels in the order of their ids; None takes those of the model, `spec["labels"]`.
        epochs: None gives one epoch an iteration, epoch i to the i-th iteration of this dataset: what a plain
            `fit(epochs=n)` wants. A range gives just these epochs one after another, the same at every iteration: to go
            on after a stop, `epochs=range(done, n)`, and `.skip(steps)` inside an epoch. Epoch e is the same both ways.
        window: how texts of over max_length tokens are read: None cuts them; else they are seen through windows of
            max_length that start every so many tokens, and each window is an example with the label of its text.

    Returns:
        A dataset of known cardinality, of (`pack`'s three tensors int32 [B, T], labels int32 [B]). With `window` B
        counts windows, and `input_text_ids` int32 [B] says which example each is of; `model.scores` merges them.

    Raises:
        ValueError: max_length over the model's positions; a window over pairs; and what `read_classification` raises.
        FileNotFoundError: no such file.
    """
    labels = spec["labels"] if labels is None else labels
    examples = files
    if not isinstance(files, ClassificationExamples):
        examples = read_classification(
            files,
            text_column=text_column,
            pair_column=pair_column,
            label_column=label_column,
            labels=labels,
        )
    elif labels is not None and tuple(map(str, labels)) != files.labels:
        raise ValueError(
            f"the examples' labels must be the model's, in its order: {', '.join(map(str, labels))}; "
            f"got {', '.join(files.labels)}. Use read_classification(..., labels=model.labels)."
        )
    order = FileOrder() if seed is None else GroupedOrder(seed)
    columns = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    label_ids = tf.constant(examples.label_ids, tf.int32)
    return text_batches(columns, label_ids, spec, order, batch_size, max_length, epochs, window)


def texts(
    texts: Sequence[str], spec: dict, *, batch_size: int = 32, max_length: int = 128, pairs: Sequence[str] | None = None
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Texts, or pairs of texts, without labels -> batches for `model.predict`, and the way back to their order.

    All are tokenized here and now, so that the longest come first and each batch holds texts of one length, more or
    less: none is padded far, and a batch too large for the memory fails at once.

    Returns:
        A dataset of `pack`'s three tensors, int32 [B, T]; and `back`, int64 [N]: `model.predict(dataset)[back]` holds
        the answer to `texts[i]` at i.

    Raises:
        ValueError: max_length over the model's positions; another number of pairs than of texts.
    """
    if pairs is not None and len(pairs) != len(texts):
        raise ValueError(f"pairs holds the second text of each pair; got {len(pairs)} for {len(texts)} texts.")
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    columns = [tf.constant(column, tf.string) for column in (texts, pairs) if column is not None]  # [N] each
    segments = [tokenize_all(column, wordpiece, max_length) for column in columns]
    longest_first = tf.argsort(packed_lengths(segments, max_length), direction="DESCENDING", stable=True)  # [N]

    @plain
    def batch(start):
        chosen = longest_first[start : start + batch_size]  # [B]
        return pack([tf.gather(ids, chosen) for ids in segments], wordpiece, max_length)

    dataset = tf.data.Dataset.range(0, len(texts), batch_size).map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return dataset, np.argsort(longest_first.numpy(), kind="stable")


def text_batches(
    columns: Sequence[Sequence[str]],
    labels: tf.Tensor,
    spec: dict,
    order: FileOrder | GroupedOrder,
    batch_size: int,
    max_length: int,
    epochs: range | None = None,
    window: int | None = None,
) -> tf.data.Dataset:
    """One or two columns of N texts, and labels [N, ...] -> batches of (inputs, labels [B, ...]) in this order.

    The arguments are those of `classification`, which says what a window is.
    """
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    columns = [tf.constant(column, tf.string) for column in columns]
    if window is not None:
        rows = window_rows(columns, labels, wordpiece, max_length, window)
        return row_batches(rows, wordpiece, order, batch_size, max_length, with_text_ids, epochs)
    count, window_size = len(labels), WINDOW_BATCHES * batch_size

    @plain
    def number_windows(epoch):
        return tf.data.Dataset.range(-(-count // window_size)).map(plain(lambda window: (epoch, window)))

    @plain
    def tokenize(epoch, window):
        places = tf.range(window * window_size, tf.minimum((window + 1) * window_size, count))  # [W]
        examples = order.examples(epoch, places, count)
        segments = tuple(wordpiece.tokenize(tf.gather(column, examples)) for column in columns)  # [W, (T)] each
        rows, starts = order.cut(epoch, window, packed_lengths(segments, max_length), batch_size)
        return segments, tf.gather(labels, examples), rows, starts

    @plain
    def cut(segments, labels, rows, starts):
        @plain
        def batch(start):
            chosen = rows[start : start + batch_size]  # [B]
            return pack([tf.gather(ids, chosen) for ids in segments], wordpiece, max_length), tf.gather(labels, chosen)

        return tf.data.Dataset.from_tensor_slices(starts).map(batch)

    batches = order.epochs(epochs).flat_map(number_windows).map(tokenize, tf.data.AUTOTUNE).flat_map(cut)
    steps = -(-count // batch_size) * (1 if epochs is None else len(epochs))
    return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)
