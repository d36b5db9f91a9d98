"""Sets of labelled texts: RTE, CoLA, TREC and AG News, as their files have them. Standard library only, for peers too.

All are trained with batches of 32, rate 1e-4, a warm-up over a tenth of the steps, decay 0.01 and 128 tokens at most.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

RATE, WARM_UP, WEIGHT_DECAY = 1e-4, 0.1, 0.01


class Split(NamedTuple):
    """Texts, the second text of each where they are pairs, and the names of their classes."""

    texts: list[str]
    pairs: list[str] | None
    labels: list[str]

    def few(self, most: int | None) -> "Split":
        """As many of them, spread evenly, or all."""
        step = -(-len(self.texts) // most) if most else 1
        return Split(*(column and column[::step] for column in self))


def columns(path: Path, *places: int) -> list[list[str]]:
    """Columns of a file with tabs and no quotes."""
    rows = [line.split("\t") for line in path.read_text("utf-8").split("\n") if line]
    return [[row[place].strip() for row in rows] for place in places]


def entailment(path: Path) -> Split:
    """GLUE's RTE, which has a header: does the second text follow from the first?"""
    first, second, labels = (column[1:] for column in columns(path, 1, 2, 3))
    return Split(first, second, labels)


def acceptability(path: Path) -> Split:
    """CoLA (Warstadt et al. 2019): 1 for a sentence of English."""
    labels, texts = columns(path, 1, 3)
    return Split(texts, None, labels)


def question_types(path: Path) -> Split:
    """TREC (Li and Roth 2002), the six coarse classes of questions."""
    rows = [line.partition(" ") for line in path.read_text("latin-1").split("\n") if line]
    return Split([text for _, _, text in rows], None, [kind.partition(":")[0] for kind, _, _ in rows])


def topics(path: Path) -> Split:
    """AG News (Zhang et al. 2015), four topics."""
    return Split(*columns(path, 0), None, *columns(path, 1))


@dataclass(frozen=True)
class Set:
    """A set and how it is learned.

    Args:
        title: as tables say it.
        files: of the data folder, for training and for the figure.
        read: a file -> a split.
        epochs: of training.
        figure: "accuracy", or "MCC", Matthews' correlation.
    """

    title: str
    files: tuple[str, str]
    read: Callable[[Path], Split]
    epochs: int = 3
    figure: str = "accuracy"

    def splits(self, data: Path, few: int | None) -> tuple[Split, Split]:
        """Training texts, the first few or all, and those that are asked."""
        train, asked = (self.read(data / name) for name in self.files)
        return train.few(few), asked.few(few)


SETS = {
    "rte": Set("RTE dev", ("rte/train.tsv", "rte/dev.tsv"), entailment),
    "cola": Set("CoLA dev", ("cola/train.tsv", "cola/dev.tsv"), acceptability, figure="MCC"),
    "trec": Set("TREC test", ("trec/TREC.train", "trec/TREC.test"), question_types),
    "agnews": Set("AG News test", ("agnews/dev.tsv", "agnews/test.tsv"), topics, epochs=1),
}


def percent(figure: str, right: Sequence[str], said: Sequence[str]) -> float:
    """A set's figure of answers.

    Source of MCC: Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".

    >>> percent("accuracy", ["a", "b", "b"], ["a", "b", "a"]), percent("MCC", ["a", "b", "b"], ["a", "b", "a"])
    (66.66666666666667, 50.0)
    """
    hits = sum(one == other for one, other in zip(right, said, strict=True))
    if figure == "accuracy":
        return 100 * hits / len(right)
    number, there, told = len(right), Counter(right), Counter(said)
    common = hits * number - sum(there[label] * told[label] for label in there)
    spread = [number**2 - sum(count**2 for count in counts.values()) for counts in (there, told)]
    return 100 * common / (spread[0] * spread[1]) ** 0.5 if all(spread) else 0.0
