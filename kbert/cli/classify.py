"""What `kbert finetune` does for `--task classify`: files -> batches -> training -> a RUN with its report."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kbert
from kbert import report
from kbert.cli.progress import Progress
from kbert.runs import Run
from kbert.saving import save_preset
from kbert.tasks.classify_scores import answers, classification_scores, softmax
from kbert.training import Recipe
from kbert.training import finetune as train_model
from pipelines.batches import classification
from pipelines.tasks import ClassificationExamples, read_classification

MOST_WRONG = 12  # examples in the report
FREE_TO_DIFFER = (
    "command",
    "result",
    "kbert_version",
    "train",
    "dev",
)  # in a resume; what train and dev hold is compared


@dataclass(frozen=True)
class Columns:
    """Where the texts and labels stand; `labels` in the order of their ids, or None for those of the training file."""

    text: str
    pair: str | None
    label: str
    labels: Sequence[str] | None

    def read(self, path: Path, labels: Sequence[str] | None) -> ClassificationExamples:
        """The examples of a file; its labels are held to `labels` where given."""
        return read_classification(
            path, text_column=self.text, pair_column=self.pair, label_column=self.label, labels=labels
        )


@dataclass(frozen=True)
class Source:
    """Files, and how their texts become ids."""

    train: Path
    dev: Path
    max_length: int
    vocabulary: str | None
    lowercase: bool | None


def finetune(
    run: Run, recipe: Recipe, settings: dict[str, Any], columns: Columns, source: Source, *, command: str, resume: bool
) -> dict[str, Any]:
    """Trains, evaluates on the dev set, writes the RUN, and returns the figures.

    Raises:
        ValueError, FileNotFoundError: what the files, the preset and the training have to say.
        RunError: a resume with other settings, or with other texts.
    """
    train = columns.read(source.train, columns.labels)
    dev = columns.read(source.dev, train.labels)
    task = describe(train, dev, recipe, settings, columns, source, command)
    if resume:
        run.check_same(task, FREE_TO_DIFFER)
        if run.finished:
            return {"run": str(run.folder), "already_finished": True, **run.task_with("result")["result"]}
    model = kbert.Classifier.from_preset(
        settings["model"],
        labels=train.labels,
        vocabulary=source.vocabulary,
        lowercase=source.lowercase,
        seed=settings["seed"],
        dtype=settings["dtype"],
    )
    sizes = {"batch_size": settings["batch_size"], "max_length": source.max_length}
    dev_batches = classification(dev, model.tokenizer_spec, **sizes)

    def batches(epochs: range):
        return classification(train, model.tokenizer_spec, seed=settings["seed"], epochs=epochs, **sizes)

    batches(range(1))  # a wrong setting is told before anything is written
    if not resume:
        run.begin(task)
    progress = Progress(len(train), settings["batch_size"])
    try:
        weights = balanced(train) if settings["class_weight"] else None
        trained = train_model(
            model, batches, dev_batches, run, recipe, class_weight=weights, resume=resume, callbacks=[progress]
        )
    finally:
        progress.stop()
    labels, logits = answers(model, dev_batches)
    scores = classification_scores(labels, logits, train.labels)
    report.write_report(run, task, trained, scores, most_wrong(dev, labels, logits))
    result = {**trained, "dev": {key: scores[key] for key in ("loss", "accuracy", "macro_f1", "mcc")}}
    run.write_task({**task, "result": result})
    arrays = {name: np.asarray(weight) for name, weight in model.named_weights().items()}
    save_preset(run.folder, model.config, arrays, model.tokenizer, labels=train.labels, overwrite=True)
    return {"run": str(run.folder), "already_finished": False, **result}


def describe(
    train: ClassificationExamples,
    dev: ClassificationExamples,
    recipe: Recipe,
    settings: dict[str, Any],
    columns: Columns,
    source: Source,
    command: str,
) -> dict[str, Any]:
    """What task.json says: enough to predict, and to know a resume with other settings from the same one."""
    return {
        "task": "classify",
        "labels": list(train.labels),
        "max_length": source.max_length,
        "text_columns": list(train.columns),
        "label_column": columns.label,
        "kbert_version": kbert.__version__,
        "command": command,
        "settings": {
            **settings,
            **asdict(recipe),
            "vocabulary": source.vocabulary,
            "lowercase": source.lowercase,
            "train": str(source.train),
            "dev": str(source.dev),
            "train_digest": digest(train),
            "dev_digest": digest(dev),
        },
    }


def digest(examples: ClassificationExamples) -> str:
    """16 hexadecimal digits that differ where texts, labels or their order differ."""
    parts = (examples.texts, examples.pairs, examples.label_ids, examples.labels)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def balanced(examples: ClassificationExamples) -> dict[int, float]:
    """Class -> weight, so that all classes count the same and an example counts 1 on average (King and Zeng 2001)."""
    counts = examples.counts().values()
    present = sum(count > 0 for count in counts)
    return {index: len(examples) / (present * count) if count else 0.0 for index, count in enumerate(counts)}


def most_wrong(examples: ClassificationExamples, labels: np.ndarray, logits: np.ndarray) -> list[tuple]:
    """(text, label, answer, score of the answer) of wrong answers, the most certain first; in the order of the file."""
    scores = softmax(logits)
    answer, score = scores.argmax(-1), scores.max(-1)
    wrong = np.flatnonzero(answer != labels)
    worst = wrong[np.argsort(-score[wrong], kind="stable")][:MOST_WRONG]
    pairs = examples.pairs or [None] * len(examples)
    return [
        (
            " / ".join(filter(None, (examples.texts[i], pairs[i]))),
            examples.labels[labels[i]],
            examples.labels[answer[i]],
            float(score[i]),
        )
        for i in worst
    ]


def told(result: dict[str, Any]) -> list[str]:
    """The result as lines to read."""
    dev = "   ".join(f"{key} {value:.4f}" for key, value in result["dev"].items())
    done = "was finished before" if result["already_finished"] else "finished"
    return [
        f"{result['run']} {done}: best epoch {result['best_epoch']} of {result['epochs']}, {result['steps']} steps",
        f"dev   {dev}",
    ]
