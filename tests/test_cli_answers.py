"""The command line refuses what is not its own, keeps what is not its own, and answers in parts."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from saved_model_cases import LABELS, MAX_LENGTH, classifier
from test_cli import data, finetune_words, last_json, run  # noqa: F401 - fixtures

import export
from kbert import checkpoints
from kbert.cli import answering, errors, main, predict
from kbert.runs import INPUT, REPLACED, Run, RunError


@pytest.fixture(scope="module")
def saved_model(tiny_vocabulary, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports") / "1"
    export.saved_model(classifier(tiny_vocabulary), out, max_length=MAX_LENGTH)
    return out


def strange(signature):
    """SavedModels that others write."""
    module = tf.Module()
    text, number = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, 3], tf.float32)
    functions = {
        "no signature": None,
        "other name": tf.function(lambda text: {"scores": text, "classes": text}, input_signature=[text]),
        "numbers in": tf.function(lambda x: {"scores": x, "classes": x}, input_signature=[number]),
        "other outputs": tf.function(lambda text: {"logits": text}, input_signature=[text]),
    }
    function = functions[signature]
    name = "train" if signature == "other name" else "serving_default"
    return module, {name: function} if function else None


@pytest.mark.parametrize(
    "signature, told",
    {
        "no signature": "has signatures none",
        "other name": "has signatures train",
        "numbers in": "has inputs x float32 (None, 3) and no assets/task.json",
        "other outputs": "has inputs text string (None,) and no assets/task.json",
    }.items(),
)
def test_a_saved_model_of_others_is_refused_with_what_it_has(signature, told, tmp_path, capsys):
    module, signatures = strange(signature)
    tf.saved_model.save(module, str(tmp_path), signatures)
    assert main(["predict", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert told in err and "Write one with kbert export" in err and len(err.splitlines()) == 1


def test_lines_are_printed_a_part_at_a_time_in_their_order(saved_model, tmp_path, capsys, monkeypatch):
    texts = ["a cat", "the very good film was not bad", "", "dog", "the dog ran", "it", "a film"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    words = ["predict", str(saved_model), "--input", str(tmp_path / "texts.txt"), "--batch-size", "2", "--json"]
    assert main(words) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    asked, ask = [], answering.Answerer._answered
    monkeypatch.setattr(predict, "BATCHES_AT_ONCE", 1)
    monkeypatch.setattr(
        answering.Answerer,
        "_answered",
        lambda self, columns, size: (
            asked.append((len(columns[0]), capsys.readouterr().out)) or ask(self, columns, size)
        ),
    )
    assert main(words) == 0
    assert [number for number, _ in asked] == [2, 2, 2, 1]
    assert [out.count("\n") for _, out in asked] == [0, 2, 2, 2]  # told before the next is asked
    rest = "".join(out for _, out in asked) + capsys.readouterr().out
    lines = [json.loads(line) for line in rest.splitlines()]
    assert lines[-1] == expected[-1] == {"texts": 7, "labels": list(LABELS)}
    for line, other in zip(lines[:-1], expected[:-1], strict=True):
        assert (line["text"], line["label"]) == (other["text"], other["label"])
        assert line["scores"] == pytest.approx(other["scores"], abs=2e-4)
    assert [line["text"] for line in lines[:-1]] == texts


def test_a_file_has_a_bar_on_a_terminal_and_its_lines_do_not(saved_model, tmp_path, capfd, monkeypatch):
    (tmp_path / "texts.txt").write_text("a cat\nthe dog\n")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal for rich
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["predict", str(saved_model), "--input", str(tmp_path / "texts.txt")]) == 0
    out, err = capfd.readouterr()
    assert "texts" in err and "cat" not in err
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a cat", "the dog"]


def test_the_benchmark_asks_without_kbert(saved_model, capsys, monkeypatch):
    script = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "ask_saved_model.py"))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("kbert", "pipelines", "export")]:
        monkeypatch.delitem(sys.modules, name)
    script["main"](str(saved_model), ["the cat sat", "a bad film"])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["label", "score", "text"]
    assert [line.split(maxsplit=2)[2] for line in lines] == ["the cat sat", "a bad film"]
    assert {line.split()[0] for line in lines} <= set(LABELS)


def test_sample_writes_the_docstrings_of_libraries(tmp_path, capsys, monkeypatch):
    from pipelines import docstrings

    write_all = docstrings.write_docstring_set
    few = {"rich": (), "typer": (), "no_such_library": ()}
    monkeypatch.setattr(docstrings, "write_docstring_set", lambda out: write_all(out, per_library=20, libraries=few))
    assert main(["sample", "docstrings", "--out", str(tmp_path / "set"), "--json"]) == 0
    result = last_json(capsys.readouterr().out)
    assert result["missing"] == ["no_such_library"] and set(result["counts"]["train"]) == {"rich", "typer"}
    for split, path in result["files"].items():
        lines = Path(path).read_text("utf-8").splitlines()
        assert lines[0] == "sentence\tlabel" and len(lines) - 1 == sum(result["counts"][split].values())
    assert main(["sample", "docstrings", "--out", str(tmp_path / "set")]) == 0
    assert "not installed: no_such_library" in capsys.readouterr().out


def test_overwrite_takes_away_a_run_and_nothing_else(run, data, tmp_path):  # noqa: F811
    out = shutil.copytree(run, tmp_path / "run")
    others = {INPUT, "modules.json", "1_Pooling", "sentence_bert_config.json"}  # of pretrain and of embed
    assert {path.name for path in out.iterdir()} == {"task.json", *REPLACED} - others
    (out / "notes").mkdir()
    (out / "notes" / "a.txt").write_text("mine")
    Run.start(out, overwrite=True).begin({"task": "classify"})
    assert {path.name for path in out.iterdir()} == {"task.json", "notes"}
    assert (out / "notes" / "a.txt").read_text() == "mine"


def test_what_is_behind_a_link_is_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "events").write_text("mine")
    (tmp_path / "run" / "task.json").write_text("{}")
    (tmp_path / "run" / "logs").symlink_to(tmp_path / "elsewhere")
    Run(tmp_path / "run").begin({})
    assert (tmp_path / "elsewhere" / "events").exists() and not (tmp_path / "run" / "logs").exists()


@pytest.mark.parametrize("option", ["--train", "--dev", "--vocabulary", "--model"])
def test_what_a_run_is_made_from_stands_outside_of_it(option, run, data, tmp_path, capsys):  # noqa: F811
    out = shutil.copytree(run, tmp_path / "run")
    (out / "in").mkdir()
    inside = out / "in" / "file"
    inside.write_text("mine")
    assert main(finetune_words(data, out, "--overwrite", option, str(inside))) == 2
    assert f"{option} stands outside of --out" in capsys.readouterr().err
    assert inside.read_text() == "mine" and (out / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "content, told",
    [
        ("{", "one JSON object; got what is not JSON"),
        ("[1]", "one JSON object; got list"),
        ("{}", "lacks task, labels, text_columns, label_column, max_length"),
        (
            '{"task": "classify", "labels": [], "max_length": 7, "label_column": "l"}',
            "lacks text_columns. Take the file from a copy",
        ),
    ],
    ids=["not JSON", "a list", "empty", "without columns"],
)
def test_a_task_that_says_too_little_is_named(content, told, run, data, tmp_path, capsys):  # noqa: F811
    out = shutil.copytree(run, tmp_path / "run")
    (out / "task.json").write_text(content)
    for words in (["evaluate", str(out), "--data", str(data / "dev.tsv")], ["predict", str(out)]):
        assert main(words) == 1
        err = capsys.readouterr().err
        assert told in err and str(out / "task.json") in err and len(err.splitlines()) <= 2


def test_a_resume_of_a_task_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "task.json").write_text("3")
    with pytest.raises(RunError, match="one JSON object; got int"):
        Run(tmp_path).check_same({})


@pytest.mark.parametrize("damage", ["cut", "empty", "no state", "text"])
def test_a_damaged_checkpoint_is_named(damage, run, data, tmp_path, capsys):  # noqa: F811
    from safetensors.numpy import load_file, save_file

    out = shutil.copytree(run, tmp_path / "run")
    (out / "config.json").unlink()  # as if it had been killed
    path = Run(out).last_checkpoint
    if damage == "no state":
        save_file(load_file(path), path, metadata={checkpoints.STATE: "{"})
    else:
        path.write_bytes({"cut": path.read_bytes()[:-9], "empty": b"", "text": b"not a checkpoint"}[damage])
    assert main(finetune_words(data, out, "--resume")) == 1
    err = capsys.readouterr().err
    assert f"{path} is damaged" in err and "train anew with --overwrite" in err and len(err.splitlines()) <= 2


@pytest.mark.parametrize("labels", ["cats,,dogs", "", "cats, ", "cats,dogs, cats"])
def test_labels_are_names_and_different(labels, data, tmp_path, capsys):  # noqa: F811
    assert main(finetune_words(data, tmp_path / "run", "--labels", labels)) == 1
    assert f"names each label once, with commas between them; got {labels!r}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_spaces_around_labels_are_no_part_of_them(data, tmp_path):  # noqa: F811
    assert main(finetune_words(data, tmp_path / "run", "--labels", " dogs , cats", "--epochs", "1")) == 0
    assert Run(tmp_path / "run").task["labels"] == ["dogs", "cats"]


def test_an_error_of_a_library_says_how_to_see_where_it_came_from(capsys, monkeypatch):
    monkeypatch.delenv(errors.SHOW_ALL, raising=False)
    assert errors.explained(lambda: int("many")) == 1  # raised by this test, which is not kbert
    err = capsys.readouterr().err
    assert err.startswith("kbert: invalid literal") and "KBERT_TRACEBACK=1 shows all of it" in err
    monkeypatch.setenv(errors.SHOW_ALL, "1")
    with pytest.raises(ValueError, match="invalid literal"):
        errors.explained(lambda: int("many"))


def test_an_error_of_ours_and_a_file_are_just_named(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv(errors.SHOW_ALL, raising=False)
    assert errors.explained(lambda: Run.open(tmp_path)) == errors.explained(lambda: (tmp_path / "no").read_text()) == 1
    assert "KBERT_TRACEBACK" not in capsys.readouterr().err


def test_a_defect_keeps_its_traceback():
    with pytest.raises(KeyError):
        errors.explained(lambda: {}["no"])


def test_wrong_use_is_known_by_what_it_can_say_not_by_its_class(capsys):
    class UsageError(Exception):  # Click's, which older Typers raise
        exit_code = 2

        def format_message(self):
            return "No such thing"

    def command():
        raise UsageError

    assert errors.explained(command) == 2
    assert capsys.readouterr().err == "kbert: No such thing\nkbert --help lists the options.\n"
