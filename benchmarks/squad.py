"""SQuAD 1.1's dev set parted by article, as its training set is not at hand. Standard library only, for peers too.

The last ten articles by title are for testing, the others for training.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.stages import Found, note
from benchmarks.worker import Job, say

SQUAD = "squad/dev-v1.1.reconstructed.json"
TESTED = 10  # articles
EPOCHS, RATE, WARM_UP, MAX_LENGTH, STRIDE, QUERY = 3, 1e-4, 0.1, 384, 128, 64
N_BEST, MAX_ANSWER = 20, 30


class Asked(NamedTuple):
    """A question, its context, and its answers as (text, character of the context where it starts)."""

    id: str
    question: str
    context: str
    answers: list[tuple[str, int]]


def split(data: Path) -> dict[str, dict[str, Any]]:
    """ "train" and "test", each in SQuAD's form."""
    whole = json.loads((data / SQUAD).read_text("utf-8"))
    articles = sorted(whole["data"], key=lambda article: article["title"])
    parts = {"train": articles[:-TESTED], "test": articles[-TESTED:]}
    return {name: {"version": "1.1", "data": part} for name, part in parts.items()}


def questions(part: dict[str, Any], few: int | None = None) -> list[Asked]:
    """The questions of a part, the first few or all, in the order of the file."""
    found = [
        Asked(
            asked["id"],
            asked["question"],
            paragraph["context"],
            [(answer["text"], answer["answer_start"]) for answer in asked["answers"]],
        )
        for article in part["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]
    return found[:few]


def folder_of(job: Job) -> Path:
    """Where is kept what a run of so many examples gave."""
    return job.scratch / f"squad-{job.amounts.training_examples or 'all'}-{job.dtype}"


def tell(found: Found, seed: int) -> None:
    """Prints the figures of a run."""
    said = {"note": note(found, f"seed {seed}"), "peak_mb": found.get("peak_mb")}
    cpu, count = found.get("cpu_seconds"), found["questions"]
    say("test F1", found["f1"] * 100, "%", **said)
    say("test exact match", found["exact"] * 100, "%", **said)
    say("time of 3 epochs", found["seconds"], "s", cpu and 1e3 * cpu, **said)
    say("questions", count / found["seconds"], "questions/s", cpu and 1e3 * cpu / count, **said)
