"""Texts of the works on vectors: STS-B, Cranfield, CLINC150, Banking77, read from the folder of data sets."""

import csv
import json
import re
from pathlib import Path
from typing import NamedTuple

STSB, CRANFIELD = (
    ("stsb/sts-dev.tsv",),
    tuple(f"cranfield/{name}" for name in ("cran.all.1400", "cran.qry", "cranqrel")),
)
CLINC150, BANKING77 = ("clinc150/data_full.json",), tuple(f"banking77/{split}.csv" for split in ("train", "test"))


class Scored(NamedTuple):
    """Pairs of texts and people's scores of them, 0 to 5."""

    first: list[str]
    second: list[str]
    scores: list[float]


class Collection(NamedTuple):
    """Texts to search in, queries, and of each query the documents that are relevant, by their places."""

    documents: list[str]
    queries: list[str]
    relevant: list[set[int]]


class Split(NamedTuple):
    """Texts and the names of their classes."""

    texts: list[str]
    labels: list[str]


def read_stsb(data: Path) -> Scored:
    """The dev set of STS-B (Cer et al. 2017): score, first and second text are columns 5, 6 and 7."""
    lines = (data / STSB[0]).read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return Scored([row[5] for row in rows], [row[6] for row in rows], [float(row[4]) for row in rows])


def read_cranfield(data: Path, least: int = 1) -> Collection:
    """Cranfield (Cleverdon 1967): title and text of 1,400 documents, 225 queries.

    Judgements number the queries by their places in the file; the numbers that stand there are others. A text repeats
    its title, as it does in the collection. Relevant are documents of a degree of `least` or more, whatever it is: 1 is
    the reading of the figure that we are held to; the 225 judgements of degree -1, of which the collection's own notes
    say nothing, count too where `least` is -1.
    """
    documents, queries, judged = (data / name for name in CRANFIELD)
    parts = records(documents, ".W")
    titles = records(documents, ".T")
    asked = list(records(queries, ".W").values())
    relevant: list[set[int]] = [set() for _ in asked]
    places = {number: place for place, number in enumerate(parts)}
    for line in judged.read_text("latin-1").splitlines():
        query, document, degree = map(int, line.split())
        if degree >= least:
            relevant[query - 1].add(places[document])
    texts = [f"{titles[number]} {text}".strip() for number, text in parts.items()]
    return Collection(texts, asked, relevant)


def records(path: Path, mark: str) -> dict[int, str]:
    """The part of each record under a mark, its white space made single, by the number of the record."""
    found = {}
    for record in re.split(r"^\.I\s+", path.read_text("latin-1"), flags=re.MULTILINE)[1:]:
        number, _, rest = record.partition("\n")
        part = re.search(rf"^\{mark}[ \t]*$(.*?)(?=^\.[A-Z][ \t]*$|\Z)", rest, re.MULTILINE | re.DOTALL)
        found[int(number)] = " ".join(part[1].split()) if part else ""
    return found


def read_clinc150(data: Path, split: str) -> Split:
    """ "train" or "test" of CLINC150 (Larson et al. 2019) without the texts that are out of scope."""
    rows = json.loads((data / CLINC150[0]).read_text("utf-8"))[split]
    return Split([text for text, _ in rows], [label for _, label in rows])


def read_banking77(data: Path, split: str) -> Split:
    """ "train" or "test" of Banking77 (Casanueva et al. 2020)."""
    with (data / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Split([row["text"] for row in rows], [row["category"] for row in rows])
