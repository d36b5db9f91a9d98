"""Texts of task files: the columns that every task reads, and texts without labels to predict on.

Columns have default names (`sentence`, or `sentence1` and `sentence2`) and can be named. A text may be empty.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import files

TEXT_COLUMN, PAIR_COLUMNS, LABEL_COLUMN = "sentence", ("sentence1", "sentence2"), "label"
Paths = str | Path | Sequence[str | Path]
Place = tuple[Path, int]  # a file and a line of it


@dataclass(frozen=True)
class Texts:
    """Texts without labels; `pairs` holds the second text of each, or is None; `columns` they were read from."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


class TextRow(NamedTuple):
    """A row of a task file: its file and line, all its columns, its one or two texts, and the columns of these."""

    path: Path
    number: int
    row: dict[str, Any]
    texts: list[str]
    columns: tuple[str, ...]

    @property
    def place(self) -> str:
        """ "file:line", for errors."""
        return f"{self.path}:{self.number}"


def text_rows(paths: Paths, *, text_column: str = TEXT_COLUMN, pair_column: str | None = None) -> Iterator[TextRow]:
    """The rows of task files, one text or a pair in each; what a task makes of the other columns is its own.

    Args:
        paths: a file, a glob, or several of either: .tsv, .csv or .jsonl, also .gz and .xz.
        text_column: the text. Where a file has no `sentence` but has `sentence1` and `sentence2`, these are the pair.
        pair_column: the second text of a pair; None for single texts.

    Raises:
        ValueError: a column or key that is not there, a text that is not a string; and what `files.rows` raises. All
            name the file, and the line where there is one.
        FileNotFoundError: no such file.
    """
    for path in files.find(paths):
        columns = None
        for number, row in files.rows(path):
            columns = columns or text_columns(row, text_column, pair_column, path)
            yield TextRow(path, number, row, [text_of(row, column, path, number) for column in columns], columns)


def read_texts(source: Paths | io.IOBase, *, text_column: str = TEXT_COLUMN, pair_column: str | None = None) -> Texts:
    """Reads texts to predict on; labels that a file may have are left alone.

    Args:
        source: files as `read_classification` takes them, or .txt (one text a line), or an open stream such as
            `sys.stdin` (one text a line, UTF-8).
        text_column, pair_column: as in `read_classification`; not used for .txt and streams.
    """
    if hasattr(source, "read"):
        return Texts(tuple(_stream_lines(source)))
    texts, columns = [], ()
    for path in files.find(source):
        if files.format_of(path, (*files.FORMATS, ".txt")) == ".txt":
            texts += [[line] for _, line in files.lines(path)]
            continue
        columns = ()
        for number, row in files.rows(path):
            columns = columns or text_columns(row, text_column, pair_column, path)
            texts.append([text_of(row, column, path, number) for column in columns])
    return Texts(*columnwise(texts, columns), columns)


def _stream_lines(stream: io.IOBase) -> list[str]:
    stream = getattr(stream, "buffer", stream)  # sys.stdin decodes by the locale; texts are UTF-8
    if isinstance(stream, io.TextIOBase):
        return [line.removesuffix("\n").removesuffix("\r") for line in stream]
    return [line for _, line in files.decoded(stream, getattr(stream, "name", "stream"))]


def columnwise(texts: list[list[str]], columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Rows of one or two texts -> (texts, pairs or None)."""
    widths = {len(row) for row in texts}
    if len(widths) > 1:
        raise ValueError(
            "files read together have single texts or pairs, not both. Read them apart or name the columns."
        )
    first = tuple(row[0] for row in texts)
    return first, tuple(row[1] for row in texts) if widths == {2} else None


def text_columns(row: dict[str, Any], text_column: str, pair_column: str | None, path: Path) -> tuple[str, ...]:
    """The columns that hold the texts; sentence1 and sentence2 stand in for the default."""
    if text_column == TEXT_COLUMN and pair_column is None and text_column not in row and set(PAIR_COLUMNS) <= set(row):
        return PAIR_COLUMNS
    columns = (text_column,) if pair_column is None else (text_column, pair_column)
    for column in columns:
        if column not in row:
            raise ValueError(no_column(row, column, str(path)))
    return columns


def no_column(row: dict[str, Any], column: str, where: str) -> str:
    """The message for a column that is not there; names those that are."""
    there = ", ".join(repr(name) for name in row)
    return f"{where}: no column {column!r}; there are {there}. Name one of them (line 1 of TSV and CSV is the header)."


def value_of(row: dict[str, Any], column: str, path: Path, number: int) -> Any:
    """What a column of a row holds; ValueError with file and line where there is no such column."""
    if column not in row:
        raise ValueError(no_column(row, column, f"{path}:{number}"))
    return row[column]


def text_of(row: dict[str, Any], column: str, path: Path, number: int) -> str:
    """As `value_of`, and a string."""
    value = value_of(row, column, path, number)
    if not isinstance(value, str):
        raise ValueError(f"{path}:{number}: {column!r} must be a text; got {value!r}. Put it in quotes.")
    return value


def listed(labels: Sequence[str], most: int = 20) -> str:
    """Labels for a message, so many at most."""
    return ", ".join(labels[:most]) + (f", ... ({len(labels) - most} more)" if len(labels) > most else "")


def named_files(paths: Paths) -> str:
    """Names of files for a message."""
    return ", ".join(map(str, files.find(paths)))
