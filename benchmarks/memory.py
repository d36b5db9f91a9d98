"""The largest batch whose step stays within 8 GB: python -m benchmarks.memory WORK --data DIR [--dtype mixed_bfloat16].

BERT-base, rows of 512 tokens, steps of `kbert.Pretrainer`'s training as `kbert pretrain` makes them. Every batch is
tried in a process of its own, whose peak of memory counts, Python and TensorFlow included. Small batches give a line,
the line says where to look, and real steps there decide.
"""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.worker import Job, say, work

LENGTH, PARTS = 512, 2
MOST_CONFIRMED = 16  # rows; of larger batches a step takes minutes, and the line decides about one more
WORKS = {  # options of kbert.Pretrainer
    "plain": {},
    "recompute": {"recompute": True},
    "accumulate": {"accumulate": PARTS},
    "recompute-accumulate": {"recompute": True, "accumulate": PARTS},
}


class Step(NamedTuple):
    """Million bytes at most, and seconds of a step."""

    peak: float
    seconds: float


class Largest(NamedTuple):
    """The largest batch found: its rows and its step, and what is known of one more row."""

    rows: int
    step: Step
    next_peak: float
    next_measured: bool


def largest(step: Callable[[int], Step], limit: float, most: int, confirmed: int = MOST_CONFIRMED) -> Largest | None:
    """The most rows whose step stays within the limit; None where one row does not.

    Args:
        step: measures a batch of so many rows.
        limit: million bytes.
        most: rows that are tried.
        confirmed: up to so many rows, also a step of one row more has been measured.
    """
    known: dict[int, Step] = {}

    def measured(rows: int) -> Step:
        if rows not in known:
            known[rows] = step(rows)
        return known[rows]

    def line(rows: int) -> float:
        """Memory of so many rows, by the two nearest batches that were measured."""
        below, above = sorted(sorted(known, key=lambda one: abs(one - rows))[:2])
        slope = (known[above].peak - known[below].peak) / (above - below)
        return known[below].peak + slope * (rows - below)

    if measured(1).peak > limit:
        return None
    measured(min(3, most))
    while True:
        fits = max(rows for rows, one in known.items() if one.peak <= limit)
        over = min((rows for rows, one in known.items() if one.peak > limit), default=most + 1)
        if fits + 1 >= over:
            return Largest(fits, known[fits], *((known[over].peak, True) if over in known else (line(over), False)))
        guess = fits
        while guess + 1 < over and line(guess + 1) <= limit:
            guess += 1
        if guess == fits:  # the line says that no more fit
            if fits > confirmed:
                return Largest(fits, known[fits], line(fits + 1), False)
            guess = fits + 1
        measured(guess)


def search(job: Job, name: str) -> None:
    """The largest batch of one kind of step."""
    options = {"size": job.amounts.memory_size, "length": LENGTH, "dtype": job.dtype, **WORKS[name]}
    parts = options.get("accumulate", 1)

    def step(rows: int) -> Step:
        words = [sys.executable, "-m", "benchmarks.memory_step", json.dumps({**options, "count": rows * parts})]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found = Step(**json.loads(done.stdout.splitlines()[-1]))
        print(f"    {rows} rows: {found.peak:.0f} MB, {found.seconds:.1f} s", file=sys.stderr, flush=True)
        return found

    found = largest(step, job.amounts.memory_mb, job.amounts.memory_rows)
    if found is None:
        say("largest batch", 0, "rows", note="one row is too much")
        return
    rows, taken, next_peak, next_measured = found
    how = "measured" if next_measured else "by a line"
    more = f"one more: {next_peak:.0f} MB {how}"
    if rows >= job.amounts.memory_rows:
        more = "more were not tried"
    if parts > 1:
        say("rows of a part", rows, "rows", peak_mb=taken.peak, note=f"any number of parts, here {parts}; {more}")
    else:
        say("largest batch", rows, "rows", peak_mb=taken.peak, note=more)
    say("rows a second then", rows * parts / taken.seconds, "rows/s", peak_mb=taken.peak)


if __name__ == "__main__":
    work({name: functools.partial(search, name=name) for name in WORKS}, __doc__)
