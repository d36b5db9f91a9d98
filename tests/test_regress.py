"""Regression: files of scores, a model that learns a number, figures, an export and a command line that give it.

B texts, N examples.
"""

import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_cases import SIZES, differ, inputs, weights_of

import export
from kbert.cli import main
from kbert.config import BertConfig
from kbert.optimizer import adamw
from kbert.saving import save_model
from kbert.tasks.classify import Classifier
from kbert.tasks.regress import Regressor
from kbert.tasks.regress_scores import regression_scores
from pipelines import RegressionExamples, WordPiece, pack, read_regression, regression
from pipelines.batches import texts as batches_of_texts

MAX_LENGTH = 9


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, "utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    """A model over the tiny vocabulary, whose numbers differ widely."""
    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return Regressor(BertConfig(**{**SIZES, "vocab_size": 28, "max_position_embeddings": 16}), tokenizer, seed=1)


GOOD = {
    "label.tsv": "sentence\tlabel\na\t2.50\nb\t-1e-1\nc\t+3\n",
    "score.csv": "sentence,score\na,2.5\nb,-.1\nc,3.\n",
    "both.jsonl": '{"sentence": "a", "label": 2.5, "score": 9}\n{"sentence": "b", "label": "-0.1", "score": 9}\n'
    '{"sentence": "c", "label": 3, "score": 9}\n',
}


@pytest.mark.parametrize("name", GOOD)
def test_every_format_reads_to_the_same_scores(name, write):
    examples = read_regression(write(name, GOOD[name]))
    assert (examples.texts, examples.pairs, examples.columns) == (("a", "b", "c"), None, ("sentence",))
    assert examples.scores == (2.5, -0.1, 3.0)


def test_pairs_and_named_columns(write):
    path = write("pairs.tsv", "sentence1\tsentence2\tsame\tscore\na\tb\t1\t2\nc\td\t3\t4\n")
    examples = read_regression(path)
    assert (examples.texts, examples.pairs, examples.scores) == (("a", "c"), ("b", "d"), (2.0, 4.0))
    assert read_regression(path, label_column="same").scores == (1.0, 3.0)
    with pytest.raises(ValueError, match=r"pairs.tsv:2: no column 'grade'; there are .*'score'"):
        read_regression(path, label_column="grade")


BAD = ["nan", "inf", "-Infinity", "high", "", "1,5", "1_000", "0x1", "1e39", "\u0661"]


@pytest.mark.parametrize("value", BAD)
def test_a_score_that_is_no_finite_number_names_its_line(value, write):
    with pytest.raises(ValueError, match=r"bad.tsv:3: 'score' must be a finite number, as 3 or 2.75; got "):
        read_regression(write("bad.tsv", f"sentence\tscore\na\t1\nb\t{value}\n"))


@pytest.mark.parametrize("value", ["NaN", "true", "null", "[1]", "1" + "0" * 400])
def test_json_scores_are_held_to_the_same(value, write):
    with pytest.raises(ValueError, match=r"bad.jsonl:1: 'label' must be a finite number"):
        read_regression(write("bad.jsonl", f'{{"sentence": "a", "label": {value}}}\n'))


def test_batches_hold_each_text_with_its_score(tiny_spec, write):
    words = ["cat", "dog", "film", "good", "bad", "very", "sat"]
    path = write("t.tsv", "sentence\tscore\n" + "".join(f"{w}\t{i / 4}\n" for i, w in enumerate(words)))
    ids = {row: i / 4 for i, row in enumerate(WordPiece.from_spec(tiny_spec).tokenize(words).to_tensor()[:, 0].numpy())}
    for seed in (None, 3):
        dataset = regression(path, tiny_spec, batch_size=4, max_length=8, seed=seed)
        assert dataset.element_spec[1] == tf.TensorSpec([None], tf.float32) and int(dataset.cardinality()) == 2
        found = [
            pair for x, y in dataset.as_numpy_iterator() for pair in zip(x["input_word_ids"][:, 1], y, strict=True)
        ]
        assert dict(found) == ids and len(found) == 7
        assert (found == list(ids.items())) == (seed is None)


def test_stsb_as_it_comes_gets_a_header_from_the_documented_line(shared_data, tmp_path):
    command = next(line for line in read_regression.__doc__.splitlines() if "awk" in line).strip().strip("`")
    source = shared_data / "stsb" / "sts-dev.tsv"
    done = subprocess.run(
        ["bash", "-c", command.replace("sts-train.tsv", str(source))], capture_output=True, text=True, check=True
    )
    (tmp_path / "dev.tsv").write_text(done.stdout, "utf-8")
    examples = read_regression(tmp_path / "dev.tsv")
    assert (len(examples), examples.columns) == (1500, ("sentence1", "sentence2"))
    assert np.mean(examples.scores) == pytest.approx(2.364, abs=5e-4)  # as its authors tell


def test_figures_are_those_of_their_formulas():
    random = np.random.default_rng(0)
    right, said = random.normal(size=[2, 40])
    said = said + right
    scores = regression_scores(right, said)
    assert scores["pearson"] == pytest.approx(np.corrcoef(right, said)[0, 1])
    ranks = [np.argsort(np.argsort(values)) for values in (right, said)]
    assert scores["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert scores["mse"] == scores["loss"] == pytest.approx(np.mean((right - said) ** 2))
    assert scores["mae"] == pytest.approx(np.mean(np.abs(right - said)))
    assert scores["examples"] == 40 and "undefined" not in scores


@pytest.mark.parametrize(
    "right, said, told",
    [([1, 2, 3], [0.1] * 3, "all answers are alike"), ([2, 2], [1, 3], "all scores are alike"), ([1], [2], "answers")],
)
def test_a_correlation_of_constants_is_zero_and_says_why(right, said, told):
    scores = regression_scores(np.array(right), np.array(said, "float32"))
    assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0) and told in scores["undefined"]
    with pytest.raises(ValueError, match="answers are finite numbers; 1 of 3 are not"):
        regression_scores(np.ones(3), np.array([1.0, np.nan, 2.0]))


def test_the_loss_of_a_text_is_its_own():
    """Weights weigh texts, a batch's mean is over texts, and a column of scores [B, 1] is as good as [B]."""
    config, batch = BertConfig(**SIZES), inputs()
    right, weights = np.array([3.0, -1.0, 0.0, 2.0, 5.0], "float32"), np.array([0.0, 2.0, 1.0, 0.0, 0.5], "float32")
    model = Regressor(config, seed=2)
    model.compile()
    error = np.asarray(model(batch)) - right
    found = model.evaluate(batch, right, batch_size=2, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(np.mean(error**2), rel=1e-5)
    assert found["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)
    column = model.evaluate(batch, right[:, None], batch_size=5, verbose=0, return_dict=True)
    assert column["loss"] == pytest.approx(found["loss"], rel=1e-5)
    weighed = model.evaluate(batch, right, batch_size=5, sample_weight=weights, verbose=0, return_dict=True)
    assert weighed["loss"] == pytest.approx(np.mean(weights * error**2), rel=1e-5)


def test_scores_of_batches_are_the_figures_of_the_answers(model, write):
    path = write("t.tsv", "sentence\tscore\nthe cat sat\t1\na dog\t4\nvery good film !\t2\n")
    examples = read_regression(path)
    spec = model.tokenizer_spec
    dataset, back = batches_of_texts(examples.texts, spec, max_length=MAX_LENGTH)
    said = np.concatenate([np.asarray(model(x)) for x in dataset])[back]
    scores = model.scores(regression(examples, spec, batch_size=2, max_length=MAX_LENGTH))
    assert scores == pytest.approx(regression_scores(np.array(examples.scores), said), rel=1e-3)


def test_windows_of_a_text_are_merged_into_one_answer(model):
    text = "the cat sat . a dog ran ! it was a very good film"
    examples = RegressionExamples((text, "a dog"), scores=(0.0, 0.0))
    short = regression(examples, model.tokenizer_spec, max_length=6, batch_size=8, window=3)
    for merge, whole in (("mean", np.mean), ("max", np.max)):
        rows = np.concatenate([np.asarray(model(x)) for x, _ in short])
        owners = np.concatenate([x["input_text_ids"] for x, _ in short])
        expected = [whole(rows[owners == owner]) for owner in (0, 1)]
        scores = model.scores(short, merge)
        assert scores["examples"] == 2 and scores["mae"] == pytest.approx(np.mean(np.abs(expected)), rel=1e-4)
    assert len(rows) > 3


def test_a_preset_gives_the_head_back_and_transformers_reads_one_output(model, tmp_path):
    folder = save_model(tmp_path / "preset", model)
    again = Regressor.from_preset(str(folder))
    assert again.new_weights == () and again.labels is None
    assert all(np.array_equal(values, weights_of(again)[name]) for name, values in weights_of(model).items())
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert (config["problem_type"], config["id2label"]) == ("regression", {"0": "LABEL_0"})
    assert config["architectures"] == ["BertForSequenceClassification"]
    other = Classifier.from_preset(str(folder), labels=["x", "y"])
    assert other.new_weights == ("classifier/kernel", "classifier/bias")
    with pytest.raises(ValueError, match="has no labels; got"):
        Regressor(model.config, labels=["a", "b"])


def test_a_saved_model_learns_on(tmp_path):
    model = Regressor(BertConfig(**SIZES), seed=3)
    model.compile(adamw(1e-2))
    batch, right = inputs(), np.arange(5, dtype="float32")
    before = model.evaluate(batch, right, verbose=0)[0]
    model.fit(batch, right, epochs=5, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert differ(loaded(batch), model(batch)) == 0
    assert loaded.evaluate(batch, right, verbose=0)[0] < 0.9 * before
    loaded.fit(batch, right, verbose=0)


@pytest.mark.parametrize("settings", [{}, {"pair": True}, {"window": 3}], ids=["text", "pair", "window"])
def test_exported_answers_are_the_models(model, settings, tmp_path):
    folder = export.saved_model(model, tmp_path / "served", max_length=MAX_LENGTH, **settings)
    texts = [b"the cat sat .", b"", b"very " * 30 + b"bad", "\u6211 good".encode(), b"invalid \xff"]
    columns = [texts, texts[2:] + texts[:2]] if settings.get("pair") else [texts]
    names = ["text_a", "text_b"] if settings.get("pair") else ["text"]
    loaded = tf.saved_model.load(str(folder))
    answers = loaded.signatures["serving_default"](**dict(zip(names, map(tf.constant, columns), strict=True)))
    assert list(answers) == ["score"] and answers["score"].dtype == tf.float32 and answers["score"].shape == [5]
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    expected = np.asarray(model(pack([wordpiece.tokenize(column) for column in columns], wordpiece, MAX_LENGTH)))
    fitting = [0, 1, 3, 4] if "window" in settings else range(5)  # the long text is seen as a whole, not cut
    np.testing.assert_allclose(answers["score"].numpy()[fitting], expected[fitting], atol=1e-5)
    assert expected.std() > 1e-2
    if "window" in settings:
        assert abs(answers["score"].numpy()[2] - expected[2]) > 1e-4


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "one", "two", "three", "four"]


def test_the_command_line_trains_scores_predicts_and_exports_pairs(tmp_path, capsys, monkeypatch):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    lines = [f"a {n}\t{m} cat\t{i + j / 4}" for i, n in enumerate(WORDS[8:]) for j, m in enumerate(WORDS[8:11])]
    for name, part in (("train", lines), ("dev", lines[1::3])):
        (tmp_path / f"{name}.tsv").write_text("sentence1\tsentence2\tscore\n" + "\n".join(part) + "\n")
    files = ["--train", tmp_path / "train.tsv", "--dev", tmp_path / "dev.tsv", "--vocabulary", tmp_path / "vocab.txt"]
    run = tmp_path / "run"
    words = ["finetune", "--task", "regress", "--model", "tiny", "--lowercase", "--epochs", "2", "--batch-size", "5"]
    words += ["--learning-rate", "0.001", "--max-length", "10", "--out", run, *files]
    assert main(list(map(str, words))) == 0
    assert "spearman" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--data", str(tmp_path / "dev.tsv"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scores["examples"] == 4
    assert scores["mse"] == pytest.approx(json.loads((run / "task.json").read_text())["result"]["dev"]["mse"], rel=1e-4)
    assert "## Farthest from their scores" in (run / "report.md").read_text("utf-8")
    assert main(["predict", str(run), "--input", str(tmp_path / "dev.tsv")]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(answer) for answer in answers] == [["text", "pair", "score"]] * 4
    right = [float(line.split("\t")[2]) for line in lines[1::3]]
    assert np.mean([(a["score"] - r) ** 2 for a, r in zip(answers, right, strict=True)]) == pytest.approx(
        scores["mse"], abs=1e-3
    )
    served = tmp_path / "served"
    assert main(["export", str(run), "--format", "saved_model", "--out", str(served)]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a two\ttwo cat\n")))
    capsys.readouterr()
    assert main(["predict", str(served)]) == 0
    assert json.loads(capsys.readouterr().out) == answers[1]
