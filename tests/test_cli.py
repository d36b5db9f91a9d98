"""The command line: exit codes, errors in a line or two, JSON, and a whole life of a tiny model."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kbert
from kbert.cli import main

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "sleeps", "barks", "the", "loud", "soft"]
LABELS = ("cats", "dogs")
NEEDED = ["--task", "classify", "--model", "tiny", "--epochs", "2", "--batch-size", "3", "--max-length", "7"]


def rows(count):
    """Texts of 2 to 4 words; the animal decides the label."""
    animals = (("cat", "sleeps", "cats"), ("dog", "barks", "dogs"))
    found = []
    for number in range(count):
        animal, verb, label = animals[number % 2]
        found.append((" ".join(["the", "loud", "a"][: number % 3] + [animal, verb]), label))
    return found


def write(path, examples, header="sentence\tlabel"):
    path.write_text("\n".join([header, *map("\t".join, examples)]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    write(folder / "train.tsv", rows(11))
    write(folder / "dev.tsv", rows(5))
    return folder


def finetune_words(data, out, *more):
    files = ["--train", data / "train.tsv", "--dev", data / "dev.tsv", "--vocabulary", data / "vocab.txt"]
    return ["finetune", *NEEDED, "--lowercase", *map(str, files), "--out", str(out), "--learning-rate", "0.001", *more]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    assert main(finetune_words(data, out)) == 0
    return out


@pytest.fixture(scope="module")
def saved_model(run, tmp_path_factory):
    pytest.importorskip("export")
    out = tmp_path_factory.mktemp("exports") / "1"
    assert main(["export", str(run), "--format", "saved_model", "--out", str(out)]) == 0
    return out


def last_json(text):
    return json.loads(text.splitlines()[-1])


COMMANDS = ("vocab", "word-vectors", "prepare", "data-service", "pretrain", "show-batch", "finetune", "evaluate")
COMMANDS += ("predict", "fill-mask", "score", "features", "zero-shot", "few-shot", "index", "search", "export")
COMMANDS += ("convert", "extend-vocab", "cut-vocab", "sample")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example_of_itself(command, capsys):
    assert main([command, "--help"]) == 0
    assert "Example:" in (told := capsys.readouterr().out) and f"kbert {command} " in told.split("Example:")[1]
    assert "--json" in told


def test_help_names_every_command_and_no_other(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == list(COMMANDS)


WRONG_USE = {
    "no such command": (["fly"], "No such command 'fly'"),
    "no such option": (["evaluate", "run", "--fast"], "No such option: --fast"),
    "missing option": (["evaluate", "run"], "Missing option '--data'"),
    "missing argument": (["evaluate", "--data", "x"], "Missing argument 'RUN'"),
    "no such task": (["finetune", "--task", "dance"], "'dance' is not one of 'classify'"),
    "no such format": (["export", "run", "--format", "onnx", "--out", "x"], "'onnx' is not one of 'saved_model'"),
    "no such sample": (["sample", "novels", "--out", "x"], "'novels' is not one of 'docstrings'"),
    "no such layout": (["convert", "a", "b", "--layout", "c"], "'c' is not one of 'huggingface', 'google'"),
    "not a number": (
        ["evaluate", "run", "--data", "x", "--batch-size", "many"],
        "'--batch-size': Input should be a valid integer",
    ),
    "too small": (
        ["evaluate", "run", "--data", "x", "--batch-size", "0"],
        "Input should be greater than or equal to 1",
    ),
}


@pytest.mark.parametrize("words, told", WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_exits_with_2_and_says_what_is_right(words, told, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert told.lower() in err.lower() and out == ""
    assert len(err.strip().splitlines()) <= 2 and err.startswith("kbert: ") and "--help" in err


def test_resume_and_overwrite_exclude_each_other(data, tmp_path, capsys):
    assert main(finetune_words(data, tmp_path / "run", "--resume", "--overwrite")) == 2
    assert "--resume and --overwrite exclude each other" in capsys.readouterr().err


def test_a_run_never_overwrites_the_model_that_it_starts_from(run, data, capsys):
    assert main(finetune_words(data, run, "--model", str(run), "--overwrite")) == 2
    assert "different folders" in capsys.readouterr().err


FAILURES = {
    "no train file": (["--train", "no.tsv"], "--train names a file that exists; got no.tsv"),
    "no vocabulary": (["--vocabulary", "no.txt"], "--vocabulary names a file that exists; got no.txt"),
    "no such preset": (["--model", "no/such/model"], "no/such/model"),
    "no such column": (["--text-column", "words"], "no column 'words'; there are 'sentence', 'label'"),
    "unknown label": (["--labels", "cats,birds"], "train.tsv:3: label 'dogs' is not one of the 2 known: cats, birds"),
    "one label": (["--labels", "cats"], "two or more different labels"),
    "too long": (["--max-length", "5000"], "max_length is at most 512 for this model; got 5000"),
    "rate": (["--learning-rate", "0"], "learning_rate is above 0; got 0.0"),
}


@pytest.mark.parametrize("words, told", FAILURES.values(), ids=FAILURES.keys())
def test_a_users_mistake_is_a_line_and_leaves_nothing(words, told, data, tmp_path, capsys):
    assert main(finetune_words(data, tmp_path / "run", *words)) == 1
    out, err = capsys.readouterr()
    assert told in err and "Traceback" not in err and out == ""
    assert len(err.strip().splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


FILES = {
    "a row with too few fields": (["sentence\tlabel", "a cat\tcats", "a dog"], "train.tsv:3"),
    "an empty file": ([], "train.tsv is empty"),
    "a label of dev unseen in train": (["sentence\tlabel", "a\tcats", "b\tbirds"], "dev.tsv:3: label 'dogs'"),
}


@pytest.mark.parametrize("lines, told", FILES.values(), ids=FILES.keys())
def test_a_bad_file_is_named_with_its_line(lines, told, data, tmp_path, capsys):
    train = tmp_path / "train.tsv"
    train.write_text("".join(line + "\n" for line in lines))
    assert main(finetune_words(data, tmp_path / "run", "--train", str(train))) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_has_the_files_of_its_contract(run):
    files = {path.name for path in run.iterdir()}
    assert files == {
        "task.json",
        "config.json",
        "model.safetensors",
        "vocab.txt",
        "tokenizer_config.json",
        "checkpoints",
        "logs",
        "metrics.jsonl",
        "report.md",
        "learning_curve.png",
        "confusion_matrix.png",
    }
    task = json.loads((run / "task.json").read_text())
    assert (task["task"], task["labels"], task["max_length"]) == ("classify", list(LABELS), 7)
    assert task["text_columns"] == ["sentence"] and task["kbert_version"] == kbert.__version__
    id2label = json.loads((run / "config.json").read_text())["id2label"]
    assert id2label == {"0": "cats", "1": "dogs"}


def test_the_report_shows_its_pictures_and_its_classes(run):
    report = (run / "report.md").read_text("utf-8")
    for name in ("learning_curve.png", "confusion_matrix.png"):
        assert f"]({name})" in report and (run / name).read_bytes().startswith(b"\x89PNG")
    for told in ("| cats |", "| dogs |", "| batch_size | 3 |", "| learning_rate | 0.0010 |", "kbert "):
        assert told in report


def test_a_run_in_use_is_refused_and_untouched(run, data, capsys):
    before = (run / "model.safetensors").read_bytes()
    assert main(finetune_words(data, run)) == 1
    assert "Use --resume or --overwrite" in capsys.readouterr().err
    assert (run / "model.safetensors").read_bytes() == before


def test_a_finished_run_resumed_says_so(run, data, capsys):
    before = (run / "metrics.jsonl").read_text()
    assert main(finetune_words(data, run, "--resume")) == 0
    assert "was finished before" in capsys.readouterr().out
    assert (run / "metrics.jsonl").read_text() == before


def test_a_resume_with_another_seed_or_other_texts_is_refused(run, data, tmp_path, capsys):
    assert main(finetune_words(data, run, "--resume", "--seed", "7")) == 1
    assert "seed was 0 and is 7" in capsys.readouterr().err
    other = write(tmp_path / "train.tsv", rows(9))
    assert main(finetune_words(data, run, "--resume", "--train", str(other))) == 1
    assert "train_digest was" in capsys.readouterr().err


def test_a_resume_of_nothing_is_refused(data, tmp_path, capsys):
    assert main(finetune_words(data, tmp_path, "--resume")) == 1
    assert "task.json" in capsys.readouterr().err


def test_evaluate_prints_figures_or_json(run, data, capsys):
    assert main(["evaluate", str(run), "--data", str(data / "dev.tsv")]) == 0
    assert "macro_f1" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--data", str(data / "dev.tsv"), "--json"]) == 0
    scores = last_json(capsys.readouterr().out)
    assert scores["examples"] == 5 and set(scores["classes"]) == set(LABELS)
    assert [scores["classes"][name]["support"] for name in LABELS] == [3, 2]
    kept = json.loads((run / "task.json").read_text())["result"]["dev"]
    assert scores["accuracy"] == pytest.approx(kept["accuracy"]) and scores["loss"] == pytest.approx(kept["loss"], 1e-5)


def test_evaluate_needs_a_run(tmp_path, data, capsys):
    assert main(["evaluate", str(tmp_path), "--data", str(data / "dev.tsv")]) == 1
    assert "A run is a folder with task.json" in capsys.readouterr().err


def test_predict_answers_lines_in_their_order(run, capsys, monkeypatch):
    texts = ["a cat sleeps", "", "the loud dog barks a dog barks", "dog \u00e9t\u00e9"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(texts).encode())))
    assert main(["predict", str(run)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == texts
    for line in lines:
        assert list(line["scores"]) == list(LABELS) and sum(line["scores"].values()) == pytest.approx(1, abs=2e-4)
        assert line["label"] == max(line["scores"], key=line["scores"].get)


def test_a_saved_model_prints_the_lines_of_its_run(run, saved_model, data, capsys):
    words = ["--input", str(data / "train.tsv"), "--batch-size", "4"]
    assert main(["predict", str(run), *words]) == 0
    expected = capsys.readouterr().out
    assert main(["predict", str(saved_model), *words]) == 0
    assert capsys.readouterr().out == expected and len(expected.splitlines()) == 11


def test_predict_says_what_it_takes(tmp_path, capsys):
    assert main(["predict", str(tmp_path)]) == 1
    assert "RUN (task.json) or a SavedModel (saved_model.pb)" in capsys.readouterr().err


def test_export_never_overwrites(run, saved_model, capsys):
    assert main(["export", str(run), "--format", "saved_model", "--out", str(saved_model)]) == 1
    assert "new or empty folder" in capsys.readouterr().err


def test_pairs_go_through_every_command(data, tmp_path, capsys, monkeypatch):
    pairs = [(text, "a dog barks", label) for text, label in rows(7)]
    train = write(tmp_path / "pairs.tsv", pairs, "sentence1\tsentence2\tlabel")
    words = ["--train", str(train), "--dev", str(train), "--json"]
    assert main(finetune_words(data, tmp_path / "run", *words)) == 0
    assert last_json(capsys.readouterr().out)["epochs"] == 2
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(train), "--json"]) == 0
    assert last_json(capsys.readouterr().out)["examples"] == 7
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a cat\tthe dog\n")))
    assert main(["predict", str(tmp_path / "run")]) == 0
    line = last_json(capsys.readouterr().out)
    assert (line["text"], line["pair"]) == ("a cat", "the dog")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a cat\tb\na cat\n")))
    assert main(["predict", str(tmp_path / "run")]) == 1
    assert "Line 2: a pair has a tab" in capsys.readouterr().err


def test_a_run_converts_to_googles_layout(run, tmp_path, capsys):
    assert main(["convert", str(run), str(tmp_path / "google"), "--json"]) == 0
    assert last_json(capsys.readouterr().out)["layout"] == "google"
    assert (tmp_path / "google" / "bert_config.json").is_file()


def test_an_interrupted_run_resumed_gives_the_bytes_of_an_uninterrupted_one(run, data, tmp_path, capsys, monkeypatch):
    from kbert.cli.progress import Progress

    def interrupt(self, batch, logs=None):
        if self.epoch == "epoch 2/2" and batch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", interrupt)
        assert main(finetune_words(data, tmp_path / "run")) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "kbert: interrupted"
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(data / "dev.tsv")]) == 1
    assert "needs a finished run" in capsys.readouterr().err
    assert main(finetune_words(data, tmp_path / "run", "--resume", "--json")) == 0
    assert last_json(capsys.readouterr().out)["epochs"] == 2
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_labels_given_in_another_order_are_kept_in_it(data, tmp_path, capsys):
    words = ["--labels", "dogs,cats", "--class-weight", "balanced", "--epochs", "1", "--best", "mcc", "--json"]
    assert main(finetune_words(data, tmp_path / "run", *words)) == 0
    assert last_json(capsys.readouterr().out)["best"].keys() == {"mcc"}
    assert json.loads((tmp_path / "run" / "task.json").read_text())["labels"] == ["dogs", "cats"]


def process(*words, folder, **kwargs):
    env = {**os.environ, "PYTHONPATH": str(Path(kbert.__file__).parents[1])}
    command = [sys.executable, "-P", "-m", "kbert", *map(str, words)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, **kwargs)


def test_the_process_passes_the_exit_code_on(tmp_path):
    assert process("--help", folder=tmp_path).returncode == 0
    assert process("fly", folder=tmp_path).returncode == 2
    failed = process("evaluate", "no", "--data", "no", folder=tmp_path)
    assert failed.returncode == 1 and failed.stderr == "kbert: --data names a file that exists; got no.\n"


def test_a_process_says_nothing_but_its_answers(run, tmp_path):
    done = process("predict", run, folder=tmp_path, input="a cat sleeps\n")
    assert done.returncode == 0 and done.stderr == ""
    assert json.loads(done.stdout)["text"] == "a cat sleeps"
