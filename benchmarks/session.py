"""Processes that measure: each contender in its own, one after another, on the same two cores."""

import functools
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.plan import Contender, Section
from benchmarks.worker import THREADS

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "TOKENIZERS_PARALLELISM": "true",
    "OMP_NUM_THREADS": str(THREADS),
    "RAYON_NUM_THREADS": str(THREADS),
    "HF_HUB_OFFLINE": "1",
}
VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def pin_to_two_cores() -> None:
    """Keeps this process, and all that it starts, on two cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


@functools.cache
def versions(python: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Packages that a Python has, with their versions."""
    if python == sys.executable:
        installed = {}
        for name in packages:
            try:
                installed[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return installed
    answer = subprocess.run([python, "-c", VERSIONS, *packages], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


class Session:
    """Starts contenders, and remembers what failed.

    Args:
        peer_python: the Python that has the peers' packages.
        arguments: what every measuring process is given.
        quick: tiny amounts, one round.
        say: prints a line of progress.
    """

    def __init__(self, peer_python: str, arguments: list[str], quick: bool, say=print):
        self.peer_python, self.arguments, self.quick, self.say = peer_python, arguments, quick, say
        self.failed = False
        self._prepared: dict[Contender, bool] = {}

    def measure(self, section: Section) -> Iterator[dict[str, Any]]:
        """Figures of a section as they come: "who", "round", and what `worker.say` prints."""
        able = [one for one in section.contenders if self._has_packages(one)]
        for one in section.prepare:
            if one not in self._prepared and (not one.needs or self._has_packages(one)):
                self._prepared[one] = self._start(one, 0) is not None
        for turn in range(max(one.rounds for one in section.contenders)):
            for one in able:
                if turn >= (1 if self.quick and not section.seeded else one.rounds):
                    continue
                for line in self._start(one, turn) or ():
                    yield {"who": one.name, "round": turn, **line}

    def _has_packages(self, one: Contender) -> bool:
        found = versions(self.peer_python if one.peer else sys.executable, one.needs) if one.needs else {}
        missing = [name for name in one.needs if name not in found]
        if missing:
            remedy = "--peer-python PATH names a Python that has them" if one.peer else "pip install -e .[dev]"
            self.say(f"  {one.name}: not measured, without {', '.join(missing)}; {remedy}")
        return not missing

    def _start(self, one: Contender, turn: int) -> list[dict[str, Any]] | None:
        """The figures of one process; None where it failed."""
        self.say(f"  {one.name}, round {turn + 1} ...", flush=True)
        python = self.peer_python if one.peer else sys.executable
        amounts = "quick" if self.quick else one.amounts
        command = [python, "-m", f"benchmarks.{one.module}", one.work, *self.arguments]
        command += ["--dtype", one.dtype, "--seed", str(turn), "--amounts", amounts]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ENVIRONMENT
        try:
            code, said, errors = run(command, environment, 3600 * one.hours)
        except subprocess.TimeoutExpired:
            self.failed = True
            self.say(f"  {one.name} was stopped after {one.hours:g} h")
            return None
        if code:
            self.failed = True
            self.say(f"  {one.name} failed ({code}): " + "\n    ".join(errors.splitlines()[-4:]))
            return None
        return [json.loads(line) for line in said.splitlines() if line.startswith('{"figure"')]


def run(command: list[str], environment: dict[str, str], seconds: float) -> tuple[int, str, str]:
    """Runs a process to its end: its exit code, and what it said on stdout and stderr.

    Raises:
        subprocess.TimeoutExpired: it took longer; it and all that it started are ended, as they are by Ctrl-C.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, process_group=0)
    try:
        said, errors = process.communicate(timeout=seconds)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode, said, errors
