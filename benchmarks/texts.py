"""The texts of every work, read from the folder of data sets. Standard library only: peers read them here too."""

import lzma
from pathlib import Path
from typing import NamedTuple

BOOKS = "books/classic_books.txt.xz"


class Labelled(NamedTuple):
    """Texts and their labels, one each."""

    texts: list[str]
    labels: list[int]


def sst2_file(data: Path, split: str) -> Path:
    """Path of a split of SST-2: "train", "dev" or "test"; columns `sentence` and `label`."""
    return data / "sst2" / f"{split}.tsv"


def read_sst2(data: Path, split: str) -> Labelled:
    """A split of SST-2 (Socher et al. 2013) in the order of its file."""
    with sst2_file(data, split).open(encoding="utf-8") as lines:
        next(lines)  # the header
        rows = [line.rstrip("\n").rpartition("\t") for line in lines]
    return Labelled([text for text, _, _ in rows], [int(label) for _, _, label in rows])


def questions(data: Path) -> list[str]:
    """What classifiers are asked: SST-2's dev and test texts in the order of the files."""
    return read_sst2(data, "dev").texts + read_sst2(data, "test").texts


def read_books(data: Path, megabytes: float) -> list[str]:
    """Lines from the start of the books, until they hold `megabytes` million bytes of UTF-8."""
    lines, left = [], megabytes * 1e6
    with lzma.open(data / BOOKS, "rt", encoding="utf-8") as book:
        for line in book:
            lines.append(line.rstrip("\n"))
            left -= len(line.encode())
            if left < 0:
                break
    return lines


def count_megabytes(lines: list[str]) -> float:
    """Million bytes of UTF-8 in lines, line ends apart."""
    return sum(len(line.encode()) for line in lines) / 1e6


def missing_files(data: Path) -> list[Path]:
    """The files of the data sets that are not there."""
    needed = [sst2_file(data, split) for split in ("train", "dev", "test")] + [data / BOOKS]
    return [path for path in needed if not path.is_file()]
