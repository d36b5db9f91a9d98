"""Results: lines of JSON in, tables out; every number of RESULTS.md comes through here, none is typed.

results.jsonl holds a line a run ({"run", "command", "commit", "machine", ...}) and a line a figure
({"run", "section", "who", "figure", "value", ...}). python -m benchmarks.results writes RESULTS.md from it.
"""

import json
import os
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plan import KBERT, SECTIONS, Section, Target

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results.jsonl", HERE / "RESULTS.md"
HEADER = ("work", "who", "median", "kbert to it", "each run", "CPU ms a unit", "peak MB", "")
Line = dict[str, Any]


def is_rate(unit: str) -> bool:
    """Whether more of it is better.

    >>> is_rate("MB/s"), is_rate("ms")
    (True, False)
    """
    return unit.endswith("/s") or unit == "%"


def is_ours(who: str) -> bool:
    """Whether a contender is kbert."""
    return who.split()[0] == KBERT


def grouped(lines: Iterable[Line]) -> dict[str, dict[str, list[Line]]]:
    """Figures -> who -> the lines of each run, in the order in which they came."""
    groups: dict[str, dict[str, list[Line]]] = {}
    for line in lines:
        groups.setdefault(line["figure"], {}).setdefault(line["who"], []).append(line)
    return groups


def middle(lines: Sequence[Line], key: str = "value") -> float | None:
    """Median of the runs that have this key."""
    values = [line[key] for line in lines if line[key] is not None]
    return statistics.median(values) if values else None


def best_of_ours(runs: dict[str, list[Line]]) -> float | None:
    """kbert's best median at one figure."""
    ours = [middle(lines) for who, lines in runs.items() if is_ours(who)]
    unit = next(iter(runs.values()))[0]["unit"]
    return (max if is_rate(unit) else min)(ours) if ours else None


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
            table.append((figure, who, f"{number(value)} {unit}", against, each, cpu, peak, notes))
    return table


def verdicts(section: Section, lines: Iterable[Line]) -> list[str]:
    """A sentence a target: what was to be reached, and what was."""
    groups = grouped(lines)
    return [verdict(target, groups.get(target.figure, {})) for target in section.targets]


def verdict(target: Target, runs: dict[str, list[Line]]) -> str:
    """What a target asks, and what kbert's best is."""
    theirs, ours = runs.get(target.against), best_of_ours(runs) if runs else None
    unit = next(iter(runs.values()))[0]["unit"] if runs else ""
    side = "at least" if is_rate(unit) else "at most"
    asked = f"{target.figure}: {side} {target.least:g} x that of {target.against}, aim {target.aim:g} x"
    if not theirs or ours is None:
        return f"{asked}; not compared"
    ratio = ours / middle(theirs)
    reached = [ratio >= bound if is_rate(unit) else ratio <= bound for bound in (target.least, target.aim)]
    return f"{asked}; {ratio:.2f} x, {'aim reached' if reached[1] else 'reached' if reached[0] else 'NOT reached'}"


def number(value: float | None, whole: bool = False) -> str:
    """Three digits that count, or whole numbers.

    >>> number(0.012345), number(7.125), number(1234.5), number(None)
    ('0.0123', '7.12', '1234', '')
    """
    if value is None:
        return ""
    return f"{value:.0f}" if whole or abs(value) >= 100 else f"{value:.3g}"


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


def write_page(results: Path = RESULTS, page: Path = PAGE) -> list[str]:
    """Puts each section's newest complete run between its marks in RESULTS.md; the rest of the page stays.

    Returns:
        Names of the sections that were written.
    """
    runs, figures = read(results)
    text, written = page.read_text("utf-8"), []
    for name in SECTIONS:
        told = [line["run"] for line in figures if line["section"] == name and not runs[line["run"]]["quick"]]
        if not told:
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
