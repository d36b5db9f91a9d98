"""Laws of long texts: every window is an example, a text's scores are merged, and the exported model merges alike.

N texts, W windows, C classes, T tokens.
"""

import numpy as np
import pytest
import tensorflow as tf
from saved_model_cases import LABELS, C, ask, classifier

import export
from export.saved_model import serving_of
from kbert.cli.embedding import embed
from kbert.cli.tasks.embed import Embed, EmbedOptions
from kbert.tasks.classify_scores import answers
from kbert.tasks.embed import Embedder
from kbert.tasks.embed_scores import embedding_scores
from kbert.tasks.long_texts import Link, merge_windows
from pipelines import ClassificationExamples, EmbeddingExamples, WordPiece, classification, pack
from pipelines.long_texts import text_windows
from pipelines.windows import windows

T, STRIDE = 9, 4  # a window has seven words, and three of them are in the next one too
WORDS = ["the", "cat", "sat", "very", "good", "film", "dog", "ran", "bad", "!"]
IDS = ("input_word_ids", "input_mask", "input_type_ids")


def examples(count=13, most=31):
    """Texts of 0 to 30 words, which all differ, and their labels; the first and the last are empty."""
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, most, count)
    lengths[[0, -1]] = 0
    texts = tuple(" ".join(rng.choice(WORDS, n)) for n in lengths)
    return ClassificationExamples(texts, None, (), tuple(i % C for i in range(count)), LABELS)


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return classifier(tiny_vocabulary)


def rows(data):
    """(ids without padding, label, which text) of every row."""
    found = []
    for inputs, labels in data.as_numpy_iterator():
        sizes = inputs["input_mask"].sum(-1)
        owners = inputs.get("input_text_ids", np.full(len(labels), -1)).tolist()
        for ids, n, label, owner in zip(inputs["input_word_ids"], sizes, labels.tolist(), owners, strict=True):
            found.append((tuple(ids[:n].tolist()), label, owner))
    return found


@pytest.mark.parametrize("seed", [None, 5])
def test_each_window_is_an_example_with_the_label_of_its_text(seed, model):
    given, wordpiece = examples(), WordPiece.from_spec(model.tokenizer_spec)
    data = classification(given, model.tokenizer_spec, batch_size=5, max_length=T, seed=seed, window=STRIDE)
    cut = windows(wordpiece.tokenize(list(given.texts)), T - 2, STRIDE)
    right = [
        ((wordpiece.cls_id, *ids, wordpiece.sep_id), given.label_ids[owner], owner)
        for ids, owner in zip(cut.ids.to_list(), cut.owners.numpy().tolist(), strict=True)
    ]
    found = rows(data)
    assert sorted(found) == sorted(right) and len(found) > 2 * len(given)
    assert (found == right) == (seed is None)
    assert int(data.cardinality()) == -(-len(right) // 5)


def test_texts_that_fit_are_the_rows_they_were(model):
    given = examples(most=T - 2)
    plain = rows(classification(given, model.tokenizer_spec, batch_size=5, max_length=T))
    windowed = rows(classification(given, model.tokenizer_spec, batch_size=5, max_length=T, window=STRIDE))
    assert [row[:2] for row in windowed] == [row[:2] for row in plain]
    assert [row[2] for row in windowed] == list(range(len(given)))


def test_windows_without_labels_come_longest_first_and_know_their_texts(model):
    texts, wordpiece = examples().texts, WordPiece.from_spec(model.tokenizer_spec)
    data, text_ids = text_windows(texts, model.tokenizer_spec, window=STRIDE, batch_size=5, max_length=T)
    sizes, found = [], []
    for inputs in data.as_numpy_iterator():
        sizes += inputs["input_mask"].sum(-1).tolist()
        for ids, n, owner in zip(inputs["input_word_ids"], sizes[len(found) :], inputs["input_text_ids"], strict=True):
            found.append((owner, tuple(ids[1 : n - 1].tolist())))
    assert sizes == sorted(sizes, reverse=True)
    assert [owner for owner, _ in found] == text_ids.tolist()
    cut = windows(wordpiece.tokenize(list(texts)), T - 2, STRIDE)
    right = zip(cut.owners.numpy().tolist(), map(tuple, cut.ids.to_list()), strict=True)
    assert sorted(found) == sorted(right)


@pytest.mark.parametrize("merge", ["mean", "max"])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_windows_are_merged_by_their_scores_whatever_their_order(merge, shape):
    rng = np.random.default_rng(2)
    text_ids = rng.permutation([0, 0, 0, 2, 5, 5, 9])
    logits = rng.normal(size=(7, *shape))
    link = Link(np.exp, np.log)
    right = [getattr(np, merge)(np.exp(logits[text_ids == text]), axis=0) for text in (0, 2, 5, 9)]
    np.testing.assert_allclose(np.exp(merge_windows(logits, text_ids, link, merge)), right, rtol=1e-12)


def merged_by_hand(model, given, merge):
    """Scores of texts [N, C], a window at a time."""
    wordpiece, scores = WordPiece.from_spec(model.tokenizer_spec), []
    for text in given.texts:
        said = []
        for ids in windows(wordpiece.tokenize([text]), T - 2, STRIDE).ids.to_list():
            row = tf.constant([[wordpiece.cls_id, *ids, wordpiece.sep_id]])
            inputs = dict(zip(IDS, (row, tf.ones_like(row), tf.zeros_like(row)), strict=True))
            said.append(tf.nn.softmax(model(inputs))[0].numpy())
        scores.append(np.mean(said, axis=0) if merge == "mean" else np.max(said, axis=0) / np.max(said, axis=0).sum())
    return np.array(scores)


@pytest.mark.parametrize("merge", ["mean", "max"])
def test_an_exported_model_merges_as_the_evaluation_does(merge, model, tmp_path):
    given, right = examples(), merged_by_hand(model, examples(), merge)
    model.compile()
    data = classification(given, model.tokenizer_spec, batch_size=5, max_length=T, seed=3, window=STRIDE)
    labels, logits = answers(model, data, merge)
    assert labels.tolist() == list(given.label_ids)
    np.testing.assert_allclose(tf.nn.softmax(logits), right, atol=1e-5)
    accuracy = np.mean(right.argmax(-1) == labels)
    assert model.scores(data, merge)["accuracy"] == pytest.approx(accuracy)
    assert model.scores(data, merge)["examples"] == len(given)

    out = export.saved_model(model, tmp_path / "out", max_length=T, window=STRIDE, merge=merge)
    loaded = tf.saved_model.load(str(out))
    answered = ask(loaded, given.texts)
    np.testing.assert_allclose(answered["scores"], right, atol=1e-5)
    np.testing.assert_array_equal(answered["label"], np.array([n.encode() for n in LABELS], object)[right.argmax(-1)])
    assert answered["classes"].shape == right.shape

    ids = loaded.signatures["tokenize"](text=tf.constant(given.texts))
    assert set(ids) == {*IDS, "input_text_ids"} and ids["input_mask"].shape[1] == T
    again = loaded.signatures["from_ids"](**ids)
    for name in answered:
        np.testing.assert_array_equal(again[name], answered[name])
    assert ask(loaded, [])["scores"].shape == (0, C)
    alone = ask(loaded, given.texts[3:4])["scores"]
    np.testing.assert_allclose(alone, right[3:4], atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("merge", ["mean", "max"])
def test_the_vector_of_a_long_text_is_that_of_its_windows(merge, normalize, model):
    embedder = Embedder(model.config, model.tokenizer, seed=2, normalize=normalize)
    embedder.compile()
    texts, wordpiece, right = examples().texts, WordPiece.from_spec(embedder.tokenizer_spec), []
    for text in texts:
        cut = windows(wordpiece.tokenize([text]), T - 2, STRIDE)
        vector = getattr(np, merge)(embedder(pack([cut.ids], wordpiece, T)).numpy(), axis=0)
        right.append(vector / np.linalg.norm(vector) if normalize else vector)
    served = serving_of(embedder, T, window=STRIDE, merge=merge).serve(tf.constant(texts))["embedding"]
    np.testing.assert_allclose(served, right, atol=1e-5)
    made = embed(embedder, texts, max_length=T, batch_size=5, window=STRIDE, merge=merge)
    np.testing.assert_allclose(made, right, atol=1e-5)
    assert made.dtype == "float32"
    cut = serving_of(embedder, T).serve(tf.constant(texts))["embedding"].numpy()
    far = np.abs(cut - right).max(axis=1) > 1e-4
    assert far.tolist() == [len(text.split()) > T - 2 for text in texts]


def test_pairs_of_long_texts_are_scored_by_their_merged_vectors(model):
    embedder = Embedder(model.config, model.tokenizer, seed=2)
    embedder.compile()
    texts = examples().texts
    pairs = EmbeddingExamples((texts[1:], texts[:-1]), (), tuple(float(i % 5) for i in range(len(texts) - 1)))
    vectors = embed(embedder, texts, max_length=T, window=STRIDE, merge="max")
    right = embedding_scores(np.stack([vectors[1:], vectors[:-1]], axis=1), np.array(pairs.scores))
    found = Embed(T, options=EmbedOptions(window=STRIDE, merge="max")).scores(embedder, pairs, 5)
    assert found == pytest.approx(right)
    assert Embed(T).scores(embedder, pairs, 5)["spearman"] != pytest.approx(right["spearman"])


def test_both_ways_to_merge_and_cutting_differ(model):
    texts = [text for text in examples().texts if len(text.split()) > 2 * T]
    found = []
    for settings in ({}, {"window": STRIDE}, {"window": STRIDE, "merge": "max"}, {"window": 2}):
        found.append(serving_of(model, T, **settings).serve(tf.constant(texts))["scores"].numpy())
    for place, scores in enumerate(found):
        np.testing.assert_allclose(scores.sum(-1), 1.0, atol=1e-6)
        assert all(np.abs(scores - other).max() > 1e-4 for other in found[:place])


def test_windows_are_for_single_texts_and_merge_is_mean_or_max(model):
    pairs = ClassificationExamples(("a",), ("b",), (), (0,), LABELS)
    with pytest.raises(ValueError, match="window slides over single texts; these are pairs"):
        classification(pairs, model.tokenizer_spec, max_length=T, window=3)
    with pytest.raises(ValueError, match="stride is a number of tokens, 1 at least; got 0"):
        classification(examples(), model.tokenizer_spec, max_length=T, window=0)
    with pytest.raises(ValueError, match="of single texts, 1 at least; got a model for pairs"):
        serving_of(model, T, window=3, pair=True)
    with pytest.raises(ValueError, match="of single texts, 1 at least; got 0"):
        serving_of(model, T, window=0)
    with pytest.raises(ValueError, match="merge is mean or max; got 'sum'"):
        serving_of(model, T, window=3, merge="sum")
    with pytest.raises(ValueError, match="merge is mean or max; got 'sum'"):
        merge_windows(np.zeros([2, C]), np.array([0, 0]), model.link, "sum")
