"""`kbert export` in the formats of others, of a finished RUN; and what each format is worth on a dev set."""

import json
import os
import re
import sys

import pytest
from exported_models import P, make

from export.litert_files import read_about
from kbert.cli import comparing, main
from kbert.cli.format import Asked
from kbert.cli.progress import bar
from kbert.cli.quiet import quiet
from kbert.cli.trained import open_trained
from kbert.saving import save_model


@pytest.fixture(scope="module")
def run(tiny_vocabulary, tmp_path_factory):
    """A finished RUN of a classifier, as kbert finetune leaves it."""
    model = make("classify", tiny_vocabulary)
    folder = save_model(tmp_path_factory.mktemp("runs") / "tone", model)
    said = {
        "task": "classify",
        "labels": list(model.labels),
        "max_length": P,
        "text_columns": ["sentence"],
        "label_column": None,
        "options": {},
        "settings": {"train": "somewhere/train.tsv", "dev": "somewhere/dev.tsv", "model": "minilm-l6"},
        "result": {"dev": {"accuracy": 0.75}},
    }
    (folder / "task.json").write_text(json.dumps(said))
    return folder


def export(run, out, *options):
    return main(["export", str(run), "--out", str(out), *options])


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_versions_follow_one_another_in_eight_bits_and_batched(run, tmp_path, capsys):
    words = ["--format", "saved_model", "--versions", "--json", "--license", "mit"]
    assert export(run, tmp_path / "tone", *words) == 0
    first = last_json(capsys)
    assert first["out"].endswith("tone/1") and first["precision"] == "float32"
    assert export(run, tmp_path / "tone", *words, "--precision", "int8", "--signature-batching") == 0
    assert last_json(capsys)["out"].endswith("tone/2")
    assert sorted(path.name for path in (tmp_path / "tone").iterdir()) == ["1", "2", "batching.config", "models.config"]
    card = (tmp_path / "tone" / "1" / "README.md").read_text("utf-8")
    for told in ("mit", "`minilm-l6`", "`train.tsv`", "| accuracy | 0.7500 |"):
        assert told in card
    assert "somewhere" not in card
    asked = tmp_path / "asked.txt"
    asked.write_text("the cat sat\nunhappy\n")
    answers = []
    for folder in (run, tmp_path / "tone" / "1", tmp_path / "tone" / "2", tmp_path / "tone"):
        assert main(["predict", str(folder), "--input", str(asked)]) == 0
        answers.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert answers[0] == answers[1] and len(answers[2]) == 2
    assert answers[3] == answers[2]  # the last version


def test_the_hubs_pair_and_the_folder_for_transformers(run, tmp_path, capsys):
    assert export(run, tmp_path / "pair", "--format", "hub", "--json") == 0
    assert last_json(capsys)["seq_length"] == P
    assert {path.name for path in (tmp_path / "pair").iterdir()} == {"preprocess", "encoder", "README.md"}
    assert main(["predict", str(tmp_path / "pair" / "encoder"), "--input", str(run / "vocab.txt")]) == 1
    assert "input_word_ids int32" in (told := capsys.readouterr().err) and "Write one with kbert export" in told
    assert export(run, tmp_path / "theirs", "--format", "huggingface", "--license", "mit") == 0
    assert "huggingface" in capsys.readouterr().out
    assert "license: mit" in (tmp_path / "theirs" / "README.md").read_text("utf-8")
    assert main(["convert", str(tmp_path / "theirs"), str(tmp_path / "google")]) == 0


WRONG = {
    "precision": (["--format", "saved_model", "--precision", "float16"], "saved_model has --precision float32 or int8"),
    "of another": (["--format", "hub", "--signature-batching"], "--signature-batching belongs to --format saved_model"),
    "no format": ([], "Missing option '--format'"),
    "a table": (["--compare", "dev.tsv"], "--compare prints a table and writes nothing"),
}


@pytest.mark.parametrize("words, told", WRONG.values(), ids=WRONG)
def test_wrong_use_is_told(run, tmp_path, words, told, capsys):
    assert export(run, tmp_path / "out", *words) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["saved_model", "hub", "huggingface"])
def test_a_folder_with_files_is_kept_unless_it_may_go(run, tmp_path, format, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    assert export(run, tmp_path / "mine", "--format", format) == 1
    assert "holds files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


FORMS = ("saved_model", "saved_model int8", "tflite", "tflite float16", "tflite int8", "tflite int8-full")


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    texts = ("the cat sat", "a dog ran", "unhappy !", "very good", "not bad .", "it was")
    rows = [f"{text}\t{('negative', 'positive')[number % 2]}" for number, text in enumerate(texts)]
    file = tmp_path_factory.mktemp("dev") / "dev.tsv"
    file.write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return file


def test_the_formats_of_a_run_are_compared(run, dev, capsys):
    assert main(["evaluate", str(run), "--data", str(dev), "--json"]) == 0
    accuracy = last_json(capsys)["accuracy"]
    assert main(["export", str(run), "--compare", str(dev), "--json"]) == 0
    told = last_json(capsys)
    by_name = {one["name"]: one for one in told["formats"]}
    assert told["figure"] == "accuracy"
    assert {"saved_model", "saved_model int8", "tflite"} <= set(by_name)
    assert len(by_name) + len(told["left_out"]) == 5
    assert by_name["saved_model"]["figure"] == by_name["tflite"]["figure"] == pytest.approx(accuracy)
    assert all(one["megabytes"] > 0 and one["p50_ms"] > 0 and one["rate"] > 0 for one in by_name.values())


def test_the_comparison_is_a_table_with_a_bar_before_it(run, dev, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal for rich
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["export", str(run), "--compare", str(dev), "--calibration", str(dev)]) == 0
    out, err = capfd.readouterr()
    header, *rows = out.splitlines()
    assert re.split("  +", header) == ["format", "size MB", "dev accuracy", "p50 ms", "texts/s"]
    assert [re.split("  +", row)[0] for row in rows] == list(FORMS)
    for row in rows:
        name, size, accuracy, p50, rate = re.split("  +", row)
        assert len(row) == len(header) and float(size) >= 0 and 0 <= float(accuracy) <= 1
        assert float(p50) > 0 and float(rate) > 0
    assert all(f"{name} " in err for name in FORMS)


def test_texts_for_int8_are_there_before_anything_is_measured(run, dev, tmp_path, capsys):
    assert main(["export", str(run), "--compare", str(dev), "--calibration", str(tmp_path / "none.txt")]) == 1
    assert "--calibration names a file that exists" in capsys.readouterr().err


def test_short_texts_have_short_rows_and_litert_the_threads_of_tensorflow(run, dev, monkeypatch):
    opened = []
    whole = comparing.open_answerer

    def open_answerer(source, **settings):
        about = read_about(source) if source.is_file() else {"lengths": None}
        opened.append((about["lengths"], settings))
        return whole(source, **settings)

    monkeypatch.setattr(comparing, "open_answerer", open_answerer)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    task, model = open_trained(run, "a test")
    tflite = {"tflite": comparing.usual_forms(P)["tflite"]}
    asked = Asked(run, task, model, run, P, overwrite=False)
    comparing.compare(tflite, asked, dev, say=pytest.fail, advance=lambda *_: None)
    assert opened == [([16], {"threads": 3})]
    assert comparing.usual_forms(100)["tflite int8"].options.length == "16,32,64,100"


def test_a_bar_is_seen_where_native_code_is_not(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with bar(2, "opening", shown=True) as advance, quiet():
        os.write(2, b"native talk")
        advance(1, "writing")
    err = capfd.readouterr().err
    assert "writing" in err and "talk" not in err


def test_an_export_says_that_it_works(run, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert export(run, tmp_path / "quiet", "--format", "huggingface") == 0
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert export(run, tmp_path / "told", "--format", "huggingface") == 0
    out, err = capfd.readouterr()
    assert "opening" in err and "writing huggingface" in err and "writing" not in out
