"""Texts of a file or a stream one after another, never all in memory."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kbert.cli.errors import WrongUse
from kbert.cli.output import existing
from pipelines import files
from pipelines.tasks.texts import TEXT_COLUMN, text_rows


def stream_texts(given: list[str] | None, input: Path | None, text_column: str | None) -> Iterator[str]:
    """Texts of the command line, of a file, or of standard input, a line each.

    Args:
        given: on the command line, or nothing.
        input: .txt, .tsv, .csv or .jsonl, also .gz and .xz.
        text_column: of the last three.

    Raises:
        WrongUse: both are given.
        ValueError, FileNotFoundError: what the file has to say, with file and line; pairs of texts.
    """
    if given and input:
        raise WrongUse("Give texts or --input, not both.")
    if input is not None:
        existing(input, "--input")
    return iter(given) if given else _lines_of(input, text_column)


def _lines_of(input: Path | None, text_column: str | None) -> Iterator[str]:
    if input is None:
        stream = getattr(sys.stdin, "buffer", None)  # texts are UTF-8 whatever the locale says
        lines = files.decoded(stream, "standard input") if stream else enumerate(sys.stdin)
        yield from (line.removesuffix("\n") for _, line in lines)
    elif files.format_of(input, (*files.FORMATS, ".txt")) == ".txt":
        yield from (line for _, line in files.lines(input))
    else:
        for row in text_rows(input, text_column=text_column or TEXT_COLUMN):
            if len(row.texts) != 1:
                raise ValueError(f"{row.place}: one text a row is read here; got a pair. Name one with --text-column.")
            yield row.texts[0]


def parts(texts: Iterable[str], characters: int) -> Iterator[list[str]]:
    """Texts, so many at a time that they have about so many characters; a longer text is alone.

    >>> list(parts(["abc", "d", "efghij", "k"], characters=5))
    [['abc', 'd'], ['efghij'], ['k']]
    """
    part, size = [], 0
    for text in texts:
        if part and size + len(text) > characters:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield part
