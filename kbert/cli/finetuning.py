"""What `kbert finetune` does for any task: files -> batches -> training -> a RUN with its report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import kbert
from kbert import report
from kbert.cli.progress import Progress
from kbert.cli.task import Task, digest
from kbert.runs import Run
from kbert.saving import save_model
from kbert.training import Recipe, check
from kbert.training import finetune as train_model
from kbert.workers import agree

# In a resume; what train and dev hold is compared.
FREE_TO_DIFFER = ("command", "result", "kbert_version", "train", "dev")
OWN = ("command", "train", "dev")  # of each worker


@dataclass(frozen=True)
class Source:
    """Files, and what the model starts from.

    Args:
        train, dev: labelled files; no dev set for folds.
        model: a preset.
        vocabulary, lowercase: where the preset has none.
    """

    train: Path
    dev: Path | None
    model: str
    vocabulary: str | None = None
    lowercase: bool | None = None


@dataclass(frozen=True)
class Settings:
    """How the model is fed; rates are the recipe's.

    Args:
        class_weight: "balanced", or labels and their weights as `kbert finetune --class-weight` has them.
        augment: preset that replaces this share of the words of copies of the training texts; see
            `kbert.cli.augmentation`.
    """

    batch_size: int = 32
    seed: int = 0
    dtype: str = "float32"
    class_weight: str | None = None
    augment: str | None = None
    augment_share: float = 0.15


def finetune(
    task: Task,
    run: Run,
    source: Source,
    recipe: Recipe,
    settings: Settings,
    *,
    command: str,
    resume: bool,
    examples: tuple[Any, Any] | None = None,
) -> dict[str, Any]:
    """Trains, evaluates on the dev set, writes the RUN, and returns the figures.

    `examples` are those of training and dev set, where they are not the files of `source`.

    Raises:
        ValueError, FileNotFoundError: what the files, the preset and the training have to say.
        RunError: a resume with other settings, or with other texts.
    """
    train, dev = read(task, source) if examples is None else examples
    said = {
        **task.facts(train),
        "kbert_version": kbert.__version__,
        "command": command,
        "settings": {
            **told(source),
            **asdict(settings),
            **asdict(recipe),
            "train_digest": digest(train),
            "dev_digest": digest(dev),
        },
    }
    if resume:
        run.check_same(said, FREE_TO_DIFFER)
        if run.finished:
            return {"run": str(run.folder), "already_finished": True, **run.task_with("result")["result"]}
    weights = class_weights(task, train, settings.class_weight)
    started = {"vocabulary": source.vocabulary, "lowercase": source.lowercase}
    model = task.model(source.model, train, seed=settings.seed, dtype=settings.dtype, **started)
    size = settings.batch_size
    check(recipe, model)  # a wrong setting is told before anything is written
    if settings.augment:
        train = augmented(train, settings)

    def batches(epochs: range):
        return task.batches(train, model.tokenizer_spec, size, seed=settings.seed, epochs=epochs)

    steps = int(batches(range(1)).cardinality())
    agree(model.distribute_strategy, said, OWN)
    if not resume:
        run.begin(said)
    rows = min(len(train), steps * size) if steps * size < len(train) + size else steps * size
    progress = Progress(rows, size, recipe.all_epochs)
    try:
        trained = train_model(
            model,
            batches,
            lambda model: task.scores(model, dev, size),
            run,
            recipe,
            class_weight=weights,
            resume=resume,
            callbacks=[progress],
        )
    finally:
        progress.stop()
    task.after_training(model, dev, size)
    scores = {"examples": len(dev), **task.scores(model, dev, size)}
    report.write_report(run, said, trained, scores, task.sections(run, model, dev, scores, size))
    result = {**trained, "dev": {name: value for name, value in scores.items() if isinstance(value, float)}}
    run.write_task({**said, "result": result})
    save_model(run.folder, model, overwrite=True)
    return {"run": str(run.folder), "already_finished": False, **result}


def read(task: Task, source: Source) -> tuple[Any, Any]:
    """The examples of the training and the dev file."""
    train = task.read(source.train)
    return train, task.read(source.dev, like=train)


def class_weights(task: Task, examples: Any, asked: str | None) -> dict[int, float] | None:
    """Class -> weight, as --class-weight says.

    Raises:
        ValueError: not "balanced" nor LABEL=WEIGHT with commas between them, or a label that there is not.
    """
    if asked is None or asked == "balanced":
        return asked and task.balanced(examples)
    labels, found = list(getattr(examples, "labels", None) or ()), {}
    if not all(isinstance(label, int) for label in getattr(examples, "label_ids", ())):
        raise ValueError(f"--class-weight is for tasks with one label each; {task.name} has several. Leave it out.")
    for part in asked.split(","):
        label, _, weight = (word.strip() for word in part.rpartition("="))
        if label not in labels:
            raise ValueError(
                f"--class-weight is balanced, or LABEL=WEIGHT with commas between them; got {part!r}, "
                f"and the labels are {', '.join(labels) or 'none'}."
            )
        try:
            found[labels.index(label)] = float(weight)
        except ValueError:
            raise ValueError(f"--class-weight gives a label a number; got {part!r}.") from None
    return found


def augmented(examples: Any, settings: Settings) -> Any:
    """The training examples, and copies of them with other words."""
    from kbert.cli import augmentation
    from kbert.cli.quiet import quiet

    with quiet():
        return augmentation.augmented(examples, settings.augment, settings.augment_share, settings.seed)


def told(source: Source) -> dict[str, Any]:
    """A source as task.json has it: names of files as strings."""
    return {**asdict(source), "train": str(source.train), "dev": source.dev and str(source.dev)}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as lines to read."""
    dev = "   ".join(f"{key} {value:.4f}" for key, value in result["dev"].items())
    done = "was finished before" if result["already_finished"] else "finished"
    return [
        f"{result['run']} {done}: best epoch {result['best_epoch']} of {result['epochs']}, {result['steps']} steps",
        f"dev   {dev}",
    ]
