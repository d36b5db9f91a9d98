"""Stages of a long benchmark: what each found is kept in a file, so that one that was interrupted goes on behind it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.worker import megabytes

Found = dict[str, Any]


def stage(folder: Path, name: str, make: Callable[[], Found]) -> Found:
    """What `make()` finds, or found in a run before: then with `kept`, which is True.

    Args:
        folder: of the benchmark's stages; everything that changes a result must be in its name.
        name: of the stage.
        make: gives a JSON-able dict; where it does not say so itself, the most memory of this process is added to it,
            "peak_mb".
    """
    path = folder / f"{name}.json"
    if path.is_file():
        return {**json.loads(path.read_text("utf-8")), "kept": True}
    found = make()
    found.setdefault("peak_mb", megabytes(resource.getrusage(resource.RUSAGE_SELF)))
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(found), "utf-8")
    os.replace(unfinished, path)
    return {**found, "kept": False}


def note(found: Found, *words: str) -> str:
    """What a reader must know of a figure of a stage."""
    return ", ".join([*words, "of an earlier run"] if found["kept"] else words)


def kbert(*words: str | Path) -> Found:
    """Runs a command of kbert's in a process of its own; its progress goes to stderr.

    Returns:
        Its JSON result, with the most memory of any such process until now, "peak_mb".

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", "kbert", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    peak = megabytes(resource.getrusage(resource.RUSAGE_CHILDREN))
    return {**json.loads(done.stdout.splitlines()[-1]), "peak_mb": peak}
