"""Laws of row batches: every row once with its own targets, little padding, epochs a function of the seed."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import row_batches as module
from pipelines.orders import FileOrder, GroupedOrder
from pipelines.row_batches import Rows, open_wordpiece, row_batches, tokenize_all

B, T = 3, 16  # rows of a batch, most tokens of a row; windows of 2 batches


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(module, "WINDOW_BATCHES", 2)


def rows(count, pairs=False):
    """Rows of 0 to 8 words; a number of each row, and a ragged target of as many entries as the row has words."""
    lengths = [5 * i % 9 for i in range(count)]
    words = tf.ragged.constant([[5 + (i + j) % 15 for j in range(n)] for i, n in enumerate(lengths)], tf.int32, 1)
    second = tf.ragged.constant([[7, 8][: i % 3] for i in range(count)], tf.int32, 1)
    marks = tf.ragged.constant([[100 * i + j for j in range(n)] for i, n in enumerate(lengths)], tf.int32, 1)
    return Rows((words, second) if pairs else (words,), {"number": tf.range(count), "marks": marks})


def finish(inputs, targets):
    return inputs, targets["number"], targets["marks"].to_tensor(-1)


def contents(data):
    """Batches of (ids without padding, number, marks) of rows."""
    found = []
    for inputs, numbers, marks in data.as_numpy_iterator():
        lengths = inputs["input_mask"].sum(1)
        ids = [tuple(row[:n].tolist()) for row, n in zip(inputs["input_word_ids"], lengths, strict=True)]
        kept = [tuple(row[row >= 0].tolist()) for row in marks]
        found.append(list(zip(ids, numbers.tolist(), kept, strict=True)))
    return found


def flat(batches):
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("count", [1, 3, 7, 20])
@pytest.mark.parametrize("order", [FileOrder(), GroupedOrder(5)], ids=["file", "grouped"])
@pytest.mark.parametrize("pairs", [False, True])
def test_every_row_comes_once_with_its_own_targets(count, order, pairs, tiny_spec):
    wordpiece, given = open_wordpiece(tiny_spec, B, T), rows(count, pairs)
    data = row_batches(given, wordpiece, order, B, T, finish)
    found = contents(data)
    assert [len(batch) for batch in found] == [B] * (count // B) + [count % B] * (count % B > 0)
    assert int(data.cardinality()) == len(found)
    cls, sep = [wordpiece.cls_id], [wordpiece.sep_id]
    columns = zip(*(segment.to_list() for segment in given.segments), strict=True)
    packed = [tuple(cls + sum((words + sep for words in row), [])) for row in columns]
    marks = [tuple(row) for row in given.targets["marks"].to_list()]
    right = list(zip(packed, range(count), marks, strict=True))
    assert sorted(flat(found), key=lambda row: row[1]) == right
    if order == FileOrder():
        assert flat(found) == right


def test_rows_of_like_length_share_a_batch_in_random_order(tiny_spec, monkeypatch):
    monkeypatch.setattr(module, "WINDOW_BATCHES", 100)
    found = contents(row_batches(rows(63), open_wordpiece(tiny_spec, 7, T), GroupedOrder(5), 7, T, finish))
    lengths = [[len(ids) for ids, *_ in batch] for batch in found]
    assert sum(max(batch) - min(batch) for batch in lengths) <= max(map(max, lengths)) - min(map(min, lengths))
    longest = [max(batch) for batch in lengths]
    assert longest != sorted(longest)


def test_each_iteration_is_the_epoch_that_a_range_names(tiny_spec):
    wordpiece = open_wordpiece(tiny_spec, B, T)
    plain = row_batches(rows(20), wordpiece, GroupedOrder(5), B, T, finish)
    iterations = [contents(plain) for _ in range(3)]
    assert iterations[0] != iterations[1] != iterations[2] != iterations[0]
    named = row_batches(rows(20), wordpiece, GroupedOrder(5), B, T, finish, range(1, 3))
    assert contents(named) == contents(named) == iterations[1] + iterations[2]
    assert int(named.cardinality()) == 2 * int(plain.cardinality())
    other = row_batches(rows(20), wordpiece, GroupedOrder(6), B, T, finish)
    assert contents(other) != iterations[0]


def test_thousands_of_texts_are_tokenized_in_their_order(tiny_spec):
    wordpiece = open_wordpiece(tiny_spec, B, T)
    texts = tf.constant(["the cat sat . " * (i % 4) for i in range(2003)])
    ids = tokenize_all(texts, wordpiece)
    np.testing.assert_array_equal(ids.row_lengths(), [4 * (i % 4) for i in range(2003)])
    assert tokenize_all(texts, wordpiece, 5).to_list() == [row[:5] for row in ids.to_list()]
    assert tokenize_all(texts[:0], wordpiece).to_list() == []


@pytest.mark.parametrize("sizes, wrong", [((B, 33), "max_length is at most 32"), ((0, T), "batch_size is at least 1")])
def test_sizes_that_do_not_fit_the_model_are_refused(sizes, wrong, tiny_spec):
    with pytest.raises(ValueError, match=wrong):
        open_wordpiece(tiny_spec, *sizes)
