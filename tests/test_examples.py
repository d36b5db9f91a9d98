"""Laws of examples: what pairs are made of, what is lost, and the published procedure as a loop beside it."""

import lzma
import re

import numpy as np
import pytest
import tensorflow as tf

from pipelines import WordPiece
from pipelines.examples import (
    Examples,
    Sentences,
    contiguous_tokens,
    full_sentences,
    next_sentence_pairs,
    sentence_order_pairs,
)

PAIRS = {"next sentence": next_sentence_pairs, "sentence order": sentence_order_pairs}
OBJECTIVES = {**PAIRS, "full sentences": full_sentences}


def window(documents) -> Sentences:
    """Lists of sentence sizes -> Sentences."""
    sizes = [size for document in documents for size in document]
    starts = np.cumsum([0, *sizes])
    return Sentences(tf.constant(starts, tf.int64), tf.constant(np.cumsum([0, *map(len, documents)]), tf.int64))


def seeds(*numbers):
    return tf.constant(numbers, tf.int64)


def draw(number, documents, sentences, mean):
    """Documents of about so many sentences of about so many tokens."""
    rng = np.random.default_rng(number)
    return [1 + rng.poisson(mean - 1, size=1 + rng.poisson(sentences - 1)) for _ in range(documents)]


WINDOWS = {
    "long documents": draw(1, 5, 300, 17),
    "short documents": draw(2, 200, 4, 13),
    "documents of a sentence": draw(3, 150, 1, 19),
    "sentences of a token": [[1] * 97, [1] * 5, [1] * 2, [1] * 301],
    "sentences over the room": [[3, 400, 7], [950], [11, 64, 65, 66]],
    "empty sentences and documents": [[], [0, 5, 0, 0, 9, 3], [0], [], [0, 21, 0], [6, 0, 0, 30, 4], []],
    "documents of a token": [[1], [4, 5, 6], [1], [1], [8, 7], [0, 1]],
    "two documents": [[9, 9, 9], [8]],
    "a long document": draw(4, 1, 120, 15),
    "a short document": [[7, 12, 5]],
    "a sentence": [[23]],
    "a long sentence": [[5000]],
    "a token": [[1]],
    "no token": [[0]],
    "no sentence": [[]],
    "no document": [],
}
every_window = pytest.mark.parametrize("documents", WINDOWS.values(), ids=WINDOWS)
every_pair = pytest.mark.parametrize("objective", PAIRS.values(), ids=PAIRS)
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def as_arrays(examples: Examples) -> Examples:
    return Examples(*(np.asarray(values) for values in examples))


def make(objective, documents, max_length=67, short_share=0.2, number=0) -> Examples:
    return as_arrays(objective(window(documents), max_length, short_share, seeds(5, number)))


def make_many(objective, documents, max_length, short_share, count) -> Examples:
    """Examples of one window under many seeds, all in one."""
    sentences = window(documents)
    numbers = tf.data.Dataset.range(count)
    made = numbers.map(lambda number: objective(sentences, max_length, short_share, tf.stack([5, number])))
    return Examples(*map(np.concatenate, zip(*made.as_numpy_iterator(), strict=True)))


def document_of(documents, places):
    return np.searchsorted(np.cumsum([sum(document) for document in documents]), places, side="right")


def shown(starts, ends):
    """Every token of some ranges, one after the other."""
    return np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)] or [[]])


@every_objective
@every_window
@pytest.mark.parametrize(("max_length", "short_share"), [(5, 0.0), (68, 0.5)])
def test_segments_are_of_one_document_each_and_fit(objective, documents, max_length, short_share):
    starts, ends, other_starts, other_ends, labels = made = make(objective, documents, max_length, short_share)
    assert {values.dtype.name for values in made[:4]} == {"int64"} and labels.dtype == np.int32
    assert (starts < ends).all()
    np.testing.assert_array_equal(document_of(documents, starts), document_of(documents, ends - 1))
    if objective is full_sentences:
        np.testing.assert_array_equal(other_starts, other_ends)
        assert not labels.any()
    else:
        assert (other_starts < other_ends).all()
        np.testing.assert_array_equal(document_of(documents, other_starts), document_of(documents, other_ends - 1))
    specials = 2 if objective is full_sentences else 3
    assert (ends - starts + other_ends - other_starts + specials <= max_length).all()
    pairable = any(sum(document) > (objective is not full_sentences) for document in documents)
    assert bool(len(labels)) == pairable


@every_window
def test_the_next_segment_follows_and_a_random_one_is_of_another_document(documents):
    starts, ends, other_starts, other_ends, labels = make(next_sentence_pairs, documents)
    same = document_of(documents, starts) == document_of(documents, other_starts)
    follows = labels == 0
    assert same[follows].all()
    assert (ends <= other_starts)[follows].all()
    cut = ends - starts + other_ends - other_starts == 64  # what fills the room may have been truncated
    np.testing.assert_array_equal(ends[follows & ~cut], other_starts[follows & ~cut])
    if sum(map(sum, documents)) < 8 * 64 or len(documents) > 1:
        assert not same[~follows].any()


@every_window
def test_swapped_segments_are_in_the_other_order(documents):
    starts, ends, other_starts, other_ends, labels = make(sentence_order_pairs, documents)
    np.testing.assert_array_equal(document_of(documents, starts), document_of(documents, other_starts))
    left, right = np.where(labels, other_ends, ends), np.where(labels, starts, other_starts)
    assert (left <= right).all()
    cut = ends - starts + other_ends - other_starts == 64
    np.testing.assert_array_equal(left[~cut], right[~cut])


@pytest.mark.parametrize("documents", [WINDOWS["long documents"], WINDOWS["short documents"]], ids=["long", "short"])
@every_objective
def test_segments_begin_and_end_with_sentences_where_nothing_is_cut(objective, documents):
    documents = [document for document in documents if len(document) > 1]  # one that is alone is halved
    made = make(objective, documents, max_length=77, short_share=1.0)
    borders = window(documents).starts.numpy()
    whole = made.first_ends - made.first_starts + made.second_ends - made.second_starts < 74
    assert whole.sum() > 10
    for places in made[:4]:
        assert np.isin(places[whole], borders).all()


@every_pair
@pytest.mark.parametrize("name", ["long documents", "short documents", "documents of a sentence"])
def test_half_of_the_pairs_have_each_label_whatever_the_documents(objective, name):
    labels = make_many(objective, WINDOWS[name], 67, 0.2, count=40).labels
    assert abs(labels.mean() - 0.5) < 3.3 * np.sqrt(0.25 / len(labels))


def test_a_short_document_alone_has_no_random_pair_and_a_long_one_is_its_own_other():
    assert not make(next_sentence_pairs, WINDOWS["a short document"]).labels.any()
    (document,) = WINDOWS["a long document"]
    made = make(next_sentence_pairs, [document])
    middle = sum(document[: len(document) // 2])
    np.testing.assert_array_equal((made.first_starts < middle) != (made.second_starts < middle), made.labels == 1)
    assert 0.2 < made.labels.mean() < 0.8


def test_another_document_is_any_of_the_others_and_begins_at_any_sentence():
    documents = [[5, 6], [4] * 40, [7, 5, 6], [3] * 10]
    made = make_many(next_sentence_pairs, documents, max_length=403, short_share=0.0, count=400)
    random = made.labels == 1
    origin, other = (document_of(documents, starts[random]) for starts in (made.first_starts, made.second_starts))
    chosen, begun = np.zeros([4, 4]), np.zeros(10)
    np.add.at(chosen, (origin, other), 1)
    np.add.at(begun, (made.second_starts[random][other == 3] - 11 - 160 - 18) // 3, 1)
    assert chosen.sum(1).min() > 150 and not np.diag(chosen).any()
    share = chosen / chosen.sum(1, keepdims=True)
    np.testing.assert_allclose(share[~np.eye(4, dtype=bool)], 1 / 3, atol=4 * np.sqrt(2 / 9 / chosen.sum(1).min()))
    np.testing.assert_allclose(begun / begun.sum(), 0.1, atol=4 * np.sqrt(0.09 / begun.sum()))


@every_window
@pytest.mark.parametrize("short_share", [0.0, 1.0])
@pytest.mark.parametrize("max_length", [3, 67])
def test_full_sentences_show_every_token_once(documents, short_share, max_length):
    made = make(full_sentences, documents, max_length, short_share)
    np.testing.assert_array_equal(shown(made.first_starts, made.first_ends), np.arange(sum(map(sum, documents))))


@every_pair
@pytest.mark.parametrize("max_length", [5, 20, 67])
def test_sentences_of_a_token_fill_exactly_and_none_is_lost(objective, max_length):
    documents = WINDOWS["sentences of a token"]
    for number in range(5):
        made = make(objective, documents, max_length, number=number)
        own = made.labels == 0 if objective is next_sentence_pairs else made.labels >= 0
        used = [shown(made.first_starts, made.first_ends), shown(made.second_starts[own], made.second_ends[own])]
        assert set(np.concatenate(used)) == set(range(sum(map(sum, documents))))


@every_pair
@pytest.mark.parametrize(("name", "least"), [("long documents", 0.9), ("sentences over the room", 0.85)])
def test_few_tokens_are_lost_by_truncation(objective, name, least):
    documents = WINDOWS[name]
    made = make(objective, documents, max_length=128, short_share=0.0)
    own = made.labels == 0 if objective is next_sentence_pairs else made.labels >= 0
    used = [shown(made.first_starts, made.first_ends), shown(made.second_starts[own], made.second_ends[own])]
    assert len(np.unique(np.concatenate(used))) > least * sum(map(sum, documents))


def test_truncation_takes_from_front_and_back_by_a_fair_coin_for_each_token():
    made = make(sentence_order_pairs, [[40, 40]] * 4000, max_length=48, short_share=0.0)
    assert set(made.first_ends - made.first_starts) == {23} and set(made.second_ends - made.second_starts) == {22}
    for starts, removed in ((made.first_starts, 17), (made.second_starts, 18)):
        front = starts % 40
        assert abs(front.mean() - removed / 2) < 4 * np.sqrt(removed / 4 / 4000)
        assert abs(front.var() - removed / 4) < 0.5


def test_targets_are_short_for_the_share_of_chunks_and_any_number():
    documents = [[1] * 60] * 6000
    made = make(sentence_order_pairs, documents, max_length=33, short_share=0.25)
    lengths = made.first_ends - made.first_starts + made.second_ends - made.second_starts
    _, first = np.unique(document_of(documents, made.first_starts), return_index=True)
    counts = np.bincount(lengths[first], minlength=31)  # one chunk a document
    assert len(first) == 6000 and counts[:2].sum() == 0 and len(counts) == 31
    expected = np.array([0.25 / 29] * 28 + [0.75 + 0.25 / 29])
    np.testing.assert_allclose(counts[2:] / 6000, expected, atol=0.03 * expected[-1])
    np.testing.assert_allclose(counts[2:30].sum() / 6000, 0.25 * 28 / 29, atol=0.02)


@every_pair
@every_window
def test_equal_seeds_make_equal_examples_and_others_do_not(objective, documents):
    made, again, other = (make(objective, documents, number=number) for number in (1, 1, 2))
    for values, same in zip(made, again, strict=True):
        np.testing.assert_array_equal(values, same)
    if len(made.labels) > 10:
        assert any(not np.array_equal(*pair) for pair in zip(made, other, strict=True))


@every_objective
def test_the_graph_in_tf_data_makes_what_eager_calls_make(objective):
    def generate():
        for documents in WINDOWS.values():
            yield tuple(window(documents))

    places = tf.TensorSpec([None], tf.int64)
    data = tf.data.Dataset.from_generator(generate, output_signature=(places, places))
    made = data.map(lambda *sentences: objective(Sentences(*sentences), 67, 0.2, seeds(5, 0)), num_parallel_calls=2)
    for documents, examples in zip(WINDOWS.values(), made, strict=True):
        for values, eager in zip(examples, make(objective, documents), strict=True):
            np.testing.assert_array_equal(values, eager)


@every_objective
@pytest.mark.parametrize(
    ("max_length", "short_share", "message"), [(2, 0.1, "max_length is . or more.*got 2"), (9, 1.5, "got 1.5.*0.1")]
)
def test_impossible_settings_are_refused(objective, max_length, short_share, message):
    with pytest.raises(ValueError, match=message):
        objective(window([[4, 5]]), max_length, short_share, seeds(1, 2))


def read_document_by_document(documents, room, short_share, rng):
    """The procedure of the paper as a loop over sentences, here as ranges; with our rule for chunks of one sentence.

    Yields (first tokens, second tokens, label), both truncated.
    """
    starts = np.split(np.cumsum([0, *np.concatenate(documents)])[:-1], np.cumsum([len(d) for d in documents])[:-1])
    texts = [
        [list(range(s, s + n)) for s, n in zip(*pair, strict=True)] for pair in zip(starts, documents, strict=True)
    ]
    for number, document in enumerate(texts):
        at = 0
        while at < len(document):
            target = rng.integers(2, room + 1) if rng.random() < short_share else room
            chunk = []
            while at < len(document) and sum(map(len, chunk)) < target:
                chunk.append(document[at])
                at += 1
            random = rng.random() < 0.5
            if not random and len(chunk) == 1 and at < len(document):
                chunk.append(document[at])
                at += 1
            if not random and len(chunk) == 1 and len(document) > 1:
                chunk.insert(0, document[at - 2])
            if not random and len(chunk) == 1:
                half = len(chunk[0]) // 2
                chunk = [chunk[0][:half], chunk[0][half:]]
            take = rng.integers(1, len(chunk)) if len(chunk) > 1 else 1
            first, second = sum(chunk[:take], []), sum(chunk[take:], [])
            if random:
                at -= len(chunk) - take
                other = texts[rng.choice([n for n in range(len(texts)) if n != number])]
                second = []
                for sentence in other[rng.integers(len(other)) :]:
                    second += sentence
                    if len(second) >= target - len(first):
                        break
            while len(first) + len(second) > room:
                longer = first if len(first) > len(second) else second
                longer.pop(0 if rng.random() < 0.5 else -1)
            yield first, second, int(random)


def distance(one, other) -> float:
    """Kolmogorov and Smirnov's, between two samples of numbers."""
    values = np.union1d(one, other)
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (one, other)]
    return np.abs(shares[0] - shares[1]).max()


def test_pairs_are_distributed_as_the_published_loop_makes_them():
    room, short_share, rng = 61, 0.3, np.random.default_rng(7)
    documents = draw(8, 700, 9, 14)
    loops = [read_document_by_document(documents, room, short_share, rng) for _ in range(3)]
    wanted = [(len(first), len(second), label, first[0], second[0]) for loop in loops for first, second, label in loop]
    made = make_many(next_sentence_pairs, documents, room + 3, short_share, count=3)
    sizes = made.first_ends - made.first_starts, made.second_ends - made.second_starts
    wanted, got = np.array(wanted), np.stack([*sizes, made.labels, made.first_starts, made.second_starts], 1)
    assert len(got) == pytest.approx(len(wanted), rel=0.03)
    assert got[:, 2].mean() == pytest.approx(wanted[:, 2].mean(), abs=0.02)
    for label in (0, 1):
        ours, theirs = got[got[:, 2] == label], wanted[wanted[:, 2] == label]
        assert len(ours) > 3000
        assert distance(ours[:, 0] + ours[:, 1], theirs[:, 0] + theirs[:, 1]) < 0.05
        for column in (0, 1, 3, 4):  # sizes of both segments, and where they start
            assert distance(ours[:, column], theirs[:, column]) < 0.05, column


def test_books_have_half_of_their_pairs_at_random_within_a_point(shared_data):
    with lzma.open(shared_data / "books" / "classic_books.txt.xz", "rt", encoding="utf-8") as file:
        texts = [file.read(30_000) for _ in range(8)]
    documents = [re.split(r"(?<=[.!?])\s+|\n", text) for text in texts]
    wordpiece = WordPiece(shared_data / "bert_assets" / "bert-base-uncased" / "vocab.txt")
    sizes = [wordpiece.tokenize(document).row_lengths().numpy() for document in documents]
    labels = make_many(next_sentence_pairs, sizes, 128, 0.1, count=60).labels
    assert len(labels) > 30_000
    assert abs(labels.mean() - 0.5) < 0.01


def test_contiguous_tokens_fill_every_row_but_a_documents_last():
    documents = [[7, 30, 2], [4], [3, 0, 25]]
    made = make(contiguous_tokens, documents, max_length=12, short_share=0)
    assert list(zip(made.first_starts, made.first_ends, strict=True)) == [
        *((0, 10), (10, 20), (20, 30), (30, 39)),
        (39, 43),
        *((43, 53), (53, 63), (63, 71)),
    ]
    np.testing.assert_array_equal(made.second_starts, made.second_ends)
