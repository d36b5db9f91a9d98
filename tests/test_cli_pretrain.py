"""`kbert pretrain`: a RUN that goes on by itself after signals, what it writes, what it refuses."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pretraining_cases import timeless

import kbert
from kbert.cli import main
from kbert.cli.pretrain_text import raw_text
from kbert.cli.stopping import StopSignals
from kbert.pretraining.checkpoints import StepCheckpoints
from kbert.runs import Run

ANIMALS, VERBS, PLACES = ("cat", "dog", "bird"), ("sleeps", "runs"), ("house", "garden", "old street")
WORDS = [*ANIMALS, *VERBS, "house", "garden", "old", "street", "the", "in", "."]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
STEPS, SAVED = 90, 12
NEEDED = ["--size", "tiny", "--max-length", "12", "--batch-size", "3", "--held-out", "0.1", "--lowercase"]
OFTEN = ["--steps", str(STEPS), "--checkpoint-steps", str(SAVED), "--log-steps", "7", "--evaluate-steps", "45"]


def sentence(number):
    animal, verb, place = (kind[number % len(kind)] for kind in (ANIMALS, VERBS, PLACES))
    return f"the {animal} {verb} in the {place}."


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    lines = [sentence(number) + "\n" * (1 + (number % 5 == 4)) for number in range(80)]  # documents of five
    (folder / "text.txt").write_text("".join(lines))
    (folder / "vectors.txt").write_text("cat 1 0 0.5\ndog 0.5 1 0\nzebra 0 0 1\n")
    return folder


def words(data, out, *more):
    files = ["--input", data / "text.txt", "--vocab", data / "vocab.txt", "--word-vectors", data / "vectors.txt"]
    return ["pretrain", *map(str, files), *NEEDED, *OFTEN, "--out", str(out), *more]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "straight"
    assert main(words(data, out)) == 0
    return Run(out)


def start(data, out):
    """The command in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(Path(kbert.__file__).parents[1])}
    command = [sys.executable, "-P", "-m", "kbert", *words(data, out)]
    return subprocess.Popen(command, cwd=out.parent, env=env, stderr=subprocess.PIPE, text=True)


def wait_for(step, run, process):
    """Until there is a checkpoint of the step or a later one."""
    while max(StepCheckpoints(run).steps(), default=0) < step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


def test_killed_cut_short_and_stopped_it_ends_with_the_bits_of_one_that_was_not(data, run, tmp_path, capsys):
    stopped = Run(tmp_path / "run")
    first = start(data, stopped.folder)
    wait_for(2 * SAVED, stopped, first)
    first.kill()
    assert first.wait() == -signal.SIGKILL and not stopped.finished
    first.stderr.close()
    newest = StepCheckpoints(stopped).steps()[-1]
    path = StepCheckpoints(stopped).path(newest)
    path.write_bytes(path.read_bytes()[:-100])

    second = start(data, stopped.folder)
    wait_for(newest + 1, stopped, second)
    second.terminate()
    told = second.communicate()[1].splitlines()
    assert second.returncode == 143
    passed_over = f"{path} is damaged and passed over for that of step {newest - SAVED}."
    assert [line for line in told if "damaged" in line] == [f"kbert: {passed_over}"]
    step = StepCheckpoints(stopped).steps()[-1]
    assert told[-1] == (
        f"kbert: stopped after step {step} of {STEPS}, with a checkpoint; the same command goes on from there."
    )

    assert main(words(data, stopped.folder)) == 0
    assert "reading" not in capsys.readouterr().err  # what was surveyed at the start is known
    for name in ("model.safetensors", "config.json", "vocab.txt"):
        assert (stopped.folder / name).read_bytes() == (run.folder / name).read_bytes(), name
    assert timeless(stopped.metrics()) == timeless(run.metrics())
    assert not list(stopped.folder.rglob(".*"))


def test_a_finished_run_holds_its_model_its_figures_and_its_report(data, run):
    names = {"task.json", "config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "metrics.jsonl"}
    assert names | {"checkpoints", "logs", "report.md", "learning_curve.png"} == {p.name for p in run.folder.iterdir()}
    task = run.task
    assert task["task"] == "pretrain" and task["command"].startswith("kbert ")
    assert task["settings"]["steps"] == STEPS and task["settings"]["learning_rate"] == 1e-4
    assert task["corpus"]["unknown_share"] == 0 and 10 < task["corpus"]["documents"] < 16  # some are held out
    assert (
        task["result"]["steps"] == STEPS
        and 0 < task["result"]["next_sentence_accuracy"] <= 1
        and "val_perplexity" in task["result"]
    )
    report = (run.folder / "report.md").read_text()
    for told in ("(learning_curve.png)", "## Text that was held out", "| documents | ", "| optimizer | adamw |"):
        assert told in report
    assert [path.name for path in run.logs.iterdir()] and len(run.metrics()) == STEPS // 7 + 1 + 2


def test_its_model_is_a_preset_with_both_heads(run):
    model = kbert.Pretrainer.from_preset(str(run.folder))
    assert model.new_weights == () and model.tokenizer["lowercase"] is True
    assert "BertForPreTraining" in (run.folder / "config.json").read_text()
    fresh = kbert.Pretrainer.from_preset("tiny", vocabulary=str(run.folder / "vocab.txt"), lowercase=True)
    name = "masked_tokens/transform/kernel"
    assert not np.allclose(model.named_weights()[name].value, fresh.named_weights()[name].value)


def test_a_finished_run_says_so_and_is_left_as_it_is(data, run, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert main(words(data, run.folder, "--json", "--checkpoint-steps", "5")) == 0  # what decides no bit may differ
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["already_finished"] and told["steps"] == STEPS and told["out"] == str(run.folder)
    assert main(words(data, run.folder)) == 0
    assert f"{run.folder} was finished before: {STEPS} steps" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}


@pytest.mark.parametrize(
    "more, told",
    [
        (["--steps", "91"], "steps was 90 and is 91."),
        (["--learning-rate", "0.01", "--seed", "4"], "seed was 0 and is 4, learning_rate was 0.0001 and is 0.01."),
        (["--optimizer", "lamb"], "optimizer was 'adamw' and is 'lamb', learning_rate was 0.0001 and is "),
        (
            ["--long-steps", "7", "--long-length", "24"],
            "long_steps was None and is 7, long_batch_size was None and is 1",
        ),
        (["--no-resume"], "A run needs a new or empty folder"),
    ],
    ids=["steps", "seed", "optimizer", "longer", "no resume"],
)
def test_other_settings_are_refused_by_name(more, told, data, run, capsys):
    assert main(words(data, run.folder, *more)) == 1
    err = capsys.readouterr().err
    assert told in err and "--overwrite" in err and len(err.splitlines()) == 1


def test_other_text_is_refused(data, run, tmp_path, capsys):
    for name in ("vocab.txt", "vectors.txt", "text.txt"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    assert main(words(tmp_path, run.folder)) == 0  # the same, elsewhere
    (tmp_path / "text.txt").write_text((data / "text.txt").read_text() + "the cat runs.\n")
    assert main(words(tmp_path, run.folder)) == 1
    assert "data_fingerprint was " in capsys.readouterr().err


WRONG_USE = {
    "nothing to read": ([], "--input or --records"),
    "two things to read": (["--input", "a", "--records", "b", "--vocab", "v"], "--input or --records"),
    "no vocabulary": (["--input", "a"], "--vocab is needed"),
    "two models": (["--input", "a", "--init", "b", "--size", "mini"], "--init and --size exclude each other"),
    "random weights that are not": (
        ["--input", "a", "--init", "b", "--initializer-range", "0.05"],
        "--init brings learned",
    ),
    "records of two lengths": (["--records", "a", "--vocab", "v", "--long-steps", "5"], "--long-steps need --input"),
}


@pytest.mark.parametrize("options, told", WRONG_USE.values(), ids=WRONG_USE)
def test_options_that_do_not_go_together_exit_with_2(options, told, tmp_path, capsys):
    assert main(["pretrain", "--steps", "3", "--out", str(tmp_path / "run"), *options]) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_text_that_cannot_be_learned_from_is_refused_before_the_run_begins(data, tmp_path, capsys):
    one = tmp_path / "one.txt"
    one.write_text("\n".join(map(sentence, range(40))))
    only = ["pretrain", "--input", str(one), "--vocab", str(data / "vocab.txt"), "--lowercase", *OFTEN]
    only += ["--size", "tiny", "--out", str(tmp_path / "run")]
    assert main(only) == 1
    assert "--objective sentence_order" in capsys.readouterr().err
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("\n\n".join(["ein Satz", "noch ein Satz", "und noch einer"] * 9))
    assert main([*only, "--input", str(foreign)]) == 1
    err = capsys.readouterr().err
    assert "may be [UNK]" in err and "--force" in err
    assert not (tmp_path / "run" / "task.json").exists()


def test_rows_longer_than_the_model_are_refused_before_the_run_begins(data, tmp_path, capsys):
    assert main(words(data, tmp_path / "run", "--max-length", "513")) == 1
    assert "max_length is at most 512 for this model; got 513" in capsys.readouterr().err
    assert not (tmp_path / "run" / "task.json").exists()


def test_a_run_has_a_place_of_its_own(data, tmp_path, capsys):
    assert main(words(data, data)) == 2
    assert "--vocab stands outside of --out" in capsys.readouterr().err
    (tmp_path / "task.json").write_text('{"task": "classify"}')
    assert main(words(data, tmp_path)) == 1
    assert "is one of classify. Name another." in capsys.readouterr().err


def test_standard_input_is_kept_for_a_resume(tmp_path, monkeypatch):
    settings = {"text_key": "text", "invalid": "replace", "held_out": 0.0, "max_unknown": None, "most_batches": 5}

    class Given:
        def __init__(self, content):
            self.buffer = io.BytesIO(content)

    monkeypatch.setattr("sys.stdin", Given(b"first text\n"))
    text = raw_text(["-"], tmp_path / "run", again=False, **settings)
    assert [path.name for path in text.corpus.files] == ["input.txt"] and text.kept == ("input.txt",)
    assert Run.start(tmp_path / "run")  # killed now, it can begin again
    before = text.corpus.fingerprint()
    monkeypatch.setattr("sys.stdin", Given(b"other text\n"))
    assert raw_text(["-"], tmp_path / "run", again=True, **settings).corpus.fingerprint() == before
    assert raw_text(["-"], tmp_path / "run", again=False, **settings).corpus.fingerprint() != before


@pytest.fixture
def interrupts():
    """Ctrl-C as Python handles it, also where these tests are a shell's background job, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_is_a_question_and_the_second_one_is_none(interrupts):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        assert not signals.asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.asked() and signals.exit_code == 143
        assert signal.getsignal(signal.SIGTERM) == before
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_second_length_keeps_the_tokens_of_a_step(data, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr("kbert.cli.pretrain_run.pretrain", lambda run, recipe, *_, **__: seen.update(r=recipe) or {})
    monkeypatch.setattr("kbert.cli.pretrain_run.lines", lambda result: [])
    more = ["--batch-size", "48", "--max-length", "16", "--long-steps", "5", "--long-length", "64", "--accumulate", "4"]
    assert main(words(data, tmp_path / "run", *more)) == 0
    assert [(p.max_length, p.batch_size, p.steps) for p in seen["r"].phases] == [(16, 48, STEPS), (64, 12, 5)]
