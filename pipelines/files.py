"""Task files -> rows: (line number, {column: value}), from .tsv, .csv and .jsonl, each also as .gz or .xz.

TSV is tabs and line ends and nothing else: quotes are characters of the text, as in GLUE's files. CSV has the usual
quoting (RFC 4180), a field may hold line ends. JSONL is one JSON object a line. A byte order mark and CRLF are taken
off. What is wrong in a file is said with file and line.
"""

import contextlib
import csv
import glob
import gzip
import json
import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

FORMATS = (".tsv", ".csv", ".jsonl")
COMPRESSIONS = {"": open, ".gz": gzip.open, ".xz": lzma.open}
Row = tuple[int, dict[str, Any]]


def find(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Names and globs -> files that exist, in the order given; those of one glob in the order of their names.

    Raises:
        FileNotFoundError: a name or a glob that matches no file.
        ValueError: no name at all.
    """
    found = []
    names = [paths] if isinstance(paths, str | Path) else list(paths)
    if not names:
        raise ValueError("at least one file is needed; got an empty list.")
    for name in names:
        if Path(name).is_file():
            found.append(Path(name))
            continue
        matches = [Path(match) for match in sorted(glob.glob(str(name), recursive=True)) if Path(match).is_file()]
        if not matches:
            raise _missing(name)
        found += matches
    return found


def _missing(name: str | Path) -> FileNotFoundError:
    remedy = "It is a folder: name the files in it." if Path(name).is_dir() else "Check the name or the glob."
    return FileNotFoundError(f"no such file: {name} (seen from {Path.cwd()}). {remedy}")


def format_of(path: Path, formats: Iterable[str] = FORMATS) -> str:
    """The extension that says how to read a file, compression left off.

    >>> format_of(Path("train.tsv.gz"))
    '.tsv'
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in formats:
        known = ", ".join(formats)
        raise ValueError(
            f"a file's format is told by its extension, {known} (also .gz and .xz); got {path}. Rename it."
        )
    return suffixes[-1]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end) of a UTF-8 file, plain or compressed.

    Lines end at LF or CRLF only: other characters that Unicode calls line ends belong to the text.
    """
    with opened(path) as file:
        yield from decoded(file, str(path))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file, plain or compressed, open for its bytes; what goes wrong while it is read names it.

    Raises:
        ValueError: the file is not what .gz and .xz promise, or is cut short.
        OSError: the file is gone, may not be read, or its disk fails.
    """
    try:
        with COMPRESSIONS.get(path.suffix.lower(), open)(path, "rb") as file:
            yield file
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}. Make it again.") from error
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a failed read does not say of what
            error.filename = str(path)
        raise


def decoded(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """As `lines`, from an open binary file."""
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield number, line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            at = f"byte {error.start + 1} of the line is 0x{line[error.start]:02x}"
            raise ValueError(f"{name}:{number}: text must be UTF-8; {at}. Save the file as UTF-8.") from error


def rows(path: str | Path) -> Iterator[Row]:
    """(line number, {column: value}) of a task file; TSV and CSV take their columns from the header on line 1.

    Values are str, in JSONL whatever JSON has. Lines without a character are left out, except where a TSV or CSV file
    has one column only: there they are empty texts.

    Raises:
        ValueError: an empty file, a header without rows, a row with too few or too many fields, bad JSON, bad UTF-8,
            an unknown extension; all with the file and, from line 1 on, the line.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise _missing(path)
    reader = {".tsv": _tsv_rows, ".csv": _csv_rows, ".jsonl": _json_rows}[format_of(path)]
    empty = True
    for row in reader(path):
        empty = False
        yield row
    if empty:
        held = "is empty" if next(lines(path), None) is None else "has a header and no row below it"
        held = "holds no JSON object" if format_of(path) == ".jsonl" and held != "is empty" else held
        raise ValueError(f"{path} {held}. Give a file with at least one example.")


def _tsv_rows(path: Path) -> Iterator[Row]:
    return _table(path, ((number, line.split("\t") if line else []) for number, line in lines(path)))


def _csv_rows(path: Path) -> Iterator[Row]:
    def fields() -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader((line + "\n" for _, line in lines(path)), strict=True)
        start = 1
        try:
            for record in reader:
                yield start, record
                start = reader.line_num + 1  # a quoted field may hold line ends
        except csv.Error as error:
            raise ValueError(
                f"{path}:{start}: not a CSV row: {error}. Mend the quotes, or use TSV or JSONL."
            ) from error

    return _table(path, fields())


def _table(path: Path, records: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    """Records -> rows, by the header that the first record is."""
    header = next(records, (1, []))[1]
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise ValueError(f"{path}:1: the columns of a header must differ; {', '.join(repeated)} appears twice.")
    for number, record in records:
        if not record:
            if len(header) != 1:
                continue
            record = [""]
        if len(record) != len(header):
            few = "few" if len(record) < len(header) else "many"
            raise ValueError(
                f"{path}:{number}: a row has as many fields as the header, {len(header)} ({', '.join(header)}); "
                f"got {len(record)}, too {few}."
            )
        yield number, dict(zip(header, record, strict=True))


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in lines(path):
        if line.strip():
            yield number, json_object(line, f"{path}:{number}")


def json_object(line: str, where: str) -> dict[str, Any]:
    """The object that a line of JSONL holds; `where` is its file and line, for errors (ValueError)."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number of over 4,300 digits and deep nesting are other errors
        raise ValueError(f"{where}: a line holds one JSON object; {error}.") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a line holds one JSON object; got {type(row).__name__}.")
    return row
