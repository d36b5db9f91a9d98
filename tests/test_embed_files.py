"""Laws of files of pairs and triplets, of their batches, and of the figures of vectors against plain loops.

N examples, S texts of each, Q queries, M documents, D width.
"""

import numpy as np
import pytest
import tensorflow as tf

from kbert.tasks.embed_scores import embedding_scores, retrieval_scores
from pipelines import WordPiece, embedding, pack, pairs_of_classes, read_embedding

GOOD = {
    "pairs.tsv": ("sentence1\tsentence2\nthe cat\ta dog\nbad\tgood\n", "pairs", None),
    "anchors.jsonl": (
        '{"anchor": "the cat", "positive": "a dog"}\n{"anchor": "bad", "positive": "good"}\n',
        "pairs",
        None,
    ),
    "scores.csv": ("sentence1,sentence2,score\nthe cat,a dog,2.5\nbad,good,0\n", "scored", (2.5, 0.0)),
    "labels.tsv": ("label\tsentence1\tsentence2\n1\tthe cat\ta dog\n0\tbad\tgood\n", "labelled", (1.0, 0.0)),
    "triplets.tsv": ("anchor\tpositive\tnegative\nthe cat\ta dog\tfilm\nbad\tgood\tsat\n", "triplets", None),
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, "utf-8")
        return path

    return write


@pytest.mark.parametrize("name", GOOD)
def test_every_form_is_told_by_its_columns(name, write):
    content, kind, scores = GOOD[name]
    examples = read_embedding(write(name, content))
    assert (examples.kind, examples.scores, len(examples)) == (kind, scores, 2)
    assert examples.texts[:2] == (("the cat", "bad"), ("a dog", "good"))
    assert examples.texts[2:] == ((("film", "sat"),) if kind == "triplets" else ())


def test_columns_can_be_named(write):
    path = write("named.tsv", "q\tlabel\tyes\tno\na\t1\tb\tc\n")
    read = read_embedding(path, text_column="q", pair_column="yes")
    assert (read.texts, read.scores) == ((("a",), ("b",)), (1.0,))
    read = read_embedding(path, text_column="q", pair_column="yes", negative_column="no")
    assert (read.texts, read.scores, read.columns) == ((("a",), ("b",), ("c",)), None, ("q", "yes", "no"))


BAD = {
    "word.tsv": (
        "sentence1\tsentence2\tlabel\na\tb\t1\na\tb\tfar\n",
        "word.tsv:3: 'label' must be a finite number.*'far'",
    ),
    "nan.tsv": ("sentence1\tsentence2\tscore\na\tb\tnan\n", "nan.tsv:2: 'score' must be a finite number"),
    "true.jsonl": ('{"sentence1": "a", "sentence2": "b", "label": true}\n', "true.jsonl:1: .*got True"),
    "number.jsonl": ('{"sentence1": "a", "sentence2": 5}\n', "number.jsonl:1: 'sentence2' must be a text; got 5"),
    "one.tsv": ("sentence\na\n", "no column 'sentence1'; there are 'sentence'"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_file_and_line(name, write):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        read_embedding(write(name, content))


def test_files_of_two_forms_are_not_read_together(write):
    paths = [write(name, GOOD[name][0]) for name in ("pairs.tsv", "triplets.tsv")]
    with pytest.raises(ValueError, match="triplets.tsv: files read together are of one form"):
        read_embedding(paths)
    with pytest.raises(ValueError, match="Triplets have no scores"):
        read_embedding(paths[1], negative_column="negative", label_column="label")


TRIPLETS = "anchor\tpositive\tnegative\n" + "".join(
    f"{a}\t{b}\t{c}\n"
    for a, b, c in zip(
        ["the cat", "a dog sat", "bad", "the cat", "good film", "it was not"],
        ["a cat", "dog", "not good", "the dog", "film", "it was not very good , not good"],
        ["film", "the cat", "good", "bad", "dog ! !", "a"],
        strict=True,
    )
)


def test_batches_stack_the_packed_texts_of_an_example(write, tiny_spec):
    path = write("triplets.tsv", TRIPLETS)
    examples, wordpiece = read_embedding(path), WordPiece.from_spec(tiny_spec)
    batches = embedding(path, tiny_spec, batch_size=4, max_length=9)
    assert int(batches.cardinality()) == 2
    seen = 0
    for inputs, numbers in batches:
        rows = [[column[seen + row] for column in examples.texts] for row in range(len(numbers))]
        assert inputs["input_mask"].shape[:2] == (len(rows), 3)
        for row, texts in enumerate(rows):
            for place, text in enumerate(texts):
                alone = pack([wordpiece.tokenize([text])], wordpiece, 9)
                length = alone["input_mask"].shape[1]
                for name, ids in inputs.items():
                    np.testing.assert_array_equal(ids[row, place, :length], alone[name][0])
                    np.testing.assert_array_equal(ids[row, place, length:], 0)
        flat = [text for texts in rows for text in texts]
        found = numbers.numpy().reshape(-1)
        for text, number in zip(flat, found, strict=True):
            assert [other == text for other in flat] == (found == number).tolist()
        seen += len(rows)
    assert seen == 6


def test_scores_go_to_one_and_shuffling_keeps_them_with_their_texts(write, tiny_spec):
    path = write(
        "scores.tsv", "sentence1\tsentence2\tscore\n" + "".join(f"cat {'! ' * i}\tdog\t{i}\n" for i in range(6))
    )
    found = {}
    for inputs, scores in embedding(path, tiny_spec, batch_size=4, max_length=32, seed=3):
        lengths = tf.reduce_sum(inputs["input_mask"], axis=2)[:, 0].numpy() - 3
        found |= dict(zip(lengths.tolist(), scores.numpy().tolist(), strict=True))
    assert found == {i: np.float32(i / 5) for i in range(6)}
    ((_, scores),) = embedding(path, tiny_spec, batch_size=6, max_length=32, max_score=10)
    np.testing.assert_allclose(scores, np.arange(6) / 10, rtol=1e-6)
    orders = [
        [n.numpy().tolist() for _, n in embedding(path, tiny_spec, batch_size=2, max_length=32, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert str(orders[0]) == str(orders[1]) != str(orders[2])
    with pytest.raises(ValueError, match="max_score is above 0"):
        embedding(path, tiny_spec, max_length=32, max_score=0)


def test_pairs_of_classes_join_texts_of_one_class(write):
    texts, labels = list("abcdefg"), [0, 1, 0, 1, 0, 2, 0]
    examples = pairs_of_classes(texts, labels, rounds=3, seed=5)
    label = dict(zip(texts, labels, strict=True))
    assert len(examples) == 21
    for first, second in zip(*examples.texts, strict=True):
        assert label[first] == label[second] and (first != second or label[first] == 2)
    assert examples.numbers().tolist() == [[label[text]] * 2 for text in texts * 3]
    assert examples != pairs_of_classes(texts, labels, rounds=3, seed=6)


# Figures


def by_hand(queries, documents, gains):
    """Figures of one ranking after another, by their definitions."""
    found = {name: [] for name in ("ndcg_at_10", "mrr", "map", "recall_at_1", "recall_at_10")}
    for query, gain in zip(queries, gains, strict=True):
        if not gain:
            continue
        cosines = [d @ query / np.linalg.norm(d) / np.linalg.norm(query) for d in documents]
        ranked = sorted(range(len(documents)), key=lambda place: -cosines[place])
        best = sorted(gain.values(), reverse=True)
        total = sum(gain.get(place, 0) / np.log2(rank + 2) for rank, place in enumerate(ranked[:10]))
        found["ndcg_at_10"].append(total / sum(one / np.log2(rank + 2) for rank, one in enumerate(best[:10])))
        ranks = [rank + 1 for rank, place in enumerate(ranked) if place in gain]
        found["mrr"].append(1 / ranks[0])
        found["map"].append(np.mean([(hit + 1) / rank for hit, rank in enumerate(ranks)]))
        for at in (1, 10):
            found[f"recall_at_{at}"].append(sum(rank <= at for rank in ranks) / len(ranks))
    return {name: np.mean(values) for name, values in found.items()}


@pytest.mark.parametrize("graded", [False, True])
def test_searches_are_scored_by_the_definitions(graded):
    draw = np.random.default_rng(2)
    queries, documents = draw.normal(size=[7, 5]), draw.normal(size=[23, 5])
    gains = []
    for count in (1, 3, 0, 12, 2, 1, 5):
        chosen = draw.choice(23, count, replace=False)
        gains.append({int(place): float(draw.integers(1, 5)) if graded else 1.0 for place in chosen})
    found, right = retrieval_scores(queries, documents, gains), by_hand(queries, documents, gains)
    assert found.keys() == right.keys()
    for name, value in right.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert 0 < found["ndcg_at_10"] < 1


def test_pairs_and_triplets_are_scored_as_searches_among_their_different_texts():
    vectors = np.array(
        [
            [[1, 0, 0], [2, 0.1, 0], [0.3, 1, 0]],
            [[0, 1, 0.1], [1, 0.5, 0], [0.2, 0, 1]],
            [[1, 0, 0], [0.2, 0, 1], [0.3, 1, 0]],
        ]
    )
    numbers = np.array([[0, 1, 2], [3, 4, 5], [0, 5, 2]])  # text 0 has two positives, 1 and 5; 2 and 5 stand twice
    scores = embedding_scores(vectors, numbers)
    queries, documents = vectors[[0, 1], 0], np.array([vectors[0, 1], vectors[0, 2], vectors[1, 1], vectors[1, 2]])
    right = by_hand(queries, documents, [{0: 1.0, 3: 1.0}, {2: 1.0}])
    assert {name: scores[name] for name in right} == pytest.approx(right)
    assert (scores["examples"], scores["nearer"]) == (3, pytest.approx(2 / 3))


def test_similarities_are_scored_by_their_order():
    vectors = np.array([[[1, 0], [1, 0.1]], [[1, 0], [1, 0.5]], [[1, 0], [1, 2.0]], [[1, 0], [1, 9.0]]])
    scores = embedding_scores(vectors, np.array([4.0, 5.0, 2.0, 0.5]))
    assert scores["spearman"] == pytest.approx(0.8) and set(scores) == {"examples", "spearman", "pearson"}
    labelled = embedding_scores(vectors, np.array([1.0, 0.0, 1.0, 0.0]))
    assert labelled["roc_auc"] == pytest.approx(0.75)
    assert labelled["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert embedding_scores(vectors, np.array([2.0] * 4))["spearman"] == 0.0


def test_a_search_without_a_relevant_document_is_told():
    with pytest.raises(ValueError, match="relevant document; got none"):
        retrieval_scores(np.eye(2), np.eye(2), [{}, {}])
    with pytest.raises(ValueError, match="got 1 for 2 queries"):
        retrieval_scores(np.eye(2), np.eye(2), [{}])
