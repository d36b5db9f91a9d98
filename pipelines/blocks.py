"""Blocks: a file of text, of any size, as pieces of about 64 KiB with whole lines.

A block is UTF-8 and begins with a line of text. Its lines end in LF, each line has more than white space in it, and one
empty line ends a document. So a block that ends in an empty line ends with a document, and one that does not is
continued by the next block of its file. The blocks of a file joined are its text, and depend on nothing but that text:
CRLF, a byte order mark, further empty lines, a missing last line end and compression leave no trace.

Plain text: one line a sentence or a paragraph, an empty line between documents; the end of a file ends a document.
JSONL (.jsonl, .ndjson, .json): one document an object, its own empty lines do not end it.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipelines import files

BLOCK = 1 << 16  # bytes that a block has at least, the last one of a file apart
GAP = re.compile(  # a line end and the lines of white space only after it, in UTF-8; the second `+` never goes back
    rb"\n(?:(?:[\t\v\f\r\x1c-\x20]++|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)*+\n)++"
)
MARK = b"\xef\xbb\xbf"
JSON_LINES = (".jsonl", ".ndjson", ".json")
INVALID = ("replace", "refuse")
NOT_TEXT = {  # how files begin that are often taken for text
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "gzip without the name's .gz",
    b"\xfd7zXZ\x00": "xz without the name's .xz",
    b"BZh9": "bzip2",
    b"(\xb5/\xfd": "Zstandard",
    b"PK\x03\x04": "zip",
    b"PAR1": "Parquet",
    b"%PDF-": "PDF",
}


class Block(NamedTuple):
    """A block and where it stands: the number of its file, its number in the file, both from 0."""

    text: bytes
    file: int
    number: int
    broken: int  # lines of the file, since the block before, that were not UTF-8


class StandardInput:
    """Standard input as a file that can be read once."""

    def __init__(self):
        self.was_read = False

    def __str__(self) -> str:
        return "standard input"

    def read_once(self) -> BinaryIO:
        """The open stream, in bytes.

        Raises:
            ValueError: it was given away before.
        """
        if self.was_read:
            raise ValueError(
                "standard input can be read once, and was; epochs, surveys and what is held out read a corpus again. "
                "Save it in a file first and give the file's name."
            )
        self.was_read = True
        return sys.stdin.buffer


Source = Path | StandardInput


def read_blocks(source: Source, *, file: int = 0, text_key: str = "text", invalid: str = "replace") -> Iterator[Block]:
    """The blocks of one file, in order; memory holds a block or two, and the longest line.

    Args:
        source: a file of plain text or JSONL, also as .gz and .xz; or standard input, plain text.
        file: the number of the file, which its blocks carry.
        text_key: the key of the text in JSONL.
        invalid: "replace" puts U+FFFD in the place of each byte sequence that is not UTF-8, "refuse" raises.

    Raises:
        ValueError: bytes that are not UTF-8 where they are refused; bad JSON, no text under `text_key`; a .gz or .xz
            that is cut short; a file that is known not to be text. All name the file, and the line where there is one.
        OSError: the file is gone or cannot be read.
    """
    if isinstance(source, StandardInput):
        yield from _number(_cut(_plain(source.read_once(), str(source), invalid)), file)
        return
    with files.opened(source) as stream:
        suffixes = [suffix.lower() for suffix in source.suffixes if suffix.lower() not in files.COMPRESSIONS]
        if suffixes and suffixes[-1] in JSON_LINES:
            chunks = _json(stream, str(source), text_key, invalid)
        else:
            chunks = _plain(stream, str(source), invalid)
        yield from _number(_cut(chunks), file)


Chunk = tuple[bytes, int]  # whole lines as a block has them; how many were not UTF-8


def _number(blocks: Iterator[Chunk], file: int) -> Iterator[Block]:
    return (Block(text, file, number, broken) for number, (text, broken) in enumerate(blocks))


def _plain(stream: BinaryIO, name: str, invalid: str) -> Iterator[Chunk]:
    line = 1
    while chunk := stream.read(BLOCK):
        if not chunk.endswith(b"\n"):
            chunk += stream.readline()
        if line == 1:
            chunk = _unmarked(chunk, name)
        if not chunk.endswith(b"\n"):
            chunk += b"\n"
        text, broken = _repaired(chunk, name, line, invalid)
        line += chunk.count(b"\n")
        yield _tidy(text), broken


def _json(stream: BinaryIO, name: str, text_key: str, invalid: str) -> Iterator[Chunk]:
    documents, size, total = [], 0, 0
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = _unmarked(line, name)
        line, broken = _repaired(line, name, number, invalid)
        if not line.strip():
            continue
        row = files.json_object(line.decode(), f"{name}:{number}")
        text = _text(row, text_key, f"{name}:{number}")
        text, surrogates = _repaired(text.encode("utf-8", "surrogatepass"), name, number, invalid)
        document = _tidy(text + b"\n").replace(b"\n\n", b"\n").strip(b"\n")
        documents += [document, b"\n\n"] if document else []
        size, total = size + len(document), total + bool(broken or surrogates)
        if size > BLOCK:
            yield b"".join(documents), total
            documents, size, total = [], 0, 0
    yield b"".join(documents), total


def _text(row: dict, key: str, where: str) -> str:
    if key not in row:
        there = ", ".join(map(repr, row)) or "none"
        raise ValueError(
            f"{where}: a document's text is under the key {key!r}; the keys are {there}. Name one of them."
        )
    if not isinstance(row[key], str):
        raise ValueError(f"{where}: {key!r} must be a text; got {row[key]!r:.60}. Put it in quotes.")
    return row[key]


def _unmarked(start: bytes, name: str) -> bytes:
    """The start of a file without its byte order mark."""
    for magic, kind in NOT_TEXT.items():
        if start.startswith(magic):
            raise ValueError(f"{name} must be UTF-8 text, plain or as .gz or .xz; it begins as {kind}. Convert it.")
    return start.removeprefix(MARK)


def _repaired(data: bytes, name: str, line: int, invalid: str) -> Chunk:
    """Lines, of which the first is number `line` of its file, as UTF-8; and how many were not."""
    try:
        if not data.isascii():
            data.decode()
        return data, 0
    except UnicodeDecodeError as error:
        if invalid == "refuse":
            start = data.rfind(b"\n", 0, error.start) + 1
            line += data.count(b"\n", 0, start)
            raise ValueError(
                f"{name}:{line}: text must be UTF-8; byte {error.start - start + 1} of the line is "
                f"0x{data[error.start]:02x}. "
                'Save the file as UTF-8, or let such bytes be replaced (invalid="replace").'
            ) from None
    return data.decode("utf-8", "replace").encode(), sum(map(_is_broken, data.split(b"\n")))


def _is_broken(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _tidy(lines: bytes) -> bytes:
    """Lines with LF for CRLF, and one empty line for any run of lines without text."""
    lines = b"\n" + (lines.replace(b"\r\n", b"\n") if b"\r" in lines else lines)
    return GAP.sub(b"\n\n", lines)[1:]


def _cut(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Blocks, however the chunks came: where to cut is known once twice a block is there, or the end."""
    text, broken = b"", 0
    for chunk, more in chunks:
        if chunk.startswith(b"\n"):
            chunk = (b"\n" if text and not text.endswith(b"\n\n") else b"") + chunk.lstrip(b"\n")
        text, broken, start = text + chunk, broken + more, 0
        while len(text) - start > 2 * BLOCK and (end := _block_end(text, start)):
            yield text[start:end], broken
            start, broken = end, 0
        text = text[start:]
    text = text.rstrip(b"\n") + b"\n\n" if text else b""
    start = 0
    while start < len(text):
        end = _block_end(text, start) if len(text) - start > BLOCK else len(text)
        yield text[start:end], broken
        start, broken = end, 0


def _block_end(text: bytes, start: int) -> int:
    """Where the block from `start` ends: after an empty line, or else a line; 0 where the text must go on to tell."""
    blank = text.find(b"\n\n", start + BLOCK - 2, start + 2 * BLOCK)
    if blank >= 0:
        return blank + 2
    end = text.find(b"\n", start + BLOCK - 1) + 1
    if text.startswith(b"\n", end):
        return end + 1
    return end if end < len(text) else 0
