"""What every measuring process shares: its arguments, the amount of work, the clock, the lines that it prints.

Standard library only: peers run this under a Python that has no package of ours.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

BATCH, LINES, MAX_LENGTH = 32, 1024, 128  # texts of a batch; lines of a batch of books; tokens of a text, at most
LEARNING_RATE = 5e-5
PRETRAINING_RATE, PREDICTIONS = 1e-4, 20  # of pre-training; slots for masked tokens in a row
PRETRAINING_MEGABYTES = 4  # of books that rates of pre-training are measured on
THREADS = 2
LABELS = ["negative", "positive"]


@dataclass(frozen=True)
class Amounts:
    """How much of a work is done; rates are per unit of it, so they may be compared between amounts.

    Args:
        megabytes: of books to tokenize.
        questions: texts to classify, all of them by default.
        warm_up_batches: that come before the clock starts; None is a whole pass.
        passes: that are timed; the median counts.
        singles: texts asked one at a time, after `warm_up_singles`.
        steps: of training that are timed, after `warm_up_steps`.
        training_examples: that a whole training or a pass of a pipeline takes, all by default.
        pretraining_steps: of pre-training that are timed, after `warm_up_steps`.
        masked_words: that statistics are made of, at least.
        overfit_steps: of training on 200 paragraphs.
        learns_steps, low_resource_steps, chinese_steps: of a pre-training that is then used.
        vocabulary: tokens of a vocabulary that is learned from text, at most.
        corpus_megabytes: of the text that such a vocabulary and a model are made from, all by default.
        kill_steps, kills: of a pre-training that is killed again and again.
        worker_kill_steps, worker_kills: the same of two workers; kills of each.
    """

    megabytes: float = 20
    questions: int | None = None
    warm_up_batches: int | None = None
    passes: int = 3
    singles: int = 300
    warm_up_singles: int = 20
    steps: int = 100
    warm_up_steps: int = 5
    training_examples: int | None = None
    pretraining_steps: int = 60
    masked_words: int = 500_000
    overfit_steps: int = 5000
    learns_steps: int = 11_000
    low_resource_steps: int = 4000
    chinese_steps: int = 10_000
    vocabulary: int = 16_000
    corpus_megabytes: float | None = None
    kill_steps: int = 300
    kills: int = 20
    exchange_sizes: tuple[str, ...] = ("tiny", "mini", "small", "base")
    exchanges: int = 10
    memory_size: str = "base"
    memory_rows: int = 64
    memory_mb: int = 8000
    worker_kill_steps: int = 200
    worker_kills: int = 10


AMOUNTS = {
    "full": Amounts(),
    "slow": Amounts(
        warm_up_batches=5, passes=1, singles=30, warm_up_singles=3, steps=30, warm_up_steps=3, pretraining_steps=20
    ),
    "quick": Amounts(
        megabytes=0.3,
        questions=64,
        warm_up_batches=1,
        passes=1,
        singles=5,
        warm_up_singles=1,
        steps=3,
        warm_up_steps=1,
        training_examples=320,
        pretraining_steps=2,
        masked_words=10_000,
        overfit_steps=10,
        learns_steps=6,
        low_resource_steps=6,
        chinese_steps=6,
        vocabulary=1600,
        corpus_megabytes=0.3,
        kill_steps=20,
        kills=2,
        exchange_sizes=("tiny",),
        exchanges=2,
        memory_size="tiny",
        memory_rows=4,
        worker_kill_steps=20,
        worker_kills=1,
    ),
}


@dataclass(frozen=True)
class Job:
    """The arguments of a measuring process."""

    data: Path
    minilm: Path | None
    scratch: Path
    dtype: str
    seed: int
    seeds: int
    amounts: Amounts


def work(works: Mapping[str, Callable[[Job], None]], description: str) -> None:
    """Parses the command line and does the work that it names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("work", choices=works)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2's weights, for peers")
    parser.add_argument("--scratch", type=Path, default=Path(), help="folder of what one work writes for another")
    parser.add_argument("--dtype", choices=("float32", "mixed_bfloat16", "int8"), default="float32")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after another, where a work takes seeds")
    parser.add_argument("--amounts", choices=AMOUNTS, default="full")
    given = vars(parser.parse_args())
    given["amounts"] = AMOUNTS[given["amounts"]]
    works[given.pop("work")](Job(**given))


def use_two_threads() -> Any:
    """TensorFlow, set to the threads that everyone gets."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    return tf


class Lap(NamedTuple):
    """Seconds that a call took, on the wall and of all its threads."""

    wall: float
    cpu: float


def lap(call: Callable[[], Any]) -> Lap:
    """Times one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Lap(time.perf_counter() - wall, time.process_time() - cpu)


def median_lap(call: Callable[[], Any], times: int) -> Lap:
    """Medians over several calls."""
    laps = [lap(call) for _ in range(times)]
    return Lap(statistics.median(one.wall for one in laps), statistics.median(one.cpu for one in laps))


def say(
    figure: str,
    value: float,
    unit: str,
    cpu_ms: float | None = None,
    note: str = "",
    peak_mb: float | Literal["own"] | None = "own",
) -> None:
    """Prints a figure as a line of JSON.

    Args:
        figure: what was measured.
        value: in `unit`; a unit that ends in "/s" or is "%" is better when larger, any other when smaller.
        cpu_ms: milliseconds of all threads for one unit of the work, which a busy machine changes less than the wall.
        note: what a reader must know to compare it.
        peak_mb: most memory held, in million bytes: by this process until now, or a number, or None where not known.
    """
    line = {"figure": figure, "value": value, "unit": unit, "cpu_ms": cpu_ms, "note": note}
    peak = megabytes(resource.getrusage(resource.RUSAGE_SELF)) if peak_mb == "own" else peak_mb
    print(json.dumps(line | {"peak_mb": peak}), flush=True)


def say_rate(figure: str, count: float, unit: str, spent: Lap, note: str = "") -> None:
    """Prints how many units a second a lap did."""
    say(figure, count / spent.wall, f"{unit}/s", spent.cpu / count * 1e3, note)


Label = Callable[[Sequence[str]], Sequence[str]]


def say_classified(label: Label, texts: list[str], amounts: Amounts, makes_batches: bool = False) -> None:
    """Measures a classifier: texts/s in batches, and milliseconds for one text at a time.

    Args:
        label: texts -> their labels as strings.
        texts: what is asked.
        amounts: how many of them, how often.
        makes_batches: `label` takes any number of texts and makes batches of 32 itself.
    """

    def label_all(texts: list[str]) -> None:
        step = len(texts) if makes_batches else BATCH
        for start in range(0, len(texts), step):
            label(texts[start : start + step])

    texts = texts[: amounts.questions]
    label_all(texts if amounts.warm_up_batches is None else texts[: amounts.warm_up_batches * BATCH])
    spent = median_lap(lambda: label_all(texts), amounts.passes)
    note = "" if amounts.passes == Amounts().passes else f"{amounts.passes} pass"
    say_rate("batches of 32", len(texts), "texts", spent, note)
    singles = texts[: amounts.singles]
    for text in singles[: amounts.warm_up_singles]:
        label([text])
    laps = [lap(lambda text=text: label([text])) for text in singles]
    milliseconds = statistics.quantiles((one.wall * 1e3 for one in laps), n=100, method="inclusive")
    cpu_ms = statistics.mean(one.cpu for one in laps) * 1e3
    note = "" if len(singles) == Amounts().singles else f"{len(singles)} texts"
    say("one text, p50", milliseconds[49], "ms", cpu_ms, note)
    if len(singles) >= 100:  # fewer have no 99th percentile
        say("one text, p99", milliseconds[98], "ms", cpu_ms)


def megabytes(usage: resource.struct_rusage) -> float:
    """Most memory that a process has held, in million bytes."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6  # macOS counts bytes, Linux KiB
