"""Format: what `kbert export` must know of a form that a RUN can leave in; each is a file cli/NAME_format.py.

Light to import: the command line's `--help` reads the options of all formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from kbert.cli.task import NoOptions, Task


@dataclass(frozen=True)
class Asked:
    """What is to be written.

    Args:
        run: folder of the RUN.
        task: of the RUN.
        model: the RUN's, trained.
        out: what to write; free, or to be replaced.
        max_length: most tokens of a text.
        overwrite: replace what is at `out`.
    """

    run: Path
    task: Task
    model: Any
    out: Path
    max_length: int
    overwrite: bool


class Format:
    """A form that a RUN can leave in. A new one is a file that overrides what differs, and a line in `formats.py`.

    Args:
        options: an instance of `Options`.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions  # a frozen dataclass of Annotated typer options, each with a default
    one_file: ClassVar[bool] = False  # else a folder

    def __init__(self, options: Any):
        self.options = options

    def path(self, out: Path) -> Path:
        """What is written where `--out` names `out`."""
        return out

    def check(self, run: Path, out: Path) -> None:
        """Raises WrongUse or ValueError for what is wrong whatever the RUN holds, before anything slow."""

    def write(self, asked: Asked) -> dict[str, Any]:
        """Writes `asked.out`, whole or not at all; the facts that `--json` prints beside path, format and size."""
        raise NotImplementedError

    def lines(self, result: dict[str, Any]) -> list[str]:
        """What was written, to read; `result` is what `write` gave, and `out`, `format` and `bytes`."""
        return [f"{result['out']}: {result['format']}, {result['bytes'] / 1e6:.1f} MB"]
