"""The life of a model for choices on the command line, and of one for long texts: trained, scored, asked, exported."""

import io
import json

import numpy as np
import pytest
from saved_model_cases import LABELS, classifier

from kbert.cli import main
from kbert.saving import save_model

CHOICES, LONG = 3, 9  # LONG: most tokens of a row
SIZES = ["--epochs", "2", "--batch-size", "4", "--max-length", str(LONG), "--learning-rate", "0.01"]


@pytest.fixture(scope="module")
def preset(tiny_vocabulary, tmp_path_factory):
    """A small classifier, whose head has no place in a model for choices."""
    return save_model(tmp_path_factory.mktemp("preset") / "small", classifier(tiny_vocabulary))


def write_choices(path, count):
    """The choice that says good is right."""
    rows = []
    for number in range(count):
        choices = ["the cat sat", "a dog ran .", "it was bad"]
        choices[number % CHOICES] += " good"
        rows.append({"sentence1": "very " * (number % 3), "sentence2": "not", "choices": choices})
        rows[-1]["label"] = number % CHOICES
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def write_texts(path, count):
    """Texts of 4 to 20 words, whose last tells the label."""
    words = ("good", "bad", "film")
    rows = [f"{'the cat sat . ' * (1 + n % 5)}{words[n % 3]}\t{LABELS[n % 3]}" for n in range(count)]
    path.write_text("sentence\tlabel\n" + "\n".join(rows) + "\n", "utf-8")
    return path


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def train(task, write, preset, folder, *more):
    files = ["--train", write(folder / "train", 11), "--dev", write(folder / "dev", 7), "--out", folder / "run"]
    assert main(["finetune", "--task", task, "--model", str(preset), *map(str, files), *SIZES, *more]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def chooser(preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("choice")
    return train("choice", lambda path, count: write_choices(path.with_suffix(".jsonl"), count), preset, folder)


def test_a_chooser_answers_in_its_export_as_in_its_run(chooser, capsys, monkeypatch):
    dev, out = chooser.parent / "dev.jsonl", chooser.parent / "1"
    assert main(["evaluate", str(chooser), "--data", str(dev), "--json"]) == 0
    scores = last_json(capsys)
    assert (scores["examples"], scores["choices"]) == (7, CHOICES) and 0 <= scores["accuracy"] <= 1
    assert json.loads((chooser / "config.json").read_text())["architectures"] == ["BertForMultipleChoice"]
    assert main(["predict", str(chooser), "--input", str(dev)]) == 0
    answers = lines(capsys)
    labels = [json.loads(line)["label"] for line in dev.read_text().splitlines()]
    assert np.mean([a["choice"] == n for a, n in zip(answers, labels, strict=True)]) == pytest.approx(
        scores["accuracy"]
    )
    assert answers[1]["text"] == "very " and len(answers[1]["scores"]) == CHOICES
    assert answers[1]["answer"].startswith("not ")

    assert main(["export", str(chooser), "--format", "saved_model", "--out", str(out)]) == 0
    capsys.readouterr()
    asked = "the cat\tnot sat\tnot ran\nfilm\tgood\tbad\n"
    told = []
    for source in (chooser, out):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(asked.encode())))
        assert main(["predict", str(source)]) == 0
        told.append(lines(capsys))
    assert told[0] == told[1] and [line["answer"] in asked for line in told[0]] == [True, True]
    assert all(sum(line["scores"]) == pytest.approx(1, abs=1e-3) for line in told[0])


def test_a_wrong_number_of_choices_is_told_with_its_line(chooser, tmp_path, capsys):
    bad = tmp_path / "bad.jsonl"
    row = '{"sentence1": "a", "sentence2": "", "choices": [%s], "label": 0}\n'
    bad.write_text(row % '"b", "c", "d"' + row % '"b", "c"')
    assert main(["evaluate", str(chooser), "--data", str(bad), "--json"]) == 1
    assert "bad.jsonl:2: every row has the same number of choices, 3 as the first; got 2" in capsys.readouterr().err


def test_long_texts_are_merged_alike_by_evaluation_run_and_export(preset, tmp_path, capsys):
    options = ["--window", "3", "--merge", "max"]
    run = train("classify", lambda path, n: write_texts(path.with_suffix(".tsv"), n), preset, tmp_path, *options)
    dev, out = tmp_path / "dev.tsv", tmp_path / "1"
    assert json.loads((run / "task.json").read_text())["options"] == {"window": 3, "merge": "max"}
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(dev), "--json"]) == 0
    scores = last_json(capsys)
    assert scores["examples"] == 7
    assert main(["export", str(run), "--format", "saved_model", "--out", str(out)]) == 0
    capsys.readouterr()
    told = []
    for source in (run, out):
        assert main(["predict", str(source), "--input", str(dev)]) == 0
        told.append(lines(capsys))
    assert told[0] == told[1]
    labels = [line.split("\t")[1] for line in dev.read_text("utf-8").splitlines()[1:]]
    accuracy = np.mean([line["label"] == label for line, label in zip(told[0], labels, strict=True)])
    assert accuracy == pytest.approx(scores["accuracy"])
    losses = [-np.log(line["scores"][label]) for line, label in zip(told[0], labels, strict=True)]
    assert np.mean(losses) == pytest.approx(scores["loss"], abs=1e-3)  # printed scores have four digits
