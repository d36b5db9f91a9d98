"""Laws of rows: layout, sources, labels; packed rows hold every example once, as it is alone, and little padding."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines import WordPiece, read_classification
from pipelines.examples import Examples, Sentences, full_sentences
from pipelines.rows import fill_rows, pack_rows

T, N = 24, 307
SPECIALS = {
    "usual": SimpleNamespace(pad_id=0, cls_id=2, sep_id=3),
    "padding is not entry 0": SimpleNamespace(pad_id=7, cls_id=0, sep_id=1),
}
USUAL = SPECIALS["usual"]
TOKENS = tf.constant(1000 + np.arange(N), tf.int32)
SHOWN = ("input_word_ids", "input_mask", "input_type_ids", "sources")


def as_examples(first, second, labels=None) -> Examples:
    """Lists of (start, end) -> Examples."""
    starts_and_ends = np.array([first, second], np.int64).reshape(2, len(first), 2)
    labels = np.arange(len(first)) % 2 if labels is None else labels
    columns = (starts_and_ends[0, :, 0], starts_and_ends[0, :, 1], starts_and_ends[1, :, 0], starts_and_ends[1, :, 1])
    return Examples(*map(tf.constant, columns), labels=tf.constant(labels, tf.int32))


def draw(number, seed=0, longest=T - 3, pairs=True) -> Examples:
    """Random examples of up to `longest` words, some of one segment."""
    rng = np.random.default_rng(seed)
    total = rng.integers(2, longest + 1, size=number)
    one = rng.integers(1, total)
    two = (total - one) * (rng.random(number) < (0.7 if pairs else 0))
    starts = [rng.integers(0, N - longest, size=number) for _ in range(2)]
    return as_examples(
        list(zip(starts[0], starts[0] + one, strict=True)), list(zip(starts[1], starts[1] + two, strict=True))
    )


CASES = {
    "mixed": draw(61),
    "single segments": draw(53, pairs=False),
    "small": draw(310, longest=4),
    "full": as_examples([(5, 18)] * 7, [(200, 208)] * 7),
    "never two in a row": as_examples([(4, 9)] * 95, [(50, 55)] * 95),
    "one": as_examples([(3, 9)], [(9, 11)]),
    "none": as_examples([], []),
    "many small among few large": as_examples([(0, 2)] * 70 + [(0, 20)] * 9, [(7, 7)] * 79),
}
every_case = pytest.mark.parametrize("examples", CASES.values(), ids=CASES)


def expected(examples, wordpiece):
    """What each example shows alone: ids, segments, places; one by one."""
    for first, end, second, last in zip(*(values.numpy().tolist() for values in examples[:4]), strict=True):
        words = [*range(first, end), -1, *range(second, last), *([-1] * (last > second))]
        specials = iter([wordpiece.sep_id] * 2)
        ids = [wordpiece.cls_id, *(1000 + word if word >= 0 else next(specials) for word in words)]
        types = [0] * (end - first + 2) + [1] * (last - second + (last > second))
        yield ids, types, [-1, *words]


@pytest.mark.parametrize("wordpiece", SPECIALS.values(), ids=SPECIALS)
@every_case
def test_a_row_is_cls_first_sep_second_sep_and_knows_its_sources(examples, wordpiece):
    rows = {name: values.numpy() for name, values in fill_rows(examples, TOKENS, wordpiece, T).items()}
    number = len(examples.labels)
    assert {name: (values.dtype.name, values.shape) for name, values in rows.items()} == {
        "input_word_ids": ("int32", (number, T)),
        "input_mask": ("int32", (number, T)),
        "input_type_ids": ("int32", (number, T)),
        "sources": ("int64", (number, T)),
        "next_sentence_labels": ("int32", (number,)),
    }
    np.testing.assert_array_equal(rows["next_sentence_labels"], examples.labels)
    for row, (ids, types, sources) in enumerate(expected(examples, wordpiece)):
        rest = T - len(ids)
        assert rows["input_word_ids"][row].tolist() == ids + [wordpiece.pad_id] * rest
        assert rows["input_mask"][row].tolist() == [1] * len(ids) + [0] * rest
        assert rows["input_type_ids"][row].tolist() == types + [0] * rest
        assert rows["sources"][row].tolist() == sources + [-1] * rest


@pytest.mark.parametrize("most", [None, 1, 5])
@every_case
def test_a_packed_row_shows_each_example_once_as_it_is_alone(examples, most):
    wordpiece = SPECIALS["padding is not entry 0"]
    rows = {name: values.numpy() for name, values in pack_rows(examples, TOKENS, wordpiece, T, most).items()}
    places, ids = rows["first_positions"], rows["input_example_ids"]
    assert places.shape[1] == rows["next_sentence_labels"].shape[1] == (most or 3)
    assert rows["next_sentence_weights"].dtype == np.float32 and rows["sources"].dtype == np.int64
    assert all(
        values.dtype == np.int32 for name, values in rows.items() if name not in ("next_sentence_weights", "sources")
    )
    got = []
    for row in range(len(ids)):
        number = ids[row].max()
        assert number >= 1  # no row is empty
        filled = (ids[row] > 0).sum()
        np.testing.assert_array_equal(rows["input_mask"][row], ids[row] > 0)
        np.testing.assert_array_equal(rows["input_word_ids"][row, filled:], wordpiece.pad_id)
        np.testing.assert_array_equal(rows["sources"][row, filled:], -1)
        assert not rows["input_type_ids"][row, filled:].any()
        assert not places[row, number:].any() and not rows["next_sentence_labels"][row, number:].any()
        assert rows["next_sentence_weights"][row].tolist() == [1] * number + [0] * (places.shape[1] - number)
        at = 0
        for slot in range(number):
            cells = slice(at, at + (ids[row] == slot + 1).sum())
            np.testing.assert_array_equal(ids[row, cells], slot + 1)
            assert places[row, slot] == at
            shown = [rows[name][row, cells].tolist() for name in ("input_word_ids", "input_type_ids", "sources")]
            got.append((*shown, int(rows["next_sentence_labels"][row, slot])))
            at = cells.stop
        assert at == filled
    wanted = [(*shown, int(label)) for shown, label in zip(expected(examples, wordpiece), examples.labels, strict=True)]
    assert sorted(got) == sorted(wanted)


def test_one_example_a_row_is_what_fill_rows_makes():
    alone, packed = (make(CASES["mixed"], TOKENS, USUAL, T) for make in (fill_rows, lambda *args: pack_rows(*args, 1)))
    for name in SHOWN:
        np.testing.assert_array_equal(np.sort(alone[name], axis=0), np.sort(packed[name], axis=0), err_msg=name)


def share_filled(examples, tokens, max_length, max_examples=None):
    mask = pack_rows(examples, tokens, USUAL, max_length, max_examples)["input_mask"].numpy()
    assert mask.sum() == int(sum(examples.first_ends - examples.first_starts + 2))
    return mask.mean()


def single(sizes):
    """Examples of one segment of so many words, one after the other."""
    borders = np.cumsum([0, *sizes])
    ranges = list(zip(borders[:-1], borders[1:], strict=True))
    return as_examples(ranges, [(0, 0)] * len(ranges)), tf.zeros([borders[-1]], tf.int32)


@pytest.mark.parametrize(
    ("mean", "max_length", "least"), [(11, 128, 0.96), (22, 128, 0.93), (40, 512, 0.93), (6, 64, 0.93)]
)
def test_packed_rows_are_nearly_full(mean, max_length, least):
    sizes = np.minimum(1 + np.random.default_rng(3).geometric(1 / mean, size=2900), max_length - 2)
    assert share_filled(*single(sizes), max_length) > least


def test_the_most_examples_in_a_row_is_the_only_other_limit():
    assert share_filled(*single([2] * 640), 64, max_examples=16) == 1
    assert share_filled(*single([2] * 640), 64, max_examples=8) == 0.5


def test_sst2_sentences_fill_their_rows(shared_data):
    texts = read_classification(shared_data / "sst2" / "train.tsv").texts[:4000]
    wordpiece = WordPiece(shared_data / "bert_assets" / "bert-base-uncased" / "vocab.txt")
    ids = wordpiece.tokenize(list(texts))
    sentences = Sentences(tf.cast(ids.row_splits, tf.int64), tf.range(len(texts) + 1, dtype=tf.int64))
    examples = full_sentences(sentences, 128, 0.0, tf.constant([1, 2], tf.int64))
    assert share_filled(examples, ids.values, 128) > 0.95


@pytest.mark.parametrize("make", [fill_rows, pack_rows])
def test_shapes_are_static_and_tf_data_shows_what_eager_calls_show(make):
    def generate():
        for examples in CASES.values():
            yield tuple(examples)

    spec = (tf.TensorSpec([None], tf.int64),) * 4 + (tf.TensorSpec([None], tf.int32),)
    data = tf.data.Dataset.from_generator(generate, output_signature=spec)
    data = data.map(lambda *examples: make(Examples(*examples), TOKENS, USUAL, T), num_parallel_calls=2)
    for name, element in data.element_spec.items():
        per_example = name.startswith(("next_sentence", "first_positions"))
        if per_example:
            assert element.shape.as_list() == ([None] if make is fill_rows else [None, 3]), name
        else:
            assert element.shape.as_list() == [None, T], name
    for examples, rows in zip(CASES.values(), data, strict=True):
        eager = make(examples, TOKENS, USUAL, T)
        assert sorted(rows) == sorted(eager)
        for name, values in rows.items():
            np.testing.assert_array_equal(values, eager[name], err_msg=name)


@pytest.mark.parametrize("make", [fill_rows, pack_rows])
@pytest.mark.parametrize("examples", [as_examples([(0, 10)], [(20, 32)]), as_examples([(0, 23)], [(9, 9)])])
def test_an_example_longer_than_its_row_is_refused(make, examples):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most max_length tokens, here {T}"):
        make(examples, TOKENS, USUAL, T)
    make(examples, TOKENS, USUAL, T + 1)


def test_no_examples_in_a_row_is_refused():
    with pytest.raises(ValueError, match="1 or more; got 0"):
        pack_rows(CASES["one"], TOKENS, USUAL, T, max_examples=0)
