"""Pronouns: which of two names does a pronoun stand for, told from its vectors, without training?

python -m benchmarks.pronouns WORK --data DIR, for WORK

  vectors   the name whose vectors are more like the pronoun's, by their cosine, in the layer that is best on the
            validation set
  nearest   the name that stands nearer to the pronoun in the text
  chance    what a coin is right in, over many throws

GAP (Webster et al. 2018, "Mind the GAP"), the 2,000 texts of the test set. "right name" is of the texts in which one of
the two names is right; F1 as in the paper, over all texts: of each name whether it is what the pronoun stands for. In
texts in which neither is, any answer is wrong.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.ours import PRESET
from benchmarks.spans import span_vector
from benchmarks.worker import Job, say, use_two_threads, work

VALIDATION, TEST = "gap/gap-validation.tsv", "gap/gap-test.tsv"
FEMININE = ("she", "her", "hers")


class Case(NamedTuple):
    """A text, the pronoun and two names as stretches of its characters, and which of the names the pronoun means."""

    text: str
    pronoun: tuple[int, int]
    names: tuple[tuple[int, int], tuple[int, int]]
    right: tuple[bool, bool]
    feminine: bool


def read_cases(path: Path, most: int | None = None) -> list[Case]:
    """The rows of a file of GAP, the first so many where they are limited."""

    def stretch(row: dict[str, str], name: str) -> tuple[int, int]:
        start = int(row[f"{name}-offset"])
        return start, start + len(row[name])

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:most]
    return [
        Case(
            row["Text"],
            stretch(row, "Pronoun"),
            (stretch(row, "A"), stretch(row, "B")),
            (row["A-coref"].upper() == "TRUE", row["B-coref"].upper() == "TRUE"),
            row["Pronoun"].lower() in FEMININE,
        )
        for row in rows
    ]


def likeness(cases: Sequence[Case]) -> np.ndarray:
    """Cosine of the pronoun's vector and each name's, in every layer: [cases, 2, layers]."""
    from kbert import Encoder
    from kbert.cli.token_vectors import TokenVectors

    encoder = Encoder.from_preset(PRESET)
    vectors = TokenVectors(encoder, range(1, encoder.config.num_hidden_layers + 1))
    found = []
    for case, one in zip(cases, vectors.of(case.text for case in cases), strict=True):
        spans = np.stack([span_vector(one, *span) for span in (case.pronoun, *case.names)])  # [3, layers, D]
        spans /= np.linalg.norm(spans, axis=-1, keepdims=True)
        found.append((spans[1:] * spans[0]).sum(-1))
    return np.stack(found)


def accuracy(cases: Sequence[Case], second: np.ndarray) -> float:
    """The share of right names, of the cases that have one; `second` says how likely the second is chosen, [cases]."""
    return hits(cases, second) / sum(any(case.right) for case in cases)


def f1(cases: Sequence[Case], second: np.ndarray) -> float:
    """F1 of "this name is what the pronoun means" over all names."""
    return 2 * hits(cases, second) / max(len(cases) + sum(sum(case.right) for case in cases), 1)


def hits(cases: Sequence[Case], second: np.ndarray) -> float:
    """How many answers are right."""
    return float(sum(case.right[0] * (1 - p) + case.right[1] * p for case, p in zip(cases, second, strict=True)))


def say_answers(cases: Sequence[Case], second: np.ndarray, note: str = "") -> None:
    """Prints the figures of answers."""
    with_name = sum(any(case.right) for case in cases)
    say("right name", 100 * accuracy(cases, second), "%", note=", ".join(filter(None, [f"{with_name} texts", note])))
    feminine = np.array([case.feminine for case in cases])
    groups = {"F1": np.ones_like(feminine), "F1, masculine": ~feminine, "F1, feminine": feminine}
    for name, group in groups.items():
        if group.any():
            say(name, 100 * f1([case for case, here in zip(cases, group, strict=True) if here], second[group]), "%")


def from_vectors(job: Job) -> None:
    """The layer is chosen on the validation set."""
    use_two_threads()
    validation, test = (read_cases(job.data / name, job.amounts.questions) for name in (VALIDATION, TEST))
    alike = likeness(validation)
    layers = [accuracy(validation, 1.0 * (alike[:, 1, layer] > alike[:, 0, layer])) for layer in range(alike.shape[-1])]
    best = int(np.argmax(layers))
    alike = likeness(test)
    say_answers(
        test,
        1.0 * (alike[:, 1, best] > alike[:, 0, best]),
        f"layer {best + 1}, {100 * layers[best]:.1f} % on validation",
    )


def without_model(answer: Callable[[Sequence[Case]], np.ndarray]) -> Callable[[Job], None]:
    """A work whose answers need no model."""

    def answered(job: Job) -> None:
        test = read_cases(job.data / TEST, job.amounts.questions)
        say_answers(test, answer(test))

    return answered


def nearer(cases: Sequence[Case]) -> np.ndarray:
    """Where the second name stands nearer to the pronoun, in characters between them."""

    def gap(case: Case, name: tuple[int, int]) -> int:
        return max(case.pronoun[0] - name[1], name[0] - case.pronoun[1])

    return np.array([1.0 * (gap(case, case.names[1]) < gap(case, case.names[0])) for case in cases])


def coin(cases: Sequence[Case]) -> np.ndarray:
    """One as likely as the other."""
    return np.full(len(cases), 0.5)


WORKS = {"vectors": from_vectors, "nearest": without_model(nearer), "chance": without_model(coin)}

if __name__ == "__main__":
    work(WORKS, __doc__)
