"""The texts of every work, read from the folder of data sets. Standard library only: peers read them here too."""

import lzma
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

BOOKS = "books/classic_books.txt.xz"
SST2 = tuple(f"sst2/{split}.tsv" for split in ("train", "dev", "test"))
LOW_RESOURCE = tuple(f"lowres_text/{name}.txt" for name in ("swahili_voa_clean_final", "yoruba", "hausa"))
ZHWIKI = "zhwiki/zhwiki_sample.txt.xz"
CHNSENTICORP = tuple(f"chnsenticorp/{split}.tsv" for split in ("train", "dev"))


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
    return read_lines(data / BOOKS, megabytes)


def read_lines(path: Path, megabytes: float) -> list[str]:
    """Lines from the start of a text file, .xz or not, until they hold `megabytes` million bytes of UTF-8."""
    lines, left = [], megabytes * 1e6
    with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as text:
        for line in text:
            lines.append(line.rstrip("\n"))
            left -= len(line.encode())
            if left < 0:
                break
    return lines


def count_megabytes(lines: list[str]) -> float:
    """Million bytes of UTF-8 in lines, line ends apart."""
    return sum(len(line.encode()) for line in lines) / 1e6


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """A text file of these lines, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(unfinished, path)
    return path


def cut_files(data: Path, names: Sequence[str], megabytes: float | None, folder: Path) -> list[Path]:
    """Files of the data folder as they are, or a text file in `folder` of the start of each, together this long."""
    if megabytes is None:
        return [data / name for name in names]
    share = megabytes / len(names)
    return [write_lines(folder / Path(name).name.removesuffix(".xz"), read_lines(data / name, share)) for name in names]


def missing_files(data: Path, names: Sequence[str]) -> list[Path]:
    """Those of the files that the data folder lacks."""
    return [data / name for name in names if not (data / name).is_file()]
