"""Rows: examples, as ranges of a window's tokens, -> the dense tensors that BERT reads, `[CLS] a [SEP] b [SEP]`.

One example a row, or several, which then must not see one another: `input_example_ids` tells them apart (Krell et al.
2021). Every cell says which token of the window it shows, so that masking knows its words, and one gather shows them.

E examples, N tokens of the window, R rows of T cells, S examples in a row at most, K streams of W rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from pipelines.examples import Examples
    from pipelines.wordpiece import WordPiece

STEPS = 384  # examples that a stream places one after the other, about: more fill rows better and take longer
FEWEST_ROWS = 10  # of a stream, about; the last one of each stays half empty


def fill_rows(examples: Examples, tokens: tf.Tensor, wordpiece: WordPiece, max_length: int) -> dict[str, tf.Tensor]:
    """One example a row, [CLS] a [SEP] b [SEP], or [CLS] a [SEP] where its second segment is empty.

    Args:
        examples: of E ranges of the tokens.
        tokens: int32 [N], the ids of the window.
        wordpiece: whose `cls_id`, `sep_id` and `pad_id` are used.
        max_length: T, static; no example may have more tokens, special ones included.

    Returns:
        `input_word_ids`, `input_mask` (1 = a token), `input_type_ids` (1 = second segment and its [SEP]), int32 [E, T];
        `sources`, int64 [E, T], the place of each token in `tokens`, -1 for special tokens and padding;
        `next_sentence_labels`, int32 [E].

    Raises:
        tf.errors.InvalidArgumentError: an example is longer than max_length.

    >>> from pipelines import WordPiece
    >>> from pipelines.examples import Examples
    >>> wordpiece = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "sat"])
    >>> pair = Examples(*tf.constant([[0], [2], [2], [3]], tf.int64), labels=tf.constant([0]))
    >>> fill_rows(pair, tf.constant([4, 5, 6]), wordpiece, 8)["input_word_ids"].numpy().tolist()
    [[2, 4, 5, 3, 6, 3, 0, 0]]
    """
    middle, end = _separators(examples, max_length)
    place = tf.range(max_length, dtype=tf.int64)[tf.newaxis]  # [1, T]
    columns = [values[:, tf.newaxis] for values in (examples.first_starts, examples.second_starts, middle, end)]
    rows = _show(place, *columns, tokens, wordpiece)
    return rows | {"next_sentence_labels": examples.labels}


def pack_rows(
    examples: Examples,
    tokens: tf.Tensor,
    wordpiece: WordPiece,
    max_length: int,
    max_examples: int | None = None,
) -> dict[str, tf.Tensor]:
    """Several examples a row, each as `fill_rows` shows it, one after the other; all padding is at the row's end.

    Args:
        examples, tokens, wordpiece, max_length: as for `fill_rows`.
        max_examples: S, the most examples in a row; None is max_length // 8, and 1 at least.

    Returns:
        `input_word_ids`, `input_mask`, `input_type_ids`, `sources`, [R, T], as of `fill_rows`;
        `input_example_ids`, int32 [R, T], the number of the example in its row, from 1; 0 is padding;
        `first_positions`, int32 [R, S], where the [CLS] of each example stands, 0 where there is none;
        `next_sentence_labels`, int32 [R, S], and `next_sentence_weights`, float32 [R, S], 1 where there is an example.

    Raises:
        ValueError: max_examples is not positive.
        tf.errors.InvalidArgumentError: an example is longer than max_length.
    """
    most = max(max_length // 8, 1) if max_examples is None else max_examples
    if most < 1:
        raise ValueError(f"max_examples is a number of examples in a row, 1 or more; got {max_examples}.")
    middle, end = _separators(examples, max_length)
    row, slot, offset, order = _arrange(end + 1, max_length, most)
    num_rows = tf.reduce_max(tf.concat([row + 1, [0]], 0))

    by_cell, by_slot = row * max_length + offset, tf.stack([row, slot], 1)
    begins = tf.scatter_nd(by_cell[:, tf.newaxis], tf.ones_like(row), [num_rows * max_length])
    example = tf.cumsum(begins) - 1  # [R * T], in the rows' order; padding counts to the example before it
    place = tf.range(num_rows * max_length) - tf.gather(by_cell, example)
    sorted_examples = (examples.first_starts, examples.second_starts, middle, end)
    cells = [tf.gather(tf.gather(values, order), example) for values in sorted_examples]
    shown = _show(place, *cells, tokens, wordpiece)
    shown["input_example_ids"] = tf.cast(tf.gather(slot, example) + 1, tf.int32) * shown["input_mask"]
    rows = {name: tf.reshape(values, [-1, max_length]) for name, values in shown.items()}

    def by_example(values, dtype):
        return tf.ensure_shape(tf.scatter_nd(by_slot, tf.cast(values, dtype), [num_rows, most]), [None, most])

    return rows | {
        "first_positions": by_example(offset, tf.int32),
        "next_sentence_labels": by_example(tf.gather(examples.labels, order), tf.int32),
        "next_sentence_weights": by_example(tf.ones_like(order), tf.float32),
    }


def _separators(examples: Examples, max_length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Places of the first and of the last [SEP] in each example, int64 [E]; without a second segment it is the same."""
    middle = examples.first_ends - examples.first_starts + 1
    second = examples.second_ends - examples.second_starts
    end = middle + tf.where(second > 0, second + 1, 0)
    tf.debugging.assert_less(
        end,
        tf.constant(max_length, tf.int64),
        f"An example has at most max_length tokens, here {max_length}. Make examples with the same max_length.",
    )
    return middle, end


def _show(place, first_start, second_start, middle, end, tokens: tf.Tensor, wordpiece: WordPiece):
    """What cells show: `place` in their example and what is known of that one, int64, broadcast together."""
    is_token = place <= end
    is_word = is_token & (place > 0) & (place != middle) & (place != end)
    source = place - 1 + tf.where(place < middle, first_start, second_start - middle)
    source = tf.where(is_word, source, tf.constant(-1, tf.int64))
    specials = tf.constant([wordpiece.pad_id, wordpiece.cls_id, wordpiece.sep_id], tokens.dtype)
    special = tf.where(is_token, tf.where(place > 0, specials[2], specials[1]), specials[0])
    words = tf.gather(tf.concat([specials[:1], tokens], 0), source + 1)
    return {
        "input_word_ids": tf.where(is_word, words, special),
        "input_mask": tf.cast(is_token, tf.int32),
        "input_type_ids": tf.cast(is_token & (place > middle), tf.int32),
        "sources": source,
    }


def _arrange(sizes: tf.Tensor, max_length: int, most: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Which example stands where: sizes int64 [E] -> row, number in the row, first cell, example; int64 [E] each.

    In the order of the cells. Rows are numbered from 0 and none is empty.
    """
    number = tf.size(sizes, tf.int64)
    found = _best_fit(sizes, max_length, most)
    order = tf.argsort(found, stable=True)
    found, sizes = tf.gather(found, order), tf.gather(sizes, order)
    is_first = tf.concat([[True], found[1:] != found[:-1]], 0)[:number]
    row = tf.cumsum(tf.cast(is_first, tf.int64)) - 1
    firsts = tf.gather(tf.where(is_first)[:, 0], row)
    before = tf.cumsum(sizes, exclusive=True)
    return row, tf.range(number) - firsts, before - tf.gather(before, firsts), tf.cast(order, tf.int64)


def _best_fit(sizes: tf.Tensor, max_length: int, most: int) -> tf.Tensor:
    """A row for each example, int64 [E], numbered with gaps.

    Examples are dealt to streams, which go on side by side: at each step every stream puts its next example into that
    of its rows in which the fewest cells remain.
    """
    number = tf.size(sizes)
    streams = tf.minimum(-(-number // STEPS), tf.cast(tf.reduce_sum(sizes), tf.int32) // (FEWEST_ROWS * max_length))
    streams = tf.maximum(streams, 1)
    steps = tf.maximum(-(-number // streams), 1)
    dealt = tf.pad(tf.cast(sizes, tf.int32), [[0, steps * streams - number]])
    dealt = tf.reshape(dealt, [steps, streams, 1])
    # Of two rows that are not closed for their number of examples, the later one did not fit into the other.
    width = 2 * tf.reduce_max(tf.reduce_sum(dealt, 0)) // max_length + steps // most + 2

    def place(step, free, slots, chosen):
        size = dealt[step]  # [K, 1]
        fits = (free >= size) & (slots > 0)
        best = tf.argmin(tf.where(fits, free, max_length + 1), 1, tf.int32)  # [K]
        taken = tf.one_hot(best, width, dtype=tf.int32)  # [K, W]
        return step + 1, free - taken * size, slots - taken, chosen.write(step, best)

    free = tf.fill([streams, width], max_length)
    chosen = tf.TensorArray(tf.int32, steps, element_shape=[None])
    start = (0, free, tf.fill(tf.shape(free), most), chosen)
    *_, chosen = tf.while_loop(lambda step, *_: step < steps, place, start)
    row = chosen.stack() + tf.range(streams) * width  # [steps, K]
    return tf.cast(tf.reshape(row, [-1])[:number], tf.int64)
