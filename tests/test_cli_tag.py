"""The life of a tagger on the command line: trained on columns, scored, asked of texts and of words, exported."""

import io
import json

import pytest
from saved_model_cases import classifier

from kbert.cli import main
from kbert.saving import save_model

SENTENCES = (
    (("the", "I-X"), ("cat", "I-X"), ("sat", "O"), (".", "O")),
    (("a", "O"), ("dog", "I-Y"), ("ran", "O")),
    (
        ("it", "O"),
        ("was", "O"),
        ("the", "I-X"),
        ("cat", "I-X"),
        ("a", "O"),
        ("cat.dog", "I-Y"),
        ("sat", "O"),
        ("!", "O"),
    ),
)


@pytest.fixture(scope="module")
def run(tiny_vocabulary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tag")
    preset = save_model(folder / "small", classifier(tiny_vocabulary))
    text = "".join("".join(f"{word} X {tag}\n" for word, tag in sentence) + "\n" for sentence in SENTENCES)
    for name in ("eng.train", "eng.testa"):
        (folder / name).write_text("-DOCSTART- X O\n\n" + text * (5 if name == "eng.train" else 1), "utf-8")
    words = ["--train", folder / "eng.train", "--dev", folder / "eng.testa", "--out", folder / "run"]
    words += ["--model", preset, "--epochs", 8, "--batch-size", 4, "--max-length", 8, "--learning-rate", 0.02]
    assert main(["finetune", "--task", "tag", "--crf", *map(str, words)]) == 0
    return folder / "run"


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_tagger_answers_in_its_export_as_in_its_run(run, capsys, monkeypatch):
    dev, out = run.parent / "eng.testa", run.parent / "1"
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(dev), "--json"]) == 0
    scores = lines_after_table(capsys)
    assert (scores["sentences"], scores["words"]) == (3, 15)
    assert set(scores["types"]) >= {"X", "Y"} and 0 <= scores["f1"] <= 1
    said = json.loads((run / "task.json").read_text())
    assert (said["labels"], said["scheme"]) == (["O", "B-X", "I-X", "B-Y", "I-Y"], "iob2")
    assert "## Entities" in (run / "report.md").read_text()

    assert main(["predict", str(run), "--input", str(dev)]) == 0
    answers = lines(capsys)
    given = [[word for word, _ in sentence] for sentence in SENTENCES]
    assert [answer["words"] for answer in answers] == given
    assert [answer["text"] for answer in answers] == [" ".join(words) for words in given]
    tags = [tag[-1] for answer in answers for tag in answer["tags"]]  # O, or the type
    right = sum(said == tag[-1] for said, (_, tag) in zip(tags, sum(SENTENCES, ()), strict=True))
    assert right >= 10  # of 15: it has learned something

    assert main(["export", str(run), "--format", "saved_model", "--out", str(out)]) == 0
    capsys.readouterr()
    told = []
    for source in (run, out):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("the cat sat, cat.dog \U0001f642!\n\n".encode())))
        assert main(["predict", str(source)]) == 0
        told.append(lines(capsys))
    assert told[0] == told[1]
    text = told[0][0]["text"]
    assert told[0][0]["words"] == ["the", "cat", "sat", ",", "cat", ".", "dog", "\U0001f642", "!"]
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in told[0][0]["entities"])
    assert told[0][1] == {"text": "", "entities": [], "words": [], "tags": [], "starts": []}


def lines_after_table(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_wrong_tag_is_told_with_its_line(run, tmp_path, capsys):
    bad = tmp_path / "bad.conll"
    bad.write_text("the O\ncat I-Z\n", "utf-8")
    assert main(["evaluate", str(run), "--data", str(bad)]) == 1
    assert "bad.conll:2: tag 'B-Z' is not one of the 5 known: O, B-X" in capsys.readouterr().err
