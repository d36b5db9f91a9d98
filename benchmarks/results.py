"""Results: lines of JSON in, tables out; every number of RESULTS.md comes through here, none is typed.

results.jsonl holds a line a run ({"run", "command", "commit", "machine", ...}) and a line a figure
({"run", "section", "who", "figure", "value", ...}). python -m benchmarks.results writes RESULTS.md from it.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.figures import Line, best_of_ours, grouped, is_ours, middle, number
from benchmarks.plan import Section
from benchmarks.sections import SECTIONS

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results.jsonl", HERE / "RESULTS.md"
HEADER = ("work", "who", "median", "kbert to it", "each run", "CPU ms a unit", "peak MB", "")


def rows(lines: Iterable[Line]) -> list[tuple[str, ...]]:
    """A row a figure and contender, under `HEADER`."""
    table = []
    for figure, runs in grouped(lines).items():
        ours = best_of_ours(runs)
        for who, of_one in runs.items():
            value, unit = middle(of_one), of_one[0]["unit"]
            against = "" if ours is None or is_ours(who) else f"{ours / value:.2f}x"
            each = ", ".join(number(line["value"]) for line in of_one) if len(of_one) > 1 else ""
            notes = ", ".join(dict.fromkeys(line["note"] for line in of_one if line["note"]))
            cpu, peak = number(middle(of_one, "cpu_ms")), number(middle(of_one, "peak_mb"), whole=True)
            table.append((figure, who, f"{number(value)} {unit}".rstrip(), against, each, cpu, peak, notes))
    return table


def verdicts(section: Section, lines: Iterable[Line]) -> list[str]:
    """A sentence a target: what was to be reached, and what was."""
    groups = grouped(lines)
    return [target.verdict(groups.get(target.figure, {})) for target in section.targets]


def plain(header: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    widths = [max(map(len, column)) for column in zip(header, *table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *table)
    )


def markdown(header: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *table))


def read(path: Path = RESULTS) -> tuple[dict[str, Line], list[Line]]:
    """The runs by their names, and all figures.

    Raises:
        FileNotFoundError: nothing was measured here.
    """
    if not path.is_file():
        raise FileNotFoundError(f"RESULTS.md is made from measurements; got no {path}. Run: python -m benchmarks")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    runs = {line["run"]: line for line in lines if "command" in line}
    return runs, [line for line in lines if "figure" in line]


def block(name: str, run: Line, lines: list[Line]) -> str:
    """What RESULTS.md says of one section: whence, the table, the targets."""
    source = f"`{run['command']}`, commit {run['commit']}, {run['date']}, {run['machine']}; " + ", ".join(
        f"{package} {version}" for package, version in run["packages"].items()
    )
    reached = "\n".join(f"- {sentence}" for sentence in verdicts(SECTIONS[name], lines))
    return "\n\n".join(filter(None, (source, markdown(HEADER, rows(lines)), reached)))


def write_page(results: Path = RESULTS, page: Path = PAGE, run: str | None = None) -> list[str]:
    """Puts each section's newest run between its marks in RESULTS.md; the rest of the page stays.

    Args:
        results: what was measured here.
        page: RESULTS.md, which may hold figures of other checkouts.
        run: only sections that this run measured are touched; None for all that were measured here.

    Returns:
        Names of the sections that were written.
    """
    runs, figures = read(results)
    text, written = page.read_text("utf-8"), []
    for name in SECTIONS:
        told = [line["run"] for line in figures if line["section"] == name and not runs[line["run"]]["quick"]]
        if not told or run not in (None, told[-1]):
            continue
        lines = [line for line in figures if line["section"] == name and line["run"] == told[-1]]
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marks.search(text):
            raise ValueError(
                f"{page} must have the marks <!-- {name} --> and <!-- end -->; got neither. Put them back."
            )
        filling = block(name, runs[told[-1]], lines)
        text = marks.sub(lambda found, filling=filling: f"{found[1]}{filling}\n{found[2]}", text)
        written.append(name)
    unfinished = page.with_name(f".{page.name}.{os.getpid()}")
    unfinished.write_text(text, "utf-8")
    os.replace(unfinished, page)
    return written


if __name__ == "__main__":
    print("RESULTS.md:", ", ".join(write_page()))
