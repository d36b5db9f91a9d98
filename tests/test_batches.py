"""Laws of batches: every example once, the same under the same seed, little padding, what Keras takes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipelines import batches
from pipelines.batches import classification
from pipelines.tasks import ClassificationExamples, read_classification

B = 3  # batch size; windows of 2 batches in these tests
WORDS = ["the", "cat", "sat", "very", "good", "film"]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_BATCHES", 2)


def examples(count=20, pairs=False):
    """Texts that differ, of 1 to 7 words; the labels are told apart by the text's place."""
    texts = tuple(" ".join([*WORDS[: i % 7], *["dog"] * (i // 7), "."]) for i in range(count))
    second = tuple(f"it was {'bad ' * (i % 4)}!" for i in range(count)) if pairs else None
    return ClassificationExamples(texts, second, (), tuple(i % 2 for i in range(count)), ("negative", "positive"))


def contents(dataset):
    """Every batch as (ids without padding, label) of its rows."""
    found = []
    for inputs, labels in dataset.as_numpy_iterator():
        lengths = inputs["input_mask"].sum(axis=1)
        ids = [tuple(row[:n].tolist()) for row, n in zip(inputs["input_word_ids"], lengths, strict=True)]
        found.append(list(zip(ids, labels.tolist(), strict=True)))
    return found


def rows(batch_list):
    return [row for batch in batch_list for row in batch]


@pytest.mark.parametrize("count", [1, 3, 7, 20])
@pytest.mark.parametrize("seed", [None, 5])
def test_no_example_is_lost_or_doubled(count, seed, tiny_spec):
    whole = classification(examples(count), tiny_spec, batch_size=B, max_length=16, seed=seed)
    found = contents(whole)
    assert sorted(rows(found)) == sorted(rows(contents(classification(examples(count), tiny_spec, max_length=16))))
    assert len(set(rows(found))) == count
    assert [len(batch) for batch in found] == [B] * (count // B) + [count % B] * (count % B > 0)
    assert int(whole.cardinality()) == len(found)


def test_no_seed_keeps_the_order_of_the_file(tiny_spec):
    one_by_one = rows(contents(classification(examples(), tiny_spec, batch_size=1, max_length=16)))
    assert [label for _, label in one_by_one] == list(examples().label_ids)
    assert rows(contents(classification(examples(), tiny_spec, batch_size=B, max_length=16))) == one_by_one


def test_each_iteration_is_the_epoch_that_a_range_names(tiny_spec):
    sizes = {"batch_size": B, "max_length": 16, "seed": 5}
    plain = classification(examples(), tiny_spec, **sizes)
    iterations = [contents(plain) for _ in range(3)]
    assert iterations[0] != iterations[1] != iterations[2] != iterations[0]
    named = classification(examples(), tiny_spec, **sizes, epochs=range(1, 3))
    assert contents(named) == iterations[1] + iterations[2]
    assert contents(named) == iterations[1] + iterations[2], "a range is the same at every iteration"
    assert int(named.cardinality()) == 2 * int(plain.cardinality())


def test_another_seed_is_another_order(tiny_spec):
    orders = [contents(classification(examples(), tiny_spec, batch_size=B, max_length=16, seed=s)) for s in (0, 1, -7)]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_global_seed_and_number_of_threads_change_nothing(tiny_spec):
    def epoch(threads):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        dataset = classification(examples(), tiny_spec, batch_size=B, max_length=16, seed=5)
        return contents(dataset.with_options(options))

    first = epoch(threads=1)
    tf.random.set_seed(11)
    try:
        assert epoch(threads=4) == first
    finally:
        tf.random.set_seed(0)
        tf.keras.utils.set_random_seed(0)


def test_same_order_in_another_process(tiny_spec, tmp_path):
    file = tmp_path / "train.tsv"
    lines = [f"{text}\t{label}" for text, label in zip(examples().texts, examples().label_ids, strict=True)]
    file.write_text("sentence\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    code = (
        "import json, sys, pipelines.batches as b\nb.WINDOW_BATCHES = 2\n"
        "data = b.classification(sys.argv[1], json.loads(sys.argv[2]), batch_size=3, max_length=16, seed=5)\n"
        "print(json.dumps([x['input_word_ids'].tolist() for x, _ in data.as_numpy_iterator()]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(file), json.dumps(tiny_spec)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    here = classification(file, tiny_spec, batch_size=B, max_length=16, seed=5)
    assert json.loads(printed.splitlines()[-1]) == [x["input_word_ids"].tolist() for x, _ in here.as_numpy_iterator()]


def test_rows_of_like_length_share_a_batch(tiny_spec, monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_BATCHES", 100)
    grouped = contents(classification(examples(63), tiny_spec, batch_size=7, max_length=32, seed=5))
    lengths = [[len(ids) for ids, _ in batch] for batch in grouped]
    spans = [max(batch) - min(batch) for batch in lengths]
    assert sum(spans) <= max(map(max, lengths)) - min(map(min, lengths)), "batches overlap in length"
    longest = [max(batch) for batch in lengths]
    assert longest != sorted(longest), "batches of a window come in random order"


def test_what_is_left_over_is_not_the_longest_rows(tiny_spec):
    """20 = 6 full batches and 2 rows: over the seeds these must be any rows."""
    epochs = classification(examples(), tiny_spec, batch_size=B, max_length=32, seed=5, epochs=range(12))
    lengths = {len(ids) for batch in contents(epochs)[6::7] for ids, _ in batch}
    assert len(lengths) >= 5, lengths


def test_elements_are_what_fit_takes(tiny_spec):
    inputs, labels = classification(examples(), tiny_spec, batch_size=B, max_length=16, seed=5).element_spec
    assert inputs == {name: tf.TensorSpec([None, None], tf.int32) for name in inputs}
    assert list(inputs) == ["input_word_ids", "input_mask", "input_type_ids"]
    assert labels == tf.TensorSpec([None], tf.int32)


def test_each_epoch_of_fit_is_the_next_epoch(tiny_spec):
    import keras

    seen = []

    class Model(keras.Model):
        def build(self, shapes):
            self.logits = self.add_weight(shape=(1, 2), initializer="zeros")

        def call(self, inputs):
            tf.py_function(lambda ids: seen.append(ids.numpy().tolist()), [inputs["input_word_ids"]], [])
            return tf.cast(inputs["input_mask"][:, :1], tf.float32) * self.logits

    model = Model()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    sizes = {"batch_size": B, "max_length": 16, "seed": 5}
    model.fit(classification(examples(), tiny_spec, **sizes), epochs=3, shuffle=False, verbose=0)
    named = classification(examples(), tiny_spec, **sizes, epochs=range(3)).as_numpy_iterator()
    assert seen == [inputs["input_word_ids"].tolist() for inputs, _ in named]


@pytest.mark.parametrize("pairs", [False, True])
def test_texts_come_back_in_their_order(pairs, tiny_spec):
    given = examples(pairs=pairs)
    dataset, back = batches.texts(given.texts, tiny_spec, batch_size=B, max_length=16, pairs=given.pairs)
    assert int(dataset.cardinality()) == 7
    found, widths = [], []
    for inputs in dataset.as_numpy_iterator():
        widths.append(inputs["input_word_ids"].shape[1])
        for ids, mask in zip(inputs["input_word_ids"], inputs["input_mask"], strict=True):
            found.append(tuple(ids[: mask.sum()].tolist()))
    assert widths == sorted(widths, reverse=True)
    wanted = [ids for ids, _ in rows(contents(classification(given, tiny_spec, batch_size=1, max_length=16)))]
    assert [found[place] for place in back] == wanted


def test_no_texts_are_no_batches(tiny_spec):
    dataset, back = batches.texts([], tiny_spec, max_length=16)
    assert (list(dataset), back.tolist()) == ([], [])


def test_labels_are_those_of_the_model(tiny_spec, tmp_path):
    file = tmp_path / "dev.jsonl"
    file.write_text('{"text": "good", "sort": "positive"}\n', encoding="utf-8")
    dataset = classification(file, tiny_spec, text_column="text", label_column="sort", max_length=16)
    assert contents(dataset) == [[((2, 11, 3), 1)]]
    with pytest.raises(ValueError, match="dev.jsonl:1: label 'positive'.*known: no, yes"):
        classification(file, tiny_spec, text_column="text", label_column="sort", labels=["no", "yes"])


def test_examples_with_other_labels_than_the_model_s_are_refused(tiny_spec):
    turned = {**tiny_spec, "labels": ["positive", "negative"]}
    with pytest.raises(ValueError, match="the model's, in its order: positive, negative; got negative, positive"):
        classification(examples(), turned, max_length=16)
    unlabelled = {**tiny_spec, "labels": None}
    assert len(contents(classification(examples(), unlabelled, batch_size=B, max_length=16))) == 7


def test_sizes_that_cannot_be_are_refused(tiny_spec):
    with pytest.raises(ValueError, match="max_length is at most 32 for this model; got 33"):
        classification(examples(), tiny_spec, max_length=33)
    with pytest.raises(ValueError, match="batch_size is at least 1; got 0"):
        classification(examples(), tiny_spec, batch_size=0, max_length=16)
    with pytest.raises(ValueError, match="got 1 for 2 texts"):
        batches.texts(["a", "b"], tiny_spec, max_length=16, pairs=["a"])


def test_sst2_is_padded_by_less_than_a_tenth(shared_data, tiny_spec, monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_BATCHES", 64)
    vocabulary = shared_data / "bert_assets" / "bert-base-uncased" / "vocab.txt"
    spec = {**tiny_spec, "vocabulary": str(vocabulary), "vocab_size": 30522, "max_positions": 512}
    data = read_classification(shared_data / "sst2" / "test.tsv", labels=["negative", "positive"])
    cells = tokens = 0
    for inputs, _ in classification(data, spec, seed=0).as_numpy_iterator():
        cells, tokens = cells + inputs["input_mask"].size, tokens + inputs["input_mask"].sum()
    assert tokens / np.float64(cells) > 0.9
