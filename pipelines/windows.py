"""Windows: texts of more tokens than a model has, as overlapping pieces that it can read.

B texts, N tokens of a text, W windows of all texts, n tokens of a window.

The spans are those of google-research/bert `run_squad.py` (`doc_stride`); which window a token is read in follows its
`_check_is_max_context`, without the bonus for longer windows there.
"""

from typing import NamedTuple

import tensorflow as tf


class Windows(NamedTuple):
    """Windows of B texts, those of a text one after another.

    ids: RaggedTensor int32 [W, (n)]; owners: int32 [W], which text; starts: int32 [W], the place among the text's
    tokens where the window starts.
    """

    ids: tf.RaggedTensor
    owners: tf.Tensor
    starts: tf.Tensor


def windows(ids: tf.RaggedTensor, room: int | tf.Tensor, stride: int) -> Windows:
    """Cuts texts into windows of at most `room` tokens; a graph function.

    A text that fits is one window, an empty text is an empty one. In others a window starts every min(stride, room)
    tokens, and the last is the first that reaches the end of the text.

    Args:
        ids: int32 [B, (N)], without special tokens.
        room: most tokens of a window, 1 at least; or int32 [B], for each text its own, where less than 1 counts as 1.
        stride: tokens from the start of one window to the start of the next, 1 at least; over `room`, it is `room`.

    >>> cut = windows(tf.ragged.constant([[1, 2, 3, 4, 5], [], [6]], tf.int32), room=3, stride=2)
    >>> cut.ids.to_list(), cut.owners.numpy().tolist(), cut.starts.numpy().tolist()
    ([[1, 2, 3], [3, 4, 5], [], [6]], [0, 0, 1, 2], [0, 2, 0, 0])

    Raises:
        ValueError: a room or a stride below 1.
    """
    for name, value in (("room", room), ("stride", stride)):
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{name} is a number of tokens, 1 at least; got {value}. Half the room is a usual stride.")
    lengths = tf.cast(ids.row_lengths(), tf.int32)  # [B]
    room = tf.broadcast_to(tf.maximum(tf.cast(room, tf.int32), 1), tf.shape(lengths))  # [B]
    step = tf.minimum(tf.cast(stride, tf.int32), room)  # [B]
    more = tf.maximum(lengths - room, 0)  # tokens that the first window leaves
    counts = 1 + (more + step - 1) // step  # [B]
    owners = tf.repeat(tf.range(tf.size(counts)), counts)  # [W]
    number = tf.range(tf.size(owners)) - tf.gather(tf.cumsum(counts, exclusive=True), owners)  # [W], in its text
    starts = number * tf.gather(step, owners)  # [W]
    sizes = tf.minimum(tf.gather(lengths, owners) - starts, tf.gather(room, owners))  # [W]
    dtype = ids.row_splits.dtype
    first = tf.gather(ids.row_splits[:-1], owners) + tf.cast(starts, dtype)  # [W], places among the flat tokens
    places = tf.ragged.range(first, first + tf.cast(sizes, dtype), row_splits_dtype=dtype)  # [W, (n)]
    return Windows(places.with_flat_values(tf.gather(ids.values, places.values)), owners, starts)


def most_context(windows: Windows) -> tf.RaggedTensor:
    """Whether a window shows a token with the most context: bool [W, (n)], true once for each token of each text.

    The context of a token in a window is how many tokens of the window stand on its lesser side. Among windows that
    show the same, the earlier one is taken. A graph function.

    >>> most_context(windows(tf.ragged.constant([[1, 2, 3, 4, 5]], tf.int32), room=3, stride=2)).to_list()
    [[True, True, True], [False, True, True]]
    """
    ids, owners, starts = windows
    sizes = tf.cast(ids.row_lengths(), tf.int32)  # [W]
    number = tf.size(sizes)
    window = tf.cast(ids.value_rowids(), tf.int32)  # [tokens], the window that each flat token stands in
    place = tf.range(tf.size(window)) - tf.gather(tf.cast(ids.row_splits, tf.int32), window)  # [tokens], in it
    context = tf.minimum(place, tf.gather(sizes, window) - 1 - place)
    rank = tf.cast(context, tf.int64) * tf.cast(number, tf.int64) + tf.cast(number - 1 - window, tf.int64)
    lengths = tf.math.segment_max(starts + sizes, owners)  # [B], tokens of each text
    before = tf.gather(tf.cumsum(lengths, exclusive=True), owners) + starts  # [W], tokens of all texts before a window
    token = tf.gather(before, window) + place  # [tokens], its number among the tokens of all texts
    best = tf.math.unsorted_segment_max(rank, token, tf.reduce_sum(lengths))
    return ids.with_flat_values(rank == tf.gather(best, token))
