"""What a RUN is worth in each form that answers strings, for `kbert export --compare`: size, dev figure, time."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kbert.cli.answer_figures import columns_of, figure_of
from kbert.cli.format import Asked, Format

ALONE = 50  # questions that are asked one by one
BATCHES_AT_ONCE = 64  # whose questions are sorted by length together, as kbert predict does


USUAL = (
    ("saved_model", {}),
    ("saved_model", {"precision": "int8"}),
    ("tflite", {}),
    ("tflite", {"precision": "float16"}),
    ("tflite", {"precision": "int8"}),
)


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


def usual_forms(formats: Mapping[str, type[Format]]) -> dict[str, Format]:
    """The forms that are compared, by the names that the table has for them."""
    return {
        " ".join([name, *options.values()]): formats[name](formats[name].Options(**options))
        for name, options in USUAL
        if name in formats
    }


def compare(
    forms: Mapping[str, Format], asked: Asked, dev: Path, batch_size: int = 32, say: Callable[[str], None] = print
) -> tuple[str, list[Compared]]:
    """Writes each form into a folder that goes again, and asks it the questions of a dev set.

    Args:
        forms: by the name that the table has for them.
        asked: what is written; its `out` is not used.
        dev: labelled file.
        batch_size: questions at once.
        say: told which forms cannot be had, and why.

    Returns:
        The name of the figure, and the forms that could be written.
    """
    from kbert.cli.answering import open_answerer

    examples, found = asked.task.read(dev, like=asked.model), []
    columns, (figure, score) = columns_of(asked.task, examples), figure_of(asked.task, asked.model, examples)
    for name, form in forms.items():
        with tempfile.TemporaryDirectory(prefix="kbert-compare-") as scratch:
            out = Path(scratch) / ("model.tflite" if form.one_file else "model")
            try:
                form.check(asked.run, out)
                form.write(replace(asked, out=out, overwrite=False))
            except ValueError as error:
                say(f"{name}: {error}")
                continue
            size = sum(path.stat().st_size for path in (out, *out.rglob("*")) if path.is_file()) / 1e6
            rows, alone, rate = measured(open_answerer(out), columns, batch_size)
        found.append(Compared(name, size, score(rows), alone, rate))
    return figure, found


def measured(
    answerer: Any, columns: Sequence[Mapping[str, Sequence]], batch_size: int
) -> tuple[list[list[dict]], float, float]:
    """Answers to each column of questions, the median milliseconds of one question, and questions in a second."""

    def ask(strings: Mapping[str, Sequence], size: int) -> list[dict]:
        return list(answerer.answers(strings, size, size * BATCHES_AT_ONCE, lambda _: None))

    single = each(columns[0])[:ALONE]
    ask(single[0], 1)  # what is paid once
    alone = [timed(lambda one=one: ask(one, 1))[1] for one in single]
    ask({name: column[: 2 * batch_size] for name, column in columns[0].items()}, batch_size)
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
