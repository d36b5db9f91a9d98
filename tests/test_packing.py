"""Laws of packing: layout, mask, type ids, truncation as Google's loop does it, and few graph operations."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.packing import pack, pack_to_length, packed_lengths, shared_room

SPECIALS = {
    "usual": SimpleNamespace(pad_id=0, cls_id=2, sep_id=3),
    "padding is not entry 0": SimpleNamespace(pad_id=7, cls_id=0, sep_id=1),
    "[SEP] is entry 0": SimpleNamespace(pad_id=1, cls_id=2, sep_id=0),
}
FIRST = [[11, 12, 13, 14, 15], [], [16], [17, 18, 0]]
SECOND = [[21], [22, 23, 24], [], [25, 26, 27, 28, 29, 30, 31]]


def ragged(rows, splits=tf.int64):
    return tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1, row_splits_dtype=splits)


def truncate_by_popping(first, second, room):
    """The published loop: pop from the longer, ties from the second."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


def expected(rows, wordpiece, max_length, width=None):
    """Packing in Python, one row at a time; rows are [first] or [first, second]."""
    packed = []
    for texts in rows:
        single = len(texts) == 1
        texts = [texts[0][: max_length - 2]] if single else truncate_by_popping(*texts, max_length - 3)
        ids, types = [wordpiece.cls_id], [0]
        for number, words in enumerate(texts):
            ids += [*words, wordpiece.sep_id]
            types += [number] * (len(words) + 1)
        packed.append((ids, types))
    width = width or max((len(ids) for ids, _ in packed), default=0)
    fill = [(width - len(ids)) for ids, _ in packed]
    return {
        "input_word_ids": [i + [wordpiece.pad_id] * n for (i, _), n in zip(packed, fill, strict=True)],
        "input_mask": [[1] * len(i) + [0] * n for (i, _), n in zip(packed, fill, strict=True)],
        "input_type_ids": [t + [0] * n for (_, t), n in zip(packed, fill, strict=True)],
    }


def assert_packed(got, wanted):
    assert list(got) == ["input_word_ids", "input_mask", "input_type_ids"]
    for name, rows in wanted.items():
        assert got[name].dtype == tf.int32
        np.testing.assert_array_equal(got[name].numpy(), np.array(rows, np.int32), err_msg=name)


@pytest.mark.parametrize("splits", [tf.int32, tf.int64])
@pytest.mark.parametrize("max_length", [3, 4, 6, 7, 30])
@pytest.mark.parametrize("wordpiece", SPECIALS.values(), ids=SPECIALS)
def test_one_text_is_cls_words_sep(wordpiece, max_length, splits):
    assert_packed(
        pack([ragged(FIRST, splits)], wordpiece, max_length), expected([[a] for a in FIRST], wordpiece, max_length)
    )


@pytest.mark.parametrize("splits", [tf.int32, tf.int64])
@pytest.mark.parametrize("max_length", [4, 5, 8, 9, 30])
@pytest.mark.parametrize("wordpiece", SPECIALS.values(), ids=SPECIALS)
def test_pair_is_cls_first_sep_second_sep(wordpiece, max_length, splits):
    rows = list(zip(FIRST, SECOND, strict=True))
    packed = pack([ragged(FIRST, splits), ragged(SECOND, splits)], wordpiece, max_length)
    assert_packed(packed, expected(rows, wordpiece, max_length))


def test_pairs_share_room_as_popping_one_by_one_would():
    for first, second, room in itertools.product(range(9), range(9), range(1, 13)):
        popped = truncate_by_popping(range(first), range(second), room)
        got = [int(n) for n in shared_room(tf.constant(first), tf.constant(second), room)]
        assert got == [len(words) for words in popped], (first, second, room)


@pytest.mark.parametrize("length", [6, 7, 15])
@pytest.mark.parametrize("pair", [False, True])
def test_pack_to_length_is_static_and_exact(length, pair):
    wordpiece = SPECIALS["usual"]
    rows = list(zip(FIRST, SECOND, strict=True)) if pair else [[a] for a in FIRST]

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)] * (1 + pair))
    def packer(*segments):
        packed = pack_to_length(segments, wordpiece, length)
        assert all(value.shape.as_list() == [None, length] for value in packed.values())
        return packed

    segments = [ragged(FIRST), ragged(SECOND)][: 1 + pair]
    assert_packed(packer(*segments), expected(rows, wordpiece, length, width=length))


@pytest.mark.parametrize("pair", [False, True])
def test_no_rows_and_rows_without_words_are_fine(pair):
    wordpiece, number = SPECIALS["usual"], 1 + pair
    none = pack([ragged([])] * number, wordpiece, 9)
    assert all(value.shape[0] == 0 for value in none.values())
    empty = pack([ragged([[], []])] * number, wordpiece, 9)
    assert empty["input_word_ids"].numpy().tolist() == [[2] + [3] * number] * 2


@pytest.mark.parametrize("pair", [False, True])
def test_packed_lengths_are_the_sums_of_the_mask(pair):
    segments = [ragged(FIRST), ragged(SECOND)][: 1 + pair]
    mask = pack(segments, SPECIALS["usual"], 8)["input_mask"]
    np.testing.assert_array_equal(packed_lengths(segments, 8), mask.numpy().sum(axis=1))


@pytest.mark.parametrize(("pair", "most"), [(False, 10), (True, 45)])
def test_packing_takes_few_graph_operations(pair, most):
    signature = [tf.RaggedTensorSpec([None, None], tf.int32)] * (1 + pair)
    function = tf.function(lambda *segments: pack(segments, SPECIALS["usual"], 8), input_signature=signature)
    free = {"Const", "Placeholder", "Identity", "NoOp"}
    operations = [op.type for op in function.get_concrete_function().graph.get_operations() if op.type not in free]
    assert len(operations) <= most, operations


@pytest.mark.parametrize(
    ("segments", "max_length", "message"),
    [
        ([], 8, "got 0 segments"),
        ([FIRST, FIRST, FIRST], 8, "got 3 segments"),
        ([FIRST], 2, "max_length must be over 2.*got 2"),
        ([FIRST, SECOND], 3, "max_length must be over 3.*got 3"),
    ],
)
def test_impossible_packing_is_refused(segments, max_length, message):
    with pytest.raises(ValueError, match=message):
        pack([ragged(rows) for rows in segments], SPECIALS["usual"], max_length)


def test_a_bare_ragged_tensor_is_refused():
    with pytest.raises(ValueError, match="got one RaggedTensor"):
        pack(ragged(FIRST), SPECIALS["usual"], 8)
