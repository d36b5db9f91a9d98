"""What a RUN is worth in each form that answers strings, for `kbert export --compare`: size, dev figure, time."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kbert.cli.answer_figures import columns_of, figure_of
from kbert.cli.answering import open_answerer, row_lengths
from kbert.cli.format import Asked, Format
from kbert.cli.saved_model_format import SavedModel
from kbert.cli.tflite_format import TFLite

ALONE = 50  # questions that are asked one by one
BATCHES_AT_ONCE = 64  # whose questions are sorted by length together, as kbert predict does
FIRST_BATCHES = 8  # of all lengths, before the time is taken


@dataclass(frozen=True)
class Compared:
    """A form of a RUN, measured.

    Args:
        name: of the form.
        megabytes: on the disk.
        figure: on the dev set.
        p50_ms: half of all single questions are answered in that time.
        rate: questions in a second, 32 at once, of like length together.
    """

    name: str
    megabytes: float
    figure: float
    p50_ms: float
    rate: float


def usual_forms(max_length: int, calibration: Path | None = None) -> dict[str, Format]:
    """The forms that are compared, by the names that the table has for them.

    Args:
        max_length: most tokens of a text; TFLite files have shorter rows beside.
        calibration: texts like those that will be asked, for TFLite's int8-full; None leaves that out.
    """
    length = ",".join(map(str, row_lengths(max_length)))
    forms = {
        "saved_model": SavedModel(SavedModel.Options()),
        "saved_model int8": SavedModel(SavedModel.Options(precision="int8")),
        "tflite": TFLite(TFLite.Options(length=length)),
        "tflite float16": TFLite(TFLite.Options("float16", length)),
        "tflite int8": TFLite(TFLite.Options("int8", length)),
    }
    if calibration is not None:
        forms["tflite int8-full"] = TFLite(TFLite.Options("int8-full", length, calibration=calibration))
    return forms


def compare(
    forms: Mapping[str, Format],
    asked: Asked,
    dev: Path,
    *,
    batch_size: int = 32,
    say: Callable[[str], None],
    advance: Callable[..., None],
) -> tuple[str, list[Compared]]:
    """Writes each form into a folder that goes again, and asks it the questions of a dev set.

    Args:
        forms: by the name that the table has for them.
        asked: what is written; its `out` is not used.
        dev: labelled file.
        batch_size: questions at once.
        say: told which forms cannot be had, and why.
        advance: of `kbert.cli.progress.bar`; told which form it is, and when that is done.

    Returns:
        The name of the figure, and the forms that could be written.
    """
    examples, found, threads = asked.task.read(dev, like=asked.model), [], tensorflow_threads()
    columns, (figure, score) = columns_of(asked.task, examples), figure_of(asked.task, asked.model, examples)
    for name, form in forms.items():
        advance(0, name)
        with tempfile.TemporaryDirectory(prefix="kbert-compare-") as scratch:
            out = Path(scratch) / ("model.tflite" if form.one_file else "model")
            try:
                form.check(asked.run, out)
                form.write(replace(asked, out=out, overwrite=False))
            except ValueError as error:
                say(f"{name}: {error}")
            else:
                size = sum(path.stat().st_size for path in (out, *out.rglob("*")) if path.is_file()) / 1e6
                rows, alone, rate = measured(open_answerer(out, threads=threads), columns, batch_size)
                found.append(Compared(name, size, score(rows), alone, rate))
        advance(1)
    return figure, found


def tensorflow_threads() -> int:
    """The threads that TensorFlow computes with, for what runs the other forms."""
    import tensorflow as tf

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return tf.config.threading.get_intra_op_parallelism_threads() or int(
        os.environ.get("TF_NUM_INTRAOP_THREADS", cores)
    )


def measured(
    answerer: Any, columns: Sequence[Mapping[str, Sequence]], batch_size: int
) -> tuple[list[list[dict]], float, float]:
    """Answers to each column of questions, the median milliseconds of one question, and questions in a second."""

    def ask(strings: Mapping[str, Sequence], size: int) -> list[dict]:
        return list(answerer.answers(strings, size, size * BATCHES_AT_ONCE, lambda _: None))

    single = each(columns[0])
    ask(single[0], 1)  # what is paid once
    alone = [timed(lambda one=one: ask(one, 1))[1] for one in single[:ALONE]]
    step = max(len(single) // (FIRST_BATCHES * batch_size), 1)
    ask({name: column[::step] for name, column in columns[0].items()}, batch_size)
    rows, seconds = zip(*(timed(lambda column=column: ask(column, batch_size)) for column in columns), strict=True)
    return list(rows), statistics.median(alone) * 1e3, sum(map(len, rows)) / sum(seconds)


def each(strings: Mapping[str, Sequence]) -> list[dict[str, Sequence]]:
    """Questions one by one."""
    size = len(next(iter(strings.values())))
    return [{name: column[place : place + 1] for name, column in strings.items()} for place in range(size)]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its seconds."""
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def lines(figure: str, found: Sequence[Compared]) -> list[str]:
    """The table."""
    width = max(len(one.name) for one in found)
    header = f"{'format':<{width}}  {'size MB':>8}  {f'dev {figure}':>14}  {'p50 ms':>8}  {'texts/s':>8}"
    return [header] + [
        f"{one.name:<{width}}  {one.megabytes:8.1f}  {one.figure:14.4f}  {one.p50_ms:8.2f}  {one.rate:8.1f}"
        for one in found
    ]
