"""Row batches: rows of token ids, cut to size beforehand, and what goes with them -> what `model.fit` takes.

For tasks whose rows are not their examples: windows of long texts, a row for each choice. Rows are tokenized once and
stay in memory.

R rows, B rows of a batch, T tokens of the batch's longest row, W rows of a window: what is grouped by length at once.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from pipelines.orders import WINDOW_BATCHES, FileOrder, GroupedOrder
from pipelines.packing import pack, packed_lengths
from pipelines.wordpiece import WordPiece

plain = tf.autograph.experimental.do_not_convert  # no Python `if` or loop here is on a tensor: tracing takes a tenth


class Rows(NamedTuple):
    """Token ids of all rows and what else belongs to them.

    segments: one or two RaggedTensor int32 [R, (A)], without special tokens, short enough to be packed uncut.
    targets: name -> Tensor [R, ...] or RaggedTensor [R, (N)].
    """

    segments: tuple[tf.RaggedTensor, ...]
    targets: Mapping[str, tf.Tensor | tf.RaggedTensor]


def row_batches(
    rows: Rows,
    wordpiece: WordPiece,
    order: FileOrder | GroupedOrder,
    batch_size: int,
    max_length: int,
    finish: Callable[[dict, dict], tuple],
    epochs: range | None = None,
) -> tf.data.Dataset:
    """Rows -> batches of `finish(inputs, targets)`, in this order, rows of like length together where it groups.

    Args:
        rows: see `Rows`.
        wordpiece: whose special tokens are used.
        order: of the rows.
        batch_size: rows in a batch; the last of an epoch may have fewer.
        max_length: most tokens of a row, special tokens included.
        finish: (`pack`'s three tensors int32 [B, T], the targets of these rows by name) -> (inputs, labels) or
            (inputs, labels, weights); a graph function.
        epochs: as in `pipelines.classification`.

    Returns:
        A dataset of known cardinality.
    """

    @plain
    def build(chosen):
        inputs = pack([tf.gather(ids, chosen) for ids in rows.segments], wordpiece, max_length)
        return finish(inputs, {name: tf.gather(target, chosen) for name, target in rows.targets.items()})

    return index_batches(packed_lengths(rows.segments, max_length), order, batch_size, build, epochs)


def index_batches(
    lengths: tf.Tensor,
    order: FileOrder | GroupedOrder,
    batch_size: int,
    build: Callable[[tf.Tensor], tuple],
    epochs: range | None = None,
) -> tf.data.Dataset:
    """Numbers of examples in this order, cut into batches -> what `build` makes of them.

    Args:
        lengths: of the R examples, int64 [R], which like ones share a batch by.
        build: numbers of the examples of a batch, int64 [B] -> the batch; a graph function.
        order, batch_size, epochs: as in `row_batches`.

    Returns:
        A dataset of known cardinality.
    """
    count, window_size = len(lengths), WINDOW_BATCHES * batch_size

    @plain
    def number_windows(epoch):
        return tf.data.Dataset.range(-(-count // window_size)).map(plain(lambda window: (epoch, window)))

    @plain
    def arrange(epoch, window):
        places = tf.range(window * window_size, tf.minimum((window + 1) * window_size, count))  # [W]
        chosen = order.examples(epoch, places, count)  # [W]
        arranged, starts = order.cut(epoch, window, tf.gather(lengths, chosen), batch_size)
        return tf.gather(chosen, arranged), starts

    @plain
    def cut(chosen, starts):
        return tf.data.Dataset.from_tensor_slices(starts).map(plain(lambda start: chosen[start : start + batch_size]))

    numbers = order.epochs(epochs).flat_map(number_windows).map(arrange).flat_map(cut)
    steps = -(-count // batch_size) * (1 if epochs is None else len(epochs))
    batches = numbers.map(plain(build), tf.data.AUTOTUNE).apply(tf.data.experimental.assert_cardinality(steps))
    return batches.prefetch(tf.data.AUTOTUNE)


def open_wordpiece(spec: Mapping, batch_size: int, max_length: int) -> WordPiece:
    """The tokenizer of a model, `model.tokenizer_spec`, once the sizes asked for are known to fit it.

    Raises:
        ValueError: max_length over the model's positions, batch_size below 1; and what `WordPiece` raises.
    """
    if max_length > spec["max_positions"]:
        limit = spec["max_positions"]
        raise ValueError(f"max_length is at most {limit} for this model; got {max_length}. Lower it.")
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}.")
    return WordPiece.from_spec(spec)


def tokenize_all(column: tf.Tensor, wordpiece: WordPiece, max_length: int | None = None) -> tf.RaggedTensor:
    """Texts, string [N] -> ids int32 [N, (T)], cut to `max_length`; a thousand at a time, on all cores."""
    if not len(column):
        return tf.RaggedTensor.from_row_lengths(tf.constant([], tf.int32), tf.constant([], tf.int64))
    texts = tf.data.Dataset.from_tensor_slices(column).batch(1000)
    parts = texts.map(plain(lambda batch: wordpiece.tokenize(batch)[:, :max_length]), tf.data.AUTOTUNE)
    return tf.concat(list(parts), axis=0)
