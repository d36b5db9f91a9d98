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
from kbert.training import Recipe
from kbert.training import finetune as train_model

# In a resume; what train and dev hold is compared.
FREE_TO_DIFFER = ("command", "result", "kbert_version", "train", "dev")


@dataclass(frozen=True)
class Source:
    """Files, and what the model starts from.

    Args:
        train, dev: labelled files.
        model: a preset.
        vocabulary, lowercase: where the preset has none.
    """

    train: Path
    dev: Path
    model: str
    vocabulary: str | None = None
    lowercase: bool | None = None


@dataclass(frozen=True)
class Settings:
    """How the model is fed; rates are the recipe's."""

    batch_size: int = 32
    seed: int = 0
    dtype: str = "float32"
    class_weight: str | None = None


def finetune(
    task: Task, run: Run, source: Source, recipe: Recipe, settings: Settings, *, command: str, resume: bool
) -> dict[str, Any]:
    """Trains, evaluates on the dev set, writes the RUN, and returns the figures.

    Raises:
        ValueError, FileNotFoundError: what the files, the preset and the training have to say.
        RunError: a resume with other settings, or with other texts.
    """
    train = task.read(source.train)
    dev = task.read(source.dev, like=train)
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
    started = {"vocabulary": source.vocabulary, "lowercase": source.lowercase}
    model = task.model(source.model, train, seed=settings.seed, dtype=settings.dtype, **started)
    size = settings.batch_size
    recipe.figure(model)  # a wrong setting is told before anything is written

    def batches(epochs: range):
        return task.batches(train, model.tokenizer_spec, size, seed=settings.seed, epochs=epochs)

    steps = int(batches(range(1)).cardinality())
    weights = task.balanced(train) if settings.class_weight else None
    if not resume:
        run.begin(said)
    progress = Progress(min(len(train), steps * size) if steps * size < len(train) + size else steps * size, size)
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
    scores = task.scores(model, dev, size)
    report.write_report(run, said, trained, scores, task.sections(run, model, dev, scores, size))
    result = {**trained, "dev": {name: value for name, value in scores.items() if isinstance(value, float)}}
    run.write_task({**said, "result": result})
    save_model(run.folder, model, overwrite=True)
    return {"run": str(run.folder), "already_finished": False, **result}


def told(source: Source) -> dict[str, Any]:
    """A source as task.json has it: names of files as strings."""
    return {**asdict(source), "train": str(source.train), "dev": str(source.dev)}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as lines to read."""
    dev = "   ".join(f"{key} {value:.4f}" for key, value in result["dev"].items())
    done = "was finished before" if result["already_finished"] else "finished"
    return [
        f"{result['run']} {done}: best epoch {result['best_epoch']} of {result['epochs']}, {result['steps']} steps",
        f"dev   {dev}",
    ]
