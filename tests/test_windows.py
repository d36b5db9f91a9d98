"""Laws of windows: Google's document spans, every token read, each once with the most context, the same in graphs."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.windows import most_context, windows

SIZES = [(1, 1), (2, 1), (3, 2), (4, 4), (5, 9), (7, 3), (60, 11)]  # room, stride


def texts(seed=0, most=23):
    """Ragged ids of 13 texts of 0 to 22 tokens, all ids different; an empty text first and last."""
    lengths = np.random.default_rng(seed).integers(0, most, 13)
    lengths[[0, -1]] = 0
    return tf.RaggedTensor.from_row_lengths(tf.range(100, 100 + lengths.sum(), dtype=tf.int32), lengths)


def spans(length, room, stride):
    """The rule as run_squad.py tells it: (start, size) of each window of a text."""
    found, start = [], 0
    while True:
        size = min(length - start, room)
        found.append((start, size))
        if start + size == length:
            return found
        start += min(size, stride)


def told(ids, rooms, stride):
    """What `windows` should give, in Python lists."""
    rows, owners, starts = [], [], []
    for text, (tokens, room) in enumerate(zip(ids.to_list(), rooms, strict=True)):
        for start, size in spans(len(tokens), room, stride):
            rows.append(tokens[start : start + size])
            owners.append(text)
            starts.append(start)
    return rows, owners, starts


def as_lists(cut):
    return cut.ids.to_list(), cut.owners.numpy().tolist(), cut.starts.numpy().tolist()


@pytest.mark.parametrize("room, stride", SIZES)
def test_windows_are_the_spans_of_run_squad(room, stride):
    ids = texts()
    assert as_lists(windows(ids, room, stride)) == told(ids, [room] * 13, stride)


def test_each_text_may_have_its_own_room():
    ids, rooms = texts(), [3, 5, 1, 2, 40, 7, 4, 6, 2, 9, 3, 5, 8]
    assert as_lists(windows(ids, tf.constant(rooms), 4)) == told(ids, rooms, 4)
    none = windows(ids, tf.constant([0] * 13), 4)
    assert as_lists(none) == told(ids, [1] * 13, 4)


@pytest.mark.parametrize("room, stride", SIZES)
def test_each_token_is_shown_once_with_the_most_context(room, stride):
    ids = texts(seed=3)
    cut = windows(ids, room, stride)
    owners, starts, rows = cut.owners.numpy(), cut.starts.numpy(), cut.ids.to_list()
    right = []
    for window, row in enumerate(rows):
        right.append([])
        for place in range(len(row)):
            token = starts[window] + place
            shows = {  # window -> context on the lesser side
                other: min(token - starts[other], starts[other] + len(rows[other]) - 1 - token)
                for other in np.flatnonzero(owners == owners[window]).tolist()
                if starts[other] <= token < starts[other] + len(rows[other])
            }
            right[-1].append(window == max(shows, key=lambda other: (shows[other], -other)))
    shown = most_context(cut)
    assert shown.to_list() == right
    assert tf.ragged.boolean_mask(cut.ids, shown).flat_values.numpy().tolist() == ids.flat_values.numpy().tolist()


def test_the_same_inside_tf_data_and_a_saved_model(tmp_path):
    ids = texts()
    right = [*as_lists(windows(ids, 5, 3)), most_context(windows(ids, 5, 3)).to_list()]

    def cut(values, splits):
        found = windows(tf.RaggedTensor.from_row_splits(values, splits), 5, 3)
        return [found.ids, found.owners, found.starts, most_context(found)]

    mapped = next(iter(tf.data.Dataset.from_tensors((ids.values, ids.row_splits)).map(cut)))
    assert [part.to_list() if hasattr(part, "to_list") else part.numpy().tolist() for part in mapped] == right
    module = tf.Module()
    specs = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int64)]
    dense = tf.function(lambda *given: [cut(*given)[0].to_tensor(-1), *cut(*given)[1:3]], input_signature=specs)
    module.cut = dense
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model")).cut(ids.values, ids.row_splits)
    for tensor, expected in zip(loaded, dense(ids.values, ids.row_splits), strict=True):
        np.testing.assert_array_equal(tensor, expected)
    assert loaded[1].numpy().tolist() == right[1]


def test_no_texts_have_no_windows_and_an_empty_text_has_one():
    none = tf.RaggedTensor.from_row_lengths(tf.constant([], tf.int32), tf.constant([], tf.int64))
    assert as_lists(windows(none, 4, 2)) == ([], [], [])
    assert most_context(windows(none, 4, 2)).to_list() == []
    empty = windows(tf.ragged.constant([[]], tf.int32, ragged_rank=1), 4, 2)
    assert as_lists(empty) == ([[]], [0], [0])


@pytest.mark.parametrize("room, stride, wrong", [(0, 1, "room"), (3, 0, "stride"), (3, -2, "stride")])
def test_sizes_below_one_are_refused(room, stride, wrong):
    with pytest.raises(ValueError, match=f"{wrong} is a number of tokens, 1 at least; got"):
        windows(texts(), room, stride)
