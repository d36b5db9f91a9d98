"""Measured lines by figure and contender: their medians, which is better, how a number is written."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

KBERT = "kbert"
Line = dict[str, Any]
Runs = dict[str, list[Line]]  # who -> the lines of each run of one figure


def is_rate(unit: str) -> bool:
    """Whether more of it is better.

    >>> is_rate("MB/s"), is_rate("ms")
    (True, False)
    """
    return unit.endswith("/s") or unit == "%"


def is_ours(who: str) -> bool:
    """Whether a contender is kbert."""
    return who.split()[0] == KBERT


def grouped(lines: Iterable[Line]) -> dict[str, Runs]:
    """Figures -> who -> the lines of each run, in the order in which they came."""
    groups: dict[str, Runs] = {}
    for line in lines:
        groups.setdefault(line["figure"], {}).setdefault(line["who"], []).append(line)
    return groups


def unit_of(runs: Runs) -> str:
    """The unit of a figure; "" where nobody was measured."""
    return next(iter(runs.values()))[0]["unit"] if runs else ""


def middle(lines: Sequence[Line], key: str = "value") -> float | None:
    """Median of the runs that have this key."""
    values = [line[key] for line in lines if line[key] is not None]
    return statistics.median(values) if values else None


def best_of_ours(runs: Runs) -> float | None:
    """kbert's best median at one figure."""
    ours = [middle(lines) for who, lines in runs.items() if is_ours(who)]
    return (max if is_rate(unit_of(runs)) else min)(ours) if ours else None


def number(value: float | None, whole: bool = False) -> str:
    """Three digits that count, or whole numbers.

    >>> number(0.012345), number(7.125), number(1234.5), number(None)
    ('0.0123', '7.12', '1234', '')
    """
    if value is None:
        return ""
    return f"{value:.0f}" if whole or abs(value) >= 100 else f"{value:.3g}"
