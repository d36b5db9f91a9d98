"""Word senses: does a token's vector tell in which sense its word is used, without training the model?

python -m benchmarks.word_senses WORK --data DIR, for WORK

  static      layer 0: the word's embedding, its place and nothing of its neighbours
  contextual  the last layer
  last-four   the mean of the last four layers

The words hard, interest, line and serve of Senseval (Leacock et al. 1998; Bruce and Wiebe 1994), as NLTK gives them. A
word's vector is the mean of its pieces'. Five folds, equal texts in one fold, senses spread evenly; the sense of a test
text is that of the nearest centroid of the training folds' vectors, all of length 1. As Wiedemann et al. 2019, "Does
BERT Make Any Sense?", with centroids for neighbours.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.ours import PRESET
from benchmarks.spans import span_vector
from benchmarks.worker import Job, say, use_two_threads, work

SENSEVAL = "senseval_wsd/senseval_hard_interest_line_serve.tsv.gz"
FOLDS = 5
LAYERS = {"static": [0], "contextual": [-1], "last-four": [-1, -2, -3, -4]}


class Use(NamedTuple):
    """A word in a text: where it stands in its characters, and its sense."""

    word: str
    text: str
    start: int
    end: int
    sense: str


def read_uses(path: Path) -> Iterator[Use]:
    """The uses in the order of the file; texts are tokens with a space between them."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            tokens, place = row["tokens"].split(" "), int(row["target_index"])
            start = sum(len(token) + 1 for token in tokens[:place])
            yield Use(row["lexelt"], row["tokens"], start, start + len(tokens[place]), row["sense"])


def accuracy(vectors: np.ndarray, senses: Sequence[str], texts: Sequence[str], seed: int) -> float:
    """The share of uses whose nearest centroid is that of their sense, each as a test text once."""
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.neighbors import NearestCentroid
    from sklearn.preprocessing import normalize

    vectors, senses, right = normalize(vectors), np.array(senses), 0
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(vectors, senses, texts):
        nearest = NearestCentroid().fit(vectors[train], senses[train])
        right += int((nearest.predict(vectors[test]) == senses[test]).sum())
    return right / len(senses)


def tell_senses(job: Job, kind: str) -> None:
    """Accuracy of each word and the mean of the four."""
    use_two_threads()
    from kbert import Encoder
    from kbert.cli.token_vectors import TokenVectors

    vectors = TokenVectors(Encoder.from_preset(PRESET), LAYERS[kind], "mean", max_length=256)
    by_word: dict[str, list[Use]] = {}
    for use in read_uses(job.data / SENSEVAL):
        by_word.setdefault(use.word, []).append(use)
    found = []
    for word, uses in by_word.items():
        chosen = uses
        if job.amounts.questions:  # evenly over the file, which has sense after sense
            chosen = uses[:: max(len(uses) // job.amounts.questions, 1)]
        rows = [
            span_vector(one, use.start, use.end)
            for use, one in zip(chosen, vectors.of(use.text for use in chosen), strict=True)
        ]
        senses = [use.sense for use in chosen]
        found.append(100 * accuracy(np.stack(rows), senses, [use.text for use in chosen], job.seed))
        frequent = 100 * Counter(senses).most_common(1)[0][1] / len(senses)
        say(
            word, found[-1], "%", note=f"{len(set(senses))} senses, {len(senses)} texts, most frequent {frequent:.1f} %"
        )
    say("mean of the words", float(np.mean(found)), "%")


if __name__ == "__main__":
    work({kind: lambda job, kind=kind: tell_senses(job, kind) for kind in LAYERS}, __doc__)
