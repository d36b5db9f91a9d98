"""Multi-label: files of several labels, thresholds, figures, a model that keeps them, an export and a command line.

B texts, N examples, C labels.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_cases import SIZES, differ, inputs

import export
from export.tasks.multilabel import joined
from kbert.class_weights import weigh
from kbert.cli import main
from kbert.cli.tasks.multilabel import MultiLabel
from kbert.config import BertConfig
from kbert.optimizer import adamw
from kbert.saving import save_model
from kbert.tasks.multilabel import MultiLabelClassifier
from kbert.tasks.multilabel_scores import logit, multilabel_scores, separator_for, sigmoid, tuned_thresholds
from pipelines import MultiLabelExamples, WordPiece, multilabel, pack, read_multilabel

LABELS, MAX_LENGTH = ("cheap", "n\u00e4her", "quiet"), 9
C = len(LABELS)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, "utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    """A model over the tiny vocabulary, whose answers differ widely."""
    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    config = BertConfig(**{**SIZES, "vocab_size": 28, "max_position_embeddings": 16})
    return MultiLabelClassifier(config, tokenizer, LABELS, seed=1, thresholds=[0.4, 0.5, 0.55])


GOOD = {
    "comma.tsv": ("sentence\tlabel\na\tx,z\nb\t\nc\t y , x,y\n", {}),
    "bar.csv": ("sentence,labels\na,x|z\nb,\nc,y|x\n", {"separator": "|"}),
    "list.jsonl": (
        '{"sentence": "a", "labels": ["x", "z"]}\n{"sentence": "b", "labels": []}\n'
        '{"sentence": "c", "labels": ["y", "x", "y"]}\n',
        {},
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_format_reads_to_the_same_labels(name, write):
    content, settings = GOOD[name]
    examples = read_multilabel(write(name, content), **settings)
    assert (examples.texts, examples.pairs, examples.columns) == (("a", "b", "c"), None, ("sentence",))
    assert (examples.labels, examples.label_ids) == (("x", "y", "z"), ((0, 2), (), (0, 1)))
    assert examples.counts() == {"x": 2, "y": 1, "z": 1}
    assert examples.targets().tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 0]]


def test_labels_are_sorted_and_those_of_the_model_come_first(write):
    path = write("t.jsonl", '{"sentence": "a", "label": [10, 9]}\n{"sentence": "b", "label": "9,-1"}\n')
    assert read_multilabel(path).labels == ("-1", "9", "10")
    given = read_multilabel(path, labels=["9", "10", "-1", "7"])
    assert (given.labels, given.label_ids) == (("9", "10", "-1", "7"), ((0, 1), (0, 2)))


BAD = {
    "unknown.tsv": ("sentence\tlabel\na\tx\nb\tx,w\n", {"labels": ["x", "y"]}, "tsv:3: label 'w' is not one of the 2"),
    "bar.tsv": ("sentence\tlabel\na\tx|y\n", {"labels": ["x", "y"]}, "tsv:2: label 'x|y' .* stands ','"),
    "hole.tsv": ("sentence\tlabel\na\tx,,y\n", {}, "tsv:2: 'label' must be a word or a whole number; got ''"),
    "none.tsv": ("sentence\tlabel\na\t\nb\t\n", {}, "one at least; got none from .*none.tsv"),
    "number.jsonl": ('{"sentence": "a", "label": 3}\n', {}, "jsonl:1: 'label' must be a list of labels.* got 3"),
    "null.jsonl": ('{"sentence": "a", "label": [null]}\n', {}, "jsonl:1: 'label' must be a word"),
    "column.tsv": ("sentence\ttags\na\tx\n", {}, "tsv:2: no column 'label'; there are 'sentence', 'tags'"),
    "twice.tsv": ("sentence\tlabel\na\tx\n", {"labels": ["x", "x"]}, "different labels, one at least; got x, x"),
    "space.tsv": ("sentence\tlabel\na\tx\n", {"separator": " "}, "separator is what stands between two labels"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_the_file_and_its_line(name, write):
    content, settings, told = BAD[name]
    with pytest.raises(ValueError, match=f"(?s){told.replace('|', '[|]')}"):
        read_multilabel(write(name, content), **settings)


def test_batches_hold_each_text_with_its_labels(tiny_spec, write):
    path = write("t.tsv", "sentence\tlabel\ncat\tx\ndog\tx,z\nfilm\t\ngood\ty\nbad\tz\n")
    spec = {**tiny_spec, "labels": ["x", "y", "z"]}
    ids = WordPiece.from_spec(spec).tokenize(["cat", "dog", "film", "good", "bad"]).to_tensor()[:, 0].numpy().tolist()
    right = dict(zip(ids, [[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]], strict=True))
    for seed in (None, 3):
        dataset = multilabel(path, spec, batch_size=2, max_length=8, seed=seed)
        assert dataset.element_spec[1].dtype == tf.float32 and int(dataset.cardinality()) == 3
        found = [
            pair
            for x, y in dataset.as_numpy_iterator()
            for pair in zip(x["input_word_ids"][:, 1].tolist(), y.tolist(), strict=True)
        ]
        assert dict(found) == right and len(found) == 5
    with pytest.raises(ValueError, match="must be the model's, in its order: y, x; got x, z"):
        multilabel(MultiLabelExamples(("a",), label_ids=((),), labels=("x", "z")), {**spec, "labels": ["y", "x"]})


def f1(right, said):
    return 2 * (right & said).sum() / max(right.sum() + said.sum(), 1)


def test_no_threshold_is_better_than_the_tuned_one():
    random = np.random.default_rng(0)
    right = random.random([50, 4]) < [0.1, 0.3, 0.6, 0.0]
    said = np.round(np.clip(0.3 * right + random.random([50, 4]) * 0.7, 0, 1), 2)  # with ties
    thresholds = tuned_thresholds(right, said)
    for label, tried in enumerate(said.T):
        values = np.unique([0.0, *tried, 1.1])
        best = max(f1(right[:, label], tried >= t) for t in values)
        assert f1(right[:, label], tried >= thresholds[label]) == pytest.approx(best)
        assert label == 3 or thresholds[label] not in tried
    assert thresholds[3] == 0.5, "a label that never appears"
    assert tuned_thresholds(right[::-1], said[::-1]) == thresholds


@pytest.mark.parametrize(
    "right, said, threshold",
    [
        ([0, 1], [0.1, 0.3], 0.2),  # the middle of neighbours
        ([1, 1], [0.4, 0.9], 0.2),  # the middle of 0 and the lowest
        ([1, 0, 1], [0.8, 0.8, 0.9], 0.4),  # not between what is alike
        ([1, 0, 0, 1], [0.2, 0.5, 0.5000001, 0.9], 0.7),  # nor between what is nearly
        ([0, 0, 1], [0.0, 1.0, 1.0], 0.5),
    ],
)
def test_a_threshold_stands_in_the_middle(right, said, threshold):
    assert tuned_thresholds(np.array(right)[:, None], np.array(said)[:, None]) == [threshold]


def test_figures_are_those_of_their_formulas():
    random = np.random.default_rng(1)
    right = (random.random([30, 3]) < [0.2, 0.5, 0.0]).astype("float32")
    logits, thresholds = random.normal(size=[30, 3]), [0.3, 0.6, 0.5]
    scores = multilabel_scores(right, logits, ["a", "b", "c"], thresholds)
    said, true = sigmoid(logits) >= thresholds, right > 0
    assert scores["micro_f1"] == pytest.approx(f1(true, said))
    assert scores["macro_f1"] == pytest.approx(np.mean([f1(true[:, i], said[:, i]) for i in range(3)]))
    assert scores["exact"] == pytest.approx(np.mean([(true[i] == said[i]).all() for i in range(30)]))
    average = []
    for label in range(2):
        ranked = true[np.argsort(-logits[:, label]), label]
        average.append(np.mean((np.cumsum(ranked) / np.arange(1, 31))[ranked]))
    assert scores["map"] == pytest.approx(np.mean(average)), "over labels that some text has"
    p = sigmoid(logits)
    assert scores["loss"] == pytest.approx(-np.mean(right * np.log(p) + (1 - right) * np.log(1 - p)))
    assert scores["classes"]["c"] | {"precision": 0.0} == {
        **dict.fromkeys(("precision", "recall", "f1", "average_precision"), 0.0),
        "support": 0,
        "threshold": 0.5,
    }
    alone = multilabel_scores(right[:, :1], logits[:, :1], ["a"], thresholds[:1])
    assert alone["classes"]["a"] == scores["classes"]["a"] and alone["macro_f1"] == alone["micro_f1"]


def test_logit_is_the_inverse_of_sigmoid():
    logits = np.array([-30.0, -1.5, 0.0, 4.0])
    np.testing.assert_allclose(logit(sigmoid(logits)), logits, atol=1e-9)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_the_loss_is_the_mean_over_texts_and_labels_and_both_can_be_weighed():
    config, batch, random = BertConfig(**SIZES), inputs(), np.random.default_rng(2)
    right = (random.random([5, C]) < 0.5).astype("int32")
    model = MultiLabelClassifier(config, labels=LABELS, seed=2)
    model.compile()
    p = sigmoid(np.asarray(model(batch)))
    losses = -np.where(right, np.log(p), np.log(1 - p))  # [B, C]
    found = model.evaluate(batch, right, batch_size=2, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert found["label_accuracy"] == pytest.approx(((p >= 0.5) == right).mean())
    for weights in (random.random([5]), random.random([5, C])):
        weights = weights.astype("float32")
        weighed = model.evaluate(batch, right, batch_size=5, sample_weight=weights, verbose=0, return_dict=True)
        wide = weights if weights.ndim == 2 else weights[:, None]
        assert weighed["loss"] == pytest.approx((losses * wide).mean(), rel=1e-5)
    with pytest.raises(ValueError, match="class_weight is for texts of one class each"):
        model.fit(batch, right, class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize("given", [None, [1.0, 0.5]])
def test_classes_weigh_where_a_text_has_them(given):
    labels, weights = np.array([[1, 0, 1], [0, 1, 0]], "float32"), None if given is None else np.array(given)
    parts = (np.zeros([2, 4]), labels) + (() if weights is None else (weights,))
    batches = weigh(lambda epochs: tf.data.Dataset.from_tensors(parts), {0: 3.0, 1: 0.0}, C)
    ((_, same, found),) = batches(range(1)).as_numpy_iterator()
    expected = np.array([[3.0, 1.0, 1.0], [1.0, 0.0, 1.0]]) * (1.0 if weights is None else weights[:, None])
    assert same.tolist() == labels.tolist() and found.tolist() == expected.tolist()


def test_balanced_weights_make_having_a_label_count_as_much_as_not():
    examples = MultiLabelExamples(("a",) * 5, label_ids=((0,), (), (0, 1), (0,), (0,)), labels=LABELS)
    weights = MultiLabel().balanced(examples)
    assert weights == {0: 0.25, 1: 4.0, 2: 1.0}


def test_thresholds_are_held_to_the_labels():
    config = BertConfig(**SIZES)
    assert MultiLabelClassifier(config, labels=LABELS).thresholds == [0.5] * C
    for wrong in ([0.5], [0.5, 0.5, 1.5], [0.5, 0.5, float("nan")]):
        with pytest.raises(ValueError, match="a probability for each of 3 labels; got"):
            MultiLabelClassifier(config, labels=LABELS, thresholds=wrong)
    for labels in (None, [], ["a", "a"]):
        with pytest.raises(ValueError, match="labels names the labels, one at least, each once"):
            MultiLabelClassifier(config, labels=labels)


def test_thresholds_travel_with_the_weights(model, tmp_path):
    folder = save_model(tmp_path / "preset", model)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["problem_type"] == "multi_label_classification"
    assert config["kbert"] == {"task": "multilabel", "thresholds": [0.4, 0.5, 0.55]}
    again = MultiLabelClassifier.from_preset(str(folder))
    assert (again.thresholds, again.labels, again.new_weights) == (model.thresholds, LABELS, ())
    others = MultiLabelClassifier.from_preset(str(folder), labels=["one", "two"])
    assert others.thresholds == [0.5, 0.5] and others.new_weights
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.thresholds == model.thresholds
    assert differ(loaded(inputs()), model(inputs())) == 0


def test_no_threshold_parts_what_another_machine_could_swap():
    said = np.array([0.2, 0.4, 0.4 + 3e-6, 0.4 + 6e-6, 0.7])[:, None]
    right = np.array([0, 0, 0, 1, 1])[:, None]  # best would be a threshold inside of the cluster
    (threshold,) = tuned_thresholds(right, said)
    assert np.abs(said - threshold).min() > 4e-6 and threshold in (pytest.approx(0.3), pytest.approx(0.55, abs=1e-4))


def test_thresholds_are_tuned_by_the_models_own_answers(model, write):
    lines = [
        f"{' '.join(words)}\t{label}" for words, label in zip(TEXTS, ["cheap", "", "quiet,cheap", "cheap"], strict=True)
    ]
    dev = multilabel(
        write("dev.tsv", "sentence\tlabel\n" + "\n".join(lines) + "\n"),
        model.tokenizer_spec,
        batch_size=3,
        max_length=16,
    )
    other = MultiLabelClassifier.from_config(model.get_config())
    other.set_weights(model.get_weights())
    before = other.scores(dev)
    assert other.tune_thresholds(dev) == other.thresholds != model.thresholds
    after = other.scores(dev)
    assert after["classes"]["cheap"]["f1"] >= max(0.85, before["classes"]["cheap"]["f1"])
    assert [row["threshold"] for row in after["classes"].values()] == other.thresholds
    assert other.thresholds[1] == 0.5 and after["map"] == before["map"]


TEXTS = [["the", "cat", "sat"], ["a", "dog"], ["very", "good", "film", "!"], ["bad", "."]]


def test_fit_learns_which_labels_a_word_has():
    batch = inputs(np.ones([40, 5], bool), seed=4)
    first = batch["input_word_ids"].numpy()[:, 1]
    right = np.stack([first % 2, first % 3 == 0, first > 12], 1).astype("float32")
    model = MultiLabelClassifier(BertConfig(**{**SIZES, "num_hidden_layers": 1}), labels=LABELS)
    model.compile(adamw(2e-2))
    history = model.fit(batch, right, epochs=60, batch_size=8, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0] and "label_accuracy" in history


@pytest.mark.parametrize("settings", [{}, {"pair": True}, {"window": 3}], ids=["text", "pair", "window"])
def test_exported_answers_are_the_models(model, settings, tmp_path):
    folder = export.saved_model(model, tmp_path / "served", max_length=MAX_LENGTH, **settings)
    texts = [b"the cat sat .", b"", b"very " * 30 + b"bad", "\u6211 good".encode(), b"invalid \xff", b"dog ! film"]
    columns = [texts, texts[2:] + texts[:2]] if settings.get("pair") else [texts]
    names = ["text_a", "text_b"] if settings.get("pair") else ["text"]
    loaded = tf.saved_model.load(str(folder))
    answers = loaded.signatures["serving_default"](**dict(zip(names, map(tf.constant, columns), strict=True)))
    answers = {name: value.numpy() for name, value in answers.items()}
    assert {name: value.shape for name, value in answers.items()} == {
        "classes": (6, C),
        "scores": (6, C),
        "label": (6,),
    }
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    expected = sigmoid(model(pack([wordpiece.tokenize(column) for column in columns], wordpiece, MAX_LENGTH)))
    fitting = [0, 1, 3, 4, 5] if "window" in settings else range(6)  # the long text is seen as a whole, not cut
    np.testing.assert_allclose(answers["scores"][fitting], expected[fitting], atol=1e-5)
    labels = [label.encode() for label in LABELS]
    assert answers["classes"].tolist() == [labels] * 6
    chosen = answers["scores"] >= np.array(model.thresholds, "float32")
    assert answers["label"].tolist() == [
        b",".join(label for label, is_in in zip(labels, row, strict=True) if is_in) for row in chosen
    ]
    assert 0 < chosen.sum() < chosen.size


def test_labels_with_commas_are_told_apart():
    labels = ("red, dark", "blue", "a|b")
    assert separator_for(labels[:2]) == "|" and separator_for(labels) == ";"
    assert joined(tf.constant([[True, True, True], [False, True, False]]), labels).numpy().tolist() == [
        b"red, dark;blue;a|b",
        b"blue",
    ]


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "loud", "soft"]


def test_the_command_line_trains_scores_predicts_and_exports(tmp_path, capsys):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    sets = [
        ("a loud cat", "cats|loud"),
        ("a dog", "dogs"),
        ("loud dog", "dogs|loud"),
        ("soft", ""),
        ("soft cat", "cats"),
    ]
    for name, part in (("train", sets * 3), ("dev", sets[:4])):
        lines = [f"{text}\t{labels}" for text, labels in part]
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    files = ["--train", tmp_path / "train.tsv", "--dev", tmp_path / "dev.tsv", "--vocabulary", tmp_path / "vocab.txt"]
    run, dev = tmp_path / "run", str(tmp_path / "dev.tsv")
    words = [
        "finetune",
        "--task",
        "multilabel",
        "--label-separator",
        "|",
        "--model",
        "tiny",
        "--lowercase",
        "--out",
        run,
    ]
    words += ["--epochs", "2", "--batch-size", "4", "--learning-rate", "0.001", "--max-length", "7", *files]
    assert main(list(map(str, words))) == 0
    assert "micro_f1" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--data", dev, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scores["examples"] == 4 and list(scores["classes"]) == ["cats", "dogs", "loud"]
    kept = json.loads((run / "config.json").read_text())["kbert"]["thresholds"]
    assert [row["threshold"] for row in scores["classes"].values()] == kept != [0.5] * 3
    assert scores["micro_f1"] == json.loads((run / "task.json").read_text())["result"]["dev"]["micro_f1"]
    assert "| cats |" in (run / "report.md").read_text("utf-8")
    assert main(["predict", str(run), "--input", dev]) == 0
    printed = capsys.readouterr().out
    for line in map(json.loads, printed.splitlines()):
        over = [name for name, t in zip(scores["classes"], kept, strict=True) if line["scores"][name] >= t]
        assert (list(line), line["labels"]) == (["text", "labels", "scores"], over)
    assert main(["export", str(run), "--format", "saved_model", "--out", str(tmp_path / "served")]) == 0
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "served"), "--input", dev]) == 0
    assert capsys.readouterr().out == printed
