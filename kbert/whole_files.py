"""Files that are there whole or not at all, whatever ends the process that writes them."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)  # by the system, a write


@contextlib.contextmanager
def named(path: Path, instead_of: Path | None = None) -> Iterator[None]:
    """Gives an error of writing that names no file, such as of a full disk, or `instead_of`, this one's name.

    Libraries have classes of their own for what the system said: TensorFlow, safetensors. They become an OSError.

    >>> with named(Path("a.txt")):
    ...     raise RuntimeError("/tmp/scratch; No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'a.txt'
    """
    try:
        yield
    except Exception as error:
        code = getattr(error, "errno", None)
        if code is None:
            code = next((code for code in REFUSED if os.strerror(code) in str(error)), None)
        if code is None or getattr(error, "filename", None) not in (None, str(instead_of)):
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file to write that takes the name `path` once it is whole and on the disk; until then what stood there stays.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with beside(Path(folder) / "a.txt") as unfinished:
    ...         _ = unfinished.write_text("whole")
    ...     [file.name for file in Path(folder).iterdir()]
    ['a.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with named(path, instead_of=unfinished):
            yield unfinished
            unfinished.chmod(0o666 & path.parent.stat().st_mode)  # safetensors keeps others out
            _sync(unfinished)
            os.replace(unfinished, path)
            _sync(path.parent)  # after a power cut no name is without its content
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def is_leftover(path: Path) -> bool:
    """Whether a killed process left this half-written: a file of `beside`, or a folder of `kbert.saving`.

    >>> [is_leftover(Path(name)) for name in (".metrics.jsonl.4242", ".preset.x7_k2q1z", ".git", ".env.local")]
    [True, True, False, False]
    """
    return re.fullmatch(r"\..+\.\d+|\.preset\.\w+", path.name) is not None
