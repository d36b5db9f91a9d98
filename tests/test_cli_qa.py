"""The life of a span reader on the command line: trained, scored, asked, exported."""

import io
import json
from pathlib import Path

import pytest
from qa_cases import CONTEXTS, reader

from kbert.cli import main
from kbert.saving import save_model

SIZES = ["--max-length", "15", "--doc-stride", "4", "--max-query-length", "5", "--batch-size", "4", "--epochs", "2"]
QUESTIONS = [  # question, context, answer; one has none
    ("the cat ?", 0, "cat sat"),
    ("a dog", 0, "dog"),
    ("was it ?", 0, None),
    ("film", 1, "very good"),
    ("was it bad", 1, "not bad"),
    ("who", 1, None),
    ("it", 1, "it sat"),
]


def write(path, *more):
    rows = [
        {
            "id": f"q{number}",
            "question": question,
            "context": CONTEXTS[place],
            "answers": {"text": [answer] if answer else [], "answer_start": [0] if answer else []},
        }
        for number, (question, place, answer) in enumerate([*QUESTIONS, *more])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def run(tiny_vocabulary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("qa")
    preset = save_model(folder / "preset", reader(tiny_vocabulary))
    train, dev = write(folder / "train.jsonl", ("dog ?", 0, "cow")), write(folder / "dev.jsonl")
    files = ["--model", preset, "--train", train, "--dev", dev, "--out", folder / "run"]
    command = ["finetune", "--task", "qa", *map(str, files), *SIZES, "--learning-rate", "0.01"]
    assert main(command) == 1  # an answer that is not in its context
    assert main([*command, "--skip-bad", "--overwrite"]) == 0
    return folder / "run"


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_reader_is_scored_and_writes_the_files_of_squad(run, capsys, tmp_path):
    dev = run.parent / "dev.jsonl"
    assert main(["evaluate", str(run), "--data", str(dev), "--out", str(tmp_path / "said"), "--json"]) == 0
    scores = lines(capsys)[-1]
    assert (scores["examples"], scores["answerable_examples"], scores["unanswerable_examples"]) == (7, 5, 2)
    assert scores["f1"] == pytest.approx(scores["best_f1"])  # the threshold was chosen on these questions
    said, nbest, odds = (json.loads(Path(path).read_text("utf-8")) for path in scores["files"])
    assert list(said) == list(nbest) == list(odds) == [f"q{number}" for number in range(7)]
    config = json.loads((run / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]
    assert config["kbert"] == {"task": "qa", "null_score_diff_threshold": scores["threshold"]}
    assert main(["predict", str(run), "--input", str(dev)]) == 0
    answers = lines(capsys)
    assert {answer["id"]: answer["answer"] for answer in answers} == said
    for answer, (_, place, _) in zip(answers, QUESTIONS, strict=True):
        part = CONTEXTS[place][answer["start"] : answer["end"]] if answer["answer"] else ""
        assert part == answer["answer"] and (answer["start"] == -1) == (not part)


def test_a_reader_answers_in_its_export_as_in_its_run(run, capsys, monkeypatch, tmp_path):
    assert main(["export", str(run), "--format", "saved_model", "--out", str(tmp_path / "1")]) == 0
    asked = "".join(f"{question}\t{CONTEXTS[place]}\n" for question, place, _ in QUESTIONS) + "it\t\n"
    capsys.readouterr()
    said = []
    for source in (run, tmp_path / "1"):
        monkeypatch.setattr("sys.stdin", io.StringIO(asked))
        assert main(["predict", str(source)]) == 0
        said.append(lines(capsys))
    assert said[0] == said[1] and len(said[0]) == 8
    assert (said[0][7]["answer"], said[0][7]["start"], said[0][7]["score"]) == ("", -1, 0)


def test_what_cannot_be_trained_is_said(run, capsys):
    assert main(["evaluate", str(run), "--data", str(run / "task.json")]) == 1
    assert "no key 'data'" in capsys.readouterr().err
