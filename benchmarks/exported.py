"""Exported == trained: 500 texts of a task's dev set, asked of the SavedModel and of the model that it was made from.

python -m benchmarks.exported TASK --data DIR --scratch DIR, for TASK

  classify   SST-2 dev                       pairs      RTE dev, 277 pairs of texts
  multilabel CLINC150's val, a text's intent and the domain of that; tuned thresholds
  regress    STS-B dev                       tag        CoNLL-2003 testa, as raw text
  qa         SQuAD 1.1, the ten articles for testing; 384 tokens, windows every 128
  choice     books: the end of a paragraph, and the starts of four, one of which goes on
  embed      STS-B dev, not trained          fill-mask  SST-2 dev, the word in the middle masked; trained on books

MiniLM in float32 is trained for 100 steps of 32 texts (qa 60 of 16, choice 60 of 8), exported, loaded, and asked in
batches of 32 in the order of the texts. The trained model answers the way its scores are made: batches of `pipelines`,
`predict`, and the task's own decoding (`benchmarks.exported_texts` and `exported_words`), without `export.serving`.

Equal is an answer that says the same, its numbers to 1e-4: labels and probabilities; of each word the tag and its
probability; the answer, its characters, its score and that of no answer; the five tokens and their probabilities; the
nearest of the other texts and the vector.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.exported_texts import choice, classify, embed, multilabel, pairs, regress
from benchmarks.exported_trials import Answer, Trial
from benchmarks.exported_words import fill_mask, qa, tag
from benchmarks.worker import BATCH, Job, lap, say, use_two_threads, work

TOLERANCE = 1e-4
TASKS = {
    "classify": classify,
    "pairs": pairs,
    "multilabel": multilabel,
    "regress": regress,
    "tag": tag,
    "qa": qa,
    "choice": choice,
    "embed": embed,
    "fill-mask": fill_mask,
}


def ask(folder: Path, strings: dict[str, Sequence]) -> list[dict[str, np.ndarray]]:
    """What the SavedModel says to each text: its row of every output of `serving_default`, padding and all."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401, whose operations the graph has

    loaded = tf.saved_model.load(str(folder))  # kept: a signature does not own what it calls
    serve, rows = loaded.signatures["serving_default"], []
    count = len(next(iter(strings.values())))
    for start in range(0, count, BATCH):
        part = {name: tf.constant(list(column[start : start + BATCH])) for name, column in strings.items()}
        outputs = {name: values.numpy() for name, values in serve(**part).items()}
        rows += [{name: values[row] for name, values in outputs.items()} for row in range(min(BATCH, count - start))]
    return rows


def compare(served: Sequence[Answer], trained: Sequence[Answer]) -> tuple[int, float]:
    """How many answers are equal, and the largest difference of a number where as many were given.

    >>> one, other = Answer("a", np.array([0.5, 0.25])), Answer("a", np.array([0.5, 0.75]))
    >>> compare([one, one, one], [one, other, Answer("b", one.numbers)])
    (1, 0.5)
    """
    equal, worst = 0, 0.0
    for one, other in zip(served, trained, strict=True):
        same = one.numbers.shape == other.numbers.shape
        far = float(np.abs(one.numbers - other.numbers).max(initial=0.0)) if same else np.inf
        equal += one.said == other.said and far <= TOLERANCE
        worst = max(worst, far) if same else worst
    return equal, worst


def hold(name: str, make) -> object:
    """A work that trains, exports and compares one task."""

    def compared(job: Job) -> None:
        use_two_threads()
        import export

        trial: Trial = make(job)
        found: dict[str, list[Answer]] = {"trained": trial.evaluate()}

        def serve() -> None:
            with tempfile.TemporaryDirectory() as scratch:
                folder = export.saved_model(trial.model, Path(scratch, "exported"), **trial.settings)
                found["served"] = trial.read(ask(folder, trial.strings))

        spent = lap(serve)
        equal, worst = compare(found["served"], found["trained"])
        count = len(found["trained"])
        kinds = len({answer.said for answer in found["trained"]})
        told = f"{count} texts" + (f", {kinds} different answers" if kinds > 1 else "")
        say(f"{name}, equal answers", 100 * equal / count, "%", note=told)
        say(f"{name}, largest difference", worst, "")
        say(f"{name}, export and answers", spent.wall, "s", spent.cpu * 1e3)

    return compared


if __name__ == "__main__":
    work({name: hold(name, make) for name, make in TASKS.items()}, __doc__)
