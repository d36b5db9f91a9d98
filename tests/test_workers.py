"""Two workers of `kbert pretrain` over loopback: one writes, both end alike, a lost one ends all, restarts go on."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_replicas import clean, ports

RETRY = 138
STEPS, KILL_AFTER = 24, 8


def words(folder: Path, out: str, *more: str) -> list[str]:
    text = [
        "--input",
        "text.txt",
        "--vocab",
        "vocab.txt",
        "--lowercase",
        "--size",
        "tiny",
        "--max-length",
        "32",
        "--batch-size",
        "8",
    ]
    told = ["--steps", str(STEPS), "--checkpoint-steps", "4", "--log-steps", "3", "--held-out", "0.1"]
    return [sys.executable, "-m", "kbert", "pretrain", *text, *told, "--evaluate-batches", "2", "--out", out, *more]


def start(folder: Path, out: str, count: int = 2, more: dict[int, tuple] | None = None) -> list[subprocess.Popen]:
    return processes(folder, out, [words(folder, out, *(more or {}).get(index, ())) for index in range(count)])


def processes(folder: Path, out: str, commands: list[list[str]], first_may_write: int | None = None) -> list:
    """A worker for each command; the first one's files may have so many bytes."""

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (first_may_write, first_may_write))

    addresses, started = [f"localhost:{port}" for port in ports(len(commands))], []
    for index, command in enumerate(commands):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        env = {**clean(), **({"TF_CONFIG": json.dumps(task)} if len(commands) > 1 else {})}
        limit = limited if first_may_write and not index else None
        with (folder / f"{out}.{index}.log").open("a") as log:
            started.append(subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, preexec_fn=limit))
    return started


def ended(processes, seconds: int = 300) -> list[int]:
    return [process.wait(timeout=seconds) for process in processes]


def weights(run: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(run / "model.safetensors")


def lines(run: Path) -> list[dict]:
    """metrics.jsonl but for what a clock said."""
    clocks = ("seconds", "time", "tokens_per_second", "wait_share")
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: figure for name, figure in line.items() if name not in clocks} for line in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Text of 300 sentences and a vocabulary of its words, and a training on two workers that nobody disturbed."""
    folder, random = tmp_path_factory.mktemp("workers"), np.random.default_rng(0)
    names = [a + b for a in "bcdfgklm" for b in ("ana", "ilo", "uru")]
    lines = [" ".join(random.choice(names, 7)) + "." + ("\n" if i % 5 == 4 else "") for i in range(300)]
    (folder / "text.txt").write_text("\n".join(lines))
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *names]))
    assert ended(start(folder, "whole")) == [0, 0], (folder / "whole.0.log").read_text()[-2000:]
    return folder


def test_two_workers_train_as_one_and_the_first_alone_writes(folder):
    assert ended(start(folder, "one", count=1)) == [0]
    one, two = weights(folder / "one"), weights(folder / "whole")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-6, err_msg=name)
    assert "2 workers, 2 replicas, batches of 8: 4 on each" in (folder / "whole.0.log").read_text()
    steps = [line["step"] for line in lines(folder / "whole")]
    assert steps == sorted(steps)  # two writers would have repeated them


def disturbed(folder: Path, out: str, number: int, worker: int) -> list[subprocess.Popen]:
    """Two workers, of which one gets a signal after its first checkpoints."""
    processes = start(folder, out)
    deadline = time.monotonic() + 240
    while not any((folder / out / "checkpoints").glob(f"step-*{KILL_AFTER}.safetensors")):
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes)
        time.sleep(0.05)
    os.kill(processes[worker].pid, number)
    return processes


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_ends_the_others_in_a_line_and_the_same_command_ends_in_the_same_bits(folder, killed):
    out = f"killed{killed}"
    processes = disturbed(folder, out, signal.SIGKILL, killed)
    assert ended(processes)[1 - killed] == RETRY
    last = (folder / f"{out}.{1 - killed}.log").read_text().splitlines()[-1]
    assert last.startswith("kbert: a worker was lost") and "same commands" in last
    assert ended(start(folder, out)) == [0, 0]
    first, second = weights(folder / "whole"), weights(folder / out)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert lines(folder / out) == lines(folder / "whole")


def test_a_notice_to_one_worker_stops_all_with_a_checkpoint_from_which_fewer_go_on(folder):
    assert ended(disturbed(folder, "told", signal.SIGTERM, 1)) == [143, 143]
    told = [(folder / f"told.{index}.log").read_text().splitlines()[-1] for index in range(2)]
    assert all("stopped after step" in line and "the same command goes on" in line for line in told)
    assert ended(start(folder, "told", count=1)) == [0]
    whole, rest = weights(folder / "whole"), weights(folder / "told")
    for name in whole:
        np.testing.assert_allclose(rest[name], whole[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "other, differs", [(("--learning-rate", "0.5"), "learning_rate is 0.5 there"), (("--input", "vocab.txt"), "data")]
)
def test_a_worker_with_other_settings_or_data_is_refused_with_what_differs(folder, other, differs):
    out = f"refused{other[0]}"
    assert ended(start(folder, out, more={1: other})) == [1, 1]
    told = (folder / f"{out}.0.log").read_text()
    assert "between worker 1 and worker 0" in told and differs in told
    assert not (folder / out / "task.json").exists()


def test_a_full_disk_ends_all_workers_in_a_line_and_the_same_command_ends_in_the_same_bits(folder):
    commands = [words(folder, "full")] * 2
    assert ended(processes(folder, "full", commands, first_may_write=1_000_000)) == [1, RETRY]
    said = [line for line in (folder / "full.0.log").read_text().splitlines() if line.startswith("kbert: ")]
    assert len(said) == 1 and "File too large" in said[0] and "no checkpoint" in said[0]
    assert ended(start(folder, "full")) == [0, 0]
    first, second = weights(folder / "whole"), weights(folder / "full")
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_two_workers_fine_tune_as_one(folder):
    names = [line for line in (folder / "vocab.txt").read_text().split() if line.isalpha()]
    rows = [f"{a} {b}\t{int(a < b)}" for a in names[:6] for b in names[::3]]
    (folder / "train.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    told = ["--train", "train.tsv", "--dev", "train.tsv", "--model", "whole", "--epochs", "2", "--batch-size", "10"]
    for out, count in (("tuned-by-one", 1), ("tuned-by-two", 2)):
        command = [sys.executable, "-m", "kbert", "finetune", "--task", "classify", *told, "--out", out]
        assert ended(processes(folder, out, [command] * count)) == [0] * count, (folder / f"{out}.0.log").read_text()
    one, two = weights(folder / "tuned-by-one"), weights(folder / "tuned-by-two")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-6, err_msg=name)


def test_a_worker_whose_other_does_not_come_ends_in_its_time(folder):
    task = {"cluster": {"worker": [f"localhost:{port}" for port in ports(2)]}, "task": {"type": "worker", "index": 0}}
    command = words(folder, "lonely", "--rendezvous-timeout", "2")
    environment = {**clean(), "TF_CONFIG": json.dumps(task)}
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    said = [line for line in run.stderr.splitlines() if line.startswith("kbert: ")]
    assert run.returncode == RETRY and len(said) == 1 and "not all workers came" in said[0]
    assert not (folder / "lonely").exists()
