"""A pre-training killed with SIGKILL again and again ends with the bits of one that never was.

python -m benchmarks.pretraining_kills kills --data DIR --scratch DIR [--seed 1]

`kbert pretrain` of 300 steps (BERT-tiny, a checkpoint every 7 steps) runs once to its end. Then it runs in another
folder, is killed at a random moment and started again with the same command, 20 times: while it starts, between two
checkpoints, while a checkpoint is being written. Of some kills the newest checkpoint is cut to its half besides, which
is what a machine without power may leave. What is compared: model.safetensors bit for bit, and metrics.jsonl but for
what a clock said.
"""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.stages import kbert
from benchmarks.texts import read_books, write_lines
from benchmarks.worker import Job, say, work

MEGABYTES, VOCABULARY = 0.5, 1000
OPTIONS = ("--size", "tiny", "--max-length", "64", "--batch-size", "8", "--held-out", "0.05", "--log-steps", "5")
CHECKPOINT_STEPS, EVALUATE_STEPS = 7, 60
KINDS = {"start": 5, "step": 8, "checkpoint": 5, "torn": 2}  # of 20 kills
CLOCKS = ("seconds", "time", "tokens_per_second", "wait_share")
PATIENCE = 600  # seconds without an end or a moment


class Moment(NamedTuple):
    """When to kill.

    Args:
        kind: "start", some time after the start of the process; "step", after a checkpoint of that step or a later
            one; "checkpoint", while one of a later step is being written; "torn", as "step", and the newest is cut.
        step: of a checkpoint; None for "start".
        share: of what passes from the start to the first checkpoint, or from one checkpoint to the next.
    """

    kind: str
    step: int | None
    share: float


@dataclass
class Seen:
    """What was counted over all kills."""

    kills: int = 0
    starts: int = 0
    half_written: int = 0
    passed_over: int = 0


def moments(kills: int, steps: int, seed: int) -> list[Moment]:
    """When each kill comes: steps ascend, so that every start has to go on; `start` moments are strewn among them."""
    draw = random.Random(seed)
    kinds = draw.sample([kind for kind, count in KINDS.items() for _ in range(count)], sum(KINDS.values()))
    kinds = (kinds * -(-kills // len(kinds)))[:kills]
    inside = sorted(draw.randrange(steps - 2 * CHECKPOINT_STEPS) for kind in kinds if kind != "start")
    return [Moment(kind, None if kind == "start" else inside.pop(0), draw.random()) for kind in kinds]


def kills(job: Job) -> None:
    """Runs, kills, compares."""
    steps = job.amounts.kill_steps
    words = command_of(job, folder := job.scratch / "kills", steps)
    whole, killed = (Command(folder / name, words) for name in ("whole", "killed"))
    to_first, alone = whole.finish_timed()
    between = (alone - to_first) * CHECKPOINT_STEPS / steps

    began, seen = time.perf_counter(), Seen()
    for moment in moments(job.amounts.kills, steps, job.seed):
        if not killed.kill(moment, to_first if moment.kind == "start" else between, seen):
            break  # it was done before
    killed.finish(seen)
    together = time.perf_counter() - began
    tell(whole, killed, seen, alone, together)


def command_of(job: Job, folder: Path, steps: int) -> tuple:
    """The words of a `kbert pretrain`, whose text and vocabulary are made in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    text = write_lines(folder / "text.txt", read_books(job.data, MEGABYTES))
    vocabulary = folder / "vocab.txt"
    kbert("vocab", "--input", text, "--size", VOCABULARY, "--out", vocabulary)
    words = ("--input", text, "--vocab", vocabulary, "--steps", steps, *OPTIONS, "--checkpoint-minutes", 0)
    return (*words, "--checkpoint-steps", CHECKPOINT_STEPS, "--evaluate-steps", EVALUATE_STEPS, "--seed", job.seed)


class Command:
    """`kbert pretrain` into a folder: started, watched, killed.

    Args:
        run: the folder.
        words: of the command.
    """

    def __init__(self, run: Path, words: tuple):
        self.run, self.errors = run, run.with_name(f"{run.name}.log")
        self.command = [sys.executable, "-m", "kbert", "pretrain", *map(str, words), "--out", str(run)]

    def start(self) -> subprocess.Popen:
        with self.errors.open("wb") as errors:
            return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=errors)

    def wait(self, process: subprocess.Popen, moment: Callable) -> bool:
        """Whether the moment came before the process ended well.

        Raises:
            RuntimeError: it failed, or nothing happened for minutes.
        """
        limit = time.monotonic() + PATIENCE
        while process.poll() is None:
            if moment():
                return True
            if time.monotonic() > limit:
                process.kill()
                raise RuntimeError(f"kbert pretrain neither ended nor came to the moment in {PATIENCE} s.")
            time.sleep(0.001)
        if process.returncode:
            raise RuntimeError(f"kbert pretrain failed ({process.returncode}): {self.told()[-800:]}")
        return False

    def finish_timed(self) -> tuple[float, float]:
        """Runs to the end; seconds until the first checkpoint, and in all."""
        began, process = time.perf_counter(), self.start()
        self.wait(process, self.newest)
        to_first = time.perf_counter() - began
        self.wait(process, lambda: False)
        return to_first, time.perf_counter() - began

    def kill(self, moment: Moment, span: float, seen: Seen) -> bool:
        """Starts, and kills at a moment; False where the run was done before."""
        process = self.start()
        seen.starts += 1
        came = self.wait(process, self._moment(moment, span, process.pid))
        if came:
            process.kill()
            process.wait()
            seen.kills += 1
            seen.half_written += len(self.unfinished(process.pid))
        seen.passed_over += self.told().count("passed over")
        if came and moment.kind == "torn":
            newest = self.checkpoint(self.newest())
            os.truncate(newest, newest.stat().st_size // 2)
        return came

    def _moment(self, moment: Moment, span: float, pid: int) -> Callable[[], bool]:
        """What is asked again and again: whether the moment has come for the process that just started."""
        before = self.newest()
        since, seen = (time.monotonic(), before) if moment.kind == "start" else (None, None)

        def writing() -> bool:
            return bool(self.unfinished(pid)) and self.newest() >= moment.step

        def passed() -> bool:
            nonlocal since, seen
            newest = self.newest()
            if since is None and newest >= max(moment.step, before + 1):
                since, seen = time.monotonic(), newest
            if since is None:
                return False
            return (
                newest > seen or time.monotonic() - since >= moment.share * span
            )  # `span` is of another moment's load

        return writing if moment.kind == "checkpoint" else passed

    def finish(self, seen: Seen) -> None:
        """Starts, and lets the run come to its end."""
        seen.starts += 1
        self.wait(self.start(), lambda: False)
        seen.passed_over += self.told().count("passed over")

    def told(self) -> str:
        """What the last process wrote to stderr."""
        return self.errors.read_text("utf-8", "replace")

    def checkpoint(self, step: int) -> Path:
        return self.run / "checkpoints" / f"step-{step:08d}.safetensors"

    def steps(self) -> list[int]:
        """The steps that have a checkpoint."""
        return [int(found[1]) for name in self._names() if (found := re.fullmatch(r"step-(\d+)\.safetensors", name))]

    def newest(self) -> int:
        """The last of them, or 0."""
        return max(self.steps(), default=0)

    def unfinished(self, pid: int) -> list[str]:
        """Names of checkpoints that a process is writing, or was when it was killed."""
        return [name for name in self._names() if name.startswith(".step-") and name.endswith(f".{pid}")]

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.run / "checkpoints")
        except FileNotFoundError:
            return []


def tell(whole: Command, killed: Command, seen: Seen, alone: float, together: float) -> None:
    """Prints what was found."""
    say("kills", seen.kills, "")
    say_same(whole.run, killed.run)
    say("half-written checkpoints found after a kill", seen.half_written, "")
    say("cut checkpoints passed over", seen.passed_over, "")
    say("time of the run that was never killed", alone, "s")
    say("time of the killed one", together, "s", note=f"{seen.starts} starts")


def say_same(whole: Path, killed: Path) -> None:
    """Prints whether two runs have the same weights and told the same."""
    bits = [hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest() for run in (whole, killed)]
    lines = [timeless(run / "metrics.jsonl") for run in (whole, killed)]
    say("same bits as the run that was never killed", 100.0 * (bits[0] == bits[1]), "%", note=f"sha256 {bits[1][:16]}")
    same = sum(a == b for a, b in zip(*lines, strict=False)) / max(map(len, lines))
    say("same lines of metrics.jsonl", 100.0 * same, "%", note=f"{len(lines[1])} lines")


def timeless(path: Path) -> list[dict]:
    """Lines of metrics.jsonl without what a clock said."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines]


if __name__ == "__main__":
    work({"kills": kills}, __doc__)
