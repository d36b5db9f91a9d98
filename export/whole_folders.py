"""Folders that are there whole or not at all, whatever ends the process that fills them."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kbert.whole_files import named


def check_free(out: Path, overwrite: bool = False) -> None:
    """Raises ValueError where a folder to write is a file, or holds files and may not be replaced."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out is a new or empty folder; {out} is a file. Choose another name.")
    if out.exists() and not overwrite and any(out.iterdir()):
        raise ValueError(f"out is a new or empty folder; {out} holds files. Choose another, or pass overwrite=True.")


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A folder to fill that takes the name `out` once it is whole; until then what stood there stays.

    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     with beside(Path(scratch) / "out") as unfinished:
    ...         _ = (unfinished / "a.txt").write_text("whole")
    ...     [path.name for path in Path(scratch).rglob("*")]
    ['out', 'a.txt']
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        unfinished = Path(scratch) / "unfinished"
        unfinished.mkdir()
        with named(out, instead_of=unfinished):
            yield unfinished
        if out.exists():
            out.rename(Path(scratch) / "replaced")
        unfinished.rename(out)
