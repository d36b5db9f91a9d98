"""Laws of choice: files read to the same examples, rows of a text and a choice, a score a choice, the same exported.

B texts, C choices, T tokens.
"""

import io
import json

import numpy as np
import pytest
import tensorflow as tf

import export
from kbert.config import BertConfig
from kbert.layout import Padded, Unpadded
from kbert.optimizer import adamw
from kbert.tasks.choice import Chooser
from pipelines import WordPiece, pack
from pipelines.tasks.choice import ChoiceExamples, choice, read_choice, read_choice_questions

B, C, T = 4, 3, 14
ROWS = (("the cat", ("sat .", "ran", ""), 2), ("", ("a dog", "a cat", "bad"), 0))
SIGNATURE = {"text": [None], "choices": [None, None]}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


def delimited(name, tab):
    lines = [["label", "sentence", *(f"{name}{i}" for i in range(C))]]
    lines += [[str(label), text, *choices] for text, choices, label in ROWS]
    return "".join(tab.join(line) + "\n" for line in lines)


GOOD = {
    "plain.tsv": delimited("choice", "\t"),
    "plain.csv": delimited("ending", ","),
    "list.jsonl": "".join(json.dumps({"sentence": t, "choices": c, "label": n}) + "\n" for t, c, n in ROWS),
    "keys.jsonl": "".join(
        json.dumps({"sentence": t, "label": str(n), **{f"choice{i}": c[i] for i in range(C)}}) + "\n"
        for t, c, n in ROWS
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_format_reads_to_the_same_examples(name, write):
    texts, choices, labels = zip(*ROWS, strict=True)
    assert read_choice(write(name, GOOD[name])) == ChoiceExamples(texts, choices, ("sentence",), labels)


@pytest.mark.parametrize("columns", [("sent1", "sent2"), ("sentence1", "sentence2")])
def test_the_start_of_the_ending_is_put_before_each_choice(columns, write):
    path = write("swag.csv", f"{columns[0]},{columns[1]},ending0,ending1,label\nit was a film,the cat,sat,ran .,1\n")
    examples = read_choice(path)
    assert (examples.texts, examples.choices) == (("it was a film",), (("the cat sat", "the cat ran ."),))
    assert (examples.columns, examples.label_ids, examples.num_choices) == (columns, (1,), 2)
    named = read_choice(path, text_column=columns[0], pair_column=columns[1])
    assert named == examples


LIST = '{"sentence": "a", "choices": %s, "label": %s}\n'
BAD = {
    "number.jsonl": (
        LIST % ('["b", "c"]', 1) + LIST % ('["b", "c", "d"]', 1),
        "number.jsonl:2: .* 2 as the first; got 3",
    ),
    "one.jsonl": (LIST % ('["b"]', 0), "one.jsonl:1: a row has two choices at least; got 1"),
    "none.tsv": (
        "sentence\tlabel\na\t0\n",
        "none.tsv:2: choices stand in columns choice0.*there are 'sentence', 'label'",
    ),
    "gap.tsv": ("sentence\tlabel\tchoice0\tchoice2\na\t0\tb\tc\n", "gap.tsv:2: a row has two choices"),
    "string.jsonl": (LIST % ('"b"', 0), "string.jsonl:1: 'choices' must be a list of texts; got 'b'"),
    "null.jsonl": (LIST % ('["b", null]', 0), "null.jsonl:1: 'choices' must be a list of texts"),
    "high.jsonl": (LIST % ('["b", "c"]', 2), "high.jsonl:1: 'label' must be .* 0 to 1; got 2"),
    "word.jsonl": (LIST % ('["b", "c"]', '"b"'), "word.jsonl:1: 'label' must be the number of the right choice"),
    "true.jsonl": (LIST % ('["b", "c"]', "true"), "true.jsonl:1: 'label' must be .*; got True"),
    "below.jsonl": (LIST % ('["b", "c"]', -1), "below.jsonl:1: 'label' must be .*; got -1"),
    "label.csv": ("sentence,choice0,choice1\na,b,c\n", "label.csv:2: no column 'label'"),
    "text.csv": ("title,choice0,choice1,label\na,b,c,0\n", "text.csv: no column 'sentence'"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_the_file_and_its_line(name, write):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        read_choice(write(name, content))


def test_files_read_together_have_one_number_of_choices(write):
    first, second = write("a.jsonl", LIST % ('["b", "c"]', 1)), write("b.jsonl", LIST % ('["b", "c", "d"]', 2))
    with pytest.raises(ValueError, match="b.jsonl:1: every row has the same number of choices"):
        read_choice([first, second])


def test_questions_need_no_labels(write):
    texts, choices, _ = zip(*ROWS, strict=True)
    unlabelled = write("a.jsonl", "".join(json.dumps({"sentence": t, "choices": c}) + "\n" for t, c, _ in ROWS))
    lines = "".join("\t".join([text, *choices]) + "\n" for text, choices, _ in ROWS)
    for source in (unlabelled, io.BytesIO(lines.encode()), write("b.txt", lines)):
        questions = read_choice_questions(source)
        assert (questions.texts, questions.choices, questions.label_ids) == (texts, choices, ())
    with pytest.raises(ValueError, match="Line 2: every row has the same number of choices, 2 as the first; got 3"):
        read_choice_questions(io.BytesIO(b"a\tb\tc\na\tb\tc\td\n"))


def examples(count=17):
    """Texts and choices of 0 to 5 words that differ; the right one is the only one that says good."""
    words = ["the", "cat", "sat", "very", "film"]
    texts = tuple(" ".join([*words[: i % 6], *["dog"] * (i // 6)]) for i in range(count))
    choices = tuple(
        tuple("good " * (j == i % C) + "a " * ((i + j) % 4) + "!" * j for j in range(C)) for i in range(count)
    )
    return ChoiceExamples(texts, choices, (), tuple(i % C for i in range(count)))


def contents(data):
    """The rows of every example, without padding, and its label."""
    found = []
    for inputs, labels in data.as_numpy_iterator():
        lengths = inputs["input_mask"].sum(-1)  # [B, C]
        for ids, sizes, label in zip(inputs["input_word_ids"], lengths, labels.tolist(), strict=True):
            found.append((tuple(tuple(row[:n].tolist()) for row, n in zip(ids, sizes, strict=True)), label))
    return found


@pytest.mark.parametrize("seed", [None, 5])
def test_an_example_is_a_row_for_each_choice(seed, tiny_spec):
    given, wordpiece = examples(), WordPiece.from_spec(tiny_spec)
    data = choice(given, tiny_spec, batch_size=B, max_length=T, seed=seed)
    found = contents(data)
    right = []
    for text, choices, label in zip(given.texts, given.choices, given.label_ids, strict=True):
        packed = pack([wordpiece.tokenize([text] * C), wordpiece.tokenize(list(choices))], wordpiece, T)
        sizes = packed["input_mask"].numpy().sum(-1)
        ids = packed["input_word_ids"].numpy()
        right.append((tuple(tuple(row[:n].tolist()) for row, n in zip(ids, sizes, strict=True)), label))
    assert sorted(found) == sorted(right)
    assert (found == right) == (seed is None)
    assert data.element_spec[0]["input_mask"].shape.as_list() == [None, C, None]
    assert int(data.cardinality()) == -(-len(given) // B)
    assert sum(any(set(row) for row in rows) for rows, _ in found) == len(given)


def test_examples_without_labels_are_no_batches(tiny_spec):
    with pytest.raises(ValueError, match="each example has a label.*got 0 for 17"):
        choice(ChoiceExamples(examples().texts, examples().choices), tiny_spec)


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    config = BertConfig(
        vocab_size=28,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=16,
        initializer_range=0.4,
    )
    return Chooser(config, tokenizer={"vocabulary": str(tiny_vocabulary), "lowercase": True}, seed=1)


def test_each_choice_is_scored_as_if_it_stood_alone(model):
    inputs, _ = next(iter(choice(examples(), model.tokenizer_spec, batch_size=B, max_length=T)))
    logits = model(inputs).numpy()
    assert logits.shape == (B, C) and logits.std(-1).min() > 1e-3
    for row in range(B):
        for place in range(C):
            length = int(tf.reduce_sum(inputs["input_mask"][row, place]))
            alone = {name: ids[row : row + 1, place : place + 1, :length] for name, ids in inputs.items()}
            np.testing.assert_allclose(model(alone).numpy(), logits[row : row + 1, place : place + 1], atol=1e-5)
    model.use_layout(Padded)
    np.testing.assert_allclose(model(inputs).numpy(), logits, atol=1e-5)
    model.use_layout(Unpadded)


def test_the_exported_model_chooses_as_the_trained_one(model, tmp_path):
    given = examples()
    model = Chooser.from_config(model.get_config())
    model.compile(adamw(5e-2, 40))
    model.fit(choice(given, model.tokenizer_spec, batch_size=B, max_length=T, seed=3), epochs=8, verbose=0)
    batches = choice(given, model.tokenizer_spec, batch_size=B, max_length=T)
    scores = model.scores(batches)
    assert (scores["examples"], scores["choices"]) == (17, C)
    assert scores["accuracy"] > 0.6  # chance is a third
    assert model.evaluate(batches, verbose=0, return_dict=True)["accuracy"] == pytest.approx(scores["accuracy"])

    loaded = tf.saved_model.load(str(export.saved_model(model, tmp_path / "out", max_length=T)))
    serve, asked = loaded.signatures["serving_default"], {"text": given.texts, "choices": given.choices}
    specs = serve.structured_input_signature[1]
    assert {name: spec.shape.as_list() for name, spec in specs.items()} == SIGNATURE
    asked = {name: tf.constant(strings) for name, strings in asked.items()}
    answers = serve(**asked)
    assert (answers["scores"].shape, answers["choice"].dtype) == ((17, C), tf.int32)
    np.testing.assert_allclose(answers["scores"].numpy().sum(-1), 1.0, atol=1e-6)
    logits = np.concatenate([model.predict_on_batch(inputs) for inputs, _ in batches])
    np.testing.assert_allclose(answers["scores"], tf.nn.softmax(logits), atol=1e-5)
    assert (answers["choice"].numpy() == given.label_ids).mean() == pytest.approx(scores["accuracy"])

    ids = loaded.signatures["tokenize"](**asked)
    assert {ids[name].shape[:2] for name in ids} == {(17, C)}
    np.testing.assert_array_equal(loaded.signatures["from_ids"](**ids)["scores"], answers["scores"])
    two = serve(text=tf.constant(given.texts[:5]), choices=tf.constant([row[:2] for row in given.choices[:5]]))
    np.testing.assert_allclose(two["scores"], tf.nn.softmax(logits[:5, :2]), atol=1e-5)
    none = serve(text=tf.constant([], tf.string), choices=tf.zeros([0, C], tf.string))
    assert [none[name].shape for name in ("scores", "choice")] == [(0, C), (0,)]


def test_transformers_has_a_name_for_it(model):
    assert set(model.named_weights()) > {"classifier/kernel", "classifier/bias"}
    assert model.named_weights()["classifier/kernel"].shape == (6, 1)
