"""TFLite files on the command line: exported from a RUN, asked, checked; and what is refused."""

import io
import json
import sys

import pytest
from test_cli import data, last_json, run  # noqa: F401 - fixtures

from kbert.cli import main

TEXTS = ("a cat sat", "the very good film was not bad", "", "unhappy dogs !", "a caf\u00e9\u2026 film")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def file(run, texts, tmp_path_factory):  # noqa: F811
    out = tmp_path_factory.mktemp("exports") / "model.tflite"
    assert main(["export", str(run), "--format", "tflite", "--length", "6,12", "--out", str(out)]) == 0
    return out


def asked(capsys, *words):
    assert main(["predict", *map(str, words)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_file_says_what_its_run_says(run, file, texts, capsys):  # noqa: F811
    said, right = asked(capsys, file, "--input", texts, "--threads", 1), asked(capsys, run, "--input", texts)
    for one, other in zip(said[:-1], right[:-1], strict=True):  # the last text is one that devices part otherwise
        assert (one["text"], one["label"]) == (other["text"], other["label"])
        assert one["scores"] == pytest.approx(other["scores"], abs=1.5e-4)
    assert len(said) == len(TEXTS)


@pytest.mark.parametrize("words", [["--input", "ids"], ["--precision", "int8-full", "--calibration", "TEXTS"]], ids=str)
def test_other_kinds_of_files_say_nearly_what_their_run_says(words, run, texts, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "model.tflite"
    words = [str(texts) if word == "TEXTS" else word for word in words]
    assert main(["export", str(run), "--format", "tflite", "--length", "12", "--out", str(file), *words]) == 0
    capsys.readouterr()
    for one, other in zip(asked(capsys, file, "--input", texts), asked(capsys, run, "--input", texts), strict=True):
        assert one["text"] == other["text"]
        assert one["scores"] == pytest.approx(other["scores"], abs=0.3 if "int8-full" in words else 1.5e-4)


def test_litert_runs_a_run(run, texts, capsys):  # noqa: F811
    said, right = asked(capsys, run, "--input", texts, "--engine", "litert"), asked(capsys, run, "--input", texts)
    assert [line["label"] for line in said[:-1]] == [line["label"] for line in right[:-1]]


def test_the_export_tells_its_size_and_the_check_what_differs(run, texts, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "model.tflite"
    words = [
        "export",
        str(run),
        "--format",
        "tflite",
        "--precision",
        "int8",
        "--max-length",
        "12",
        "--check",
        str(texts),
    ]
    assert main([*words, "--out", str(out), "--json"]) == 0
    told = last_json(capsys.readouterr().out)
    assert (told["precision"], told["lengths"], told["bytes"]) == ("int8", [12], out.stat().st_size)
    assert (told["check"]["texts"], told["check"]["differ"]) == (len(TEXTS), 1)
    assert told["check"]["shown"][0]["text"] == TEXTS[-1]


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(run, file, capsys):  # noqa: F811
    before = file.read_bytes()
    words = ["export", str(run), "--format", "tflite", "--length", "6", "--out", str(file)]
    assert main(words) == 1
    assert "exists" in capsys.readouterr().err and file.read_bytes() == before


@pytest.mark.parametrize(
    "words, code, told",
    [
        (["--precision", "int8-full"], 2, "needs --calibration FILE"),
        (["--calibration", "TEXTS"], 2, "--calibration is for --precision int8-full"),
        (["--calibration", "no/such", "--precision", "int8-full"], 1, "--calibration names a file that exists"),
        (["--check", "TEXTS", "--input", "ids"], 2, "--check is for --input text"),
        (["--length", "long"], 1, "--length is a number of tokens"),
        (["--length", "600"], 1, "A length is a number of tokens from 5"),
        (["--top-k", "3"], 2, "--top-k belongs to --format saved_model"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_refused(words, code, told, run, texts, tmp_path, capsys):  # noqa: F811
    words = [str(texts) if word == "TEXTS" else word for word in words]
    assert main(["export", str(run), "--format", "tflite", "--out", str(tmp_path / "x.tflite"), *words]) == code
    err = capsys.readouterr().err
    assert told in err and not list(tmp_path.iterdir())


def test_files_of_others_and_other_engines_are_refused(run, file, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a cat\n")))
    strange = tmp_path / "strange.tflite"
    strange.write_bytes(b"not a model")
    for words, told in (
        ([str(strange)], "Write one with kbert export --format tflite"),
        ([str(file), "--engine", "tensorflow"], "TensorFlow runs a RUN or a SavedModel"),
        ([str(run), "--threads", "2"], "--threads is for a TFLite file"),
    ):
        assert main(["predict", *words]) in (1, 2)
        assert told in capsys.readouterr().err
