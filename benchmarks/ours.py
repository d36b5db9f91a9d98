"""kbert on every work that needs kbert: python -m benchmarks.ours WORK --data DIR."""

import shutil
from pathlib import Path

from benchmarks.texts import count_megabytes, read_books, sst2_file
from benchmarks.worker import (
    BATCH,
    LABELS,
    LEARNING_RATE,
    LINES,
    MAX_LENGTH,
    THREADS,
    Job,
    lap,
    median_lap,
    say_rate,
    use_two_threads,
    work,
)

PRESET = "minilm-l6"


def saved_model_folder(scratch: Path) -> Path:
    """Where `export_classifier` writes."""
    return scratch / "saved_model"


def tokenize(job: Job) -> None:
    """Lines of books -> ids in a tf.data pipeline."""
    tf = use_two_threads()
    from kbert.presets import open_preset
    from pipelines import WordPiece

    lines = read_books(job.data, job.amounts.megabytes)
    wordpiece = WordPiece.from_spec(open_preset(PRESET).tokenizer)
    ids = tf.data.Dataset.from_tensor_slices(lines).batch(LINES).map(wordpiece.tokenize, THREADS).prefetch(THREADS)
    exhaust(ids)
    say_rate("books", count_megabytes(lines), "MB", median_lap(lambda: exhaust(ids), job.amounts.passes))


def export_classifier(job: Job) -> None:
    """MiniLM with an untrained head as a SavedModel, for `benchmarks.ours_saved_model`."""
    use_two_threads()
    import export
    import kbert

    folder = saved_model_folder(job.scratch)
    shutil.rmtree(folder, ignore_errors=True)
    export.saved_model(kbert.Classifier.from_preset(PRESET, labels=LABELS), folder, max_length=MAX_LENGTH)


def finetune(job: Job) -> None:
    """Steps of model.fit on SST-2, tokenizing included."""
    use_two_threads()
    import kbert
    import pipelines

    model = kbert.Classifier.from_preset(PRESET, labels=LABELS, dtype=job.dtype)
    train = pipelines.classification(
        str(sst2_file(job.data, "train")), model.tokenizer_spec, batch_size=BATCH, max_length=MAX_LENGTH, seed=job.seed
    )
    steps, warm_up = job.amounts.steps, job.amounts.warm_up_steps
    model.compile(kbert.adamw(LEARNING_RATE, total_steps=steps + warm_up))
    model.fit(train.take(warm_up), verbose=0)
    spent = lap(lambda: model.fit(train.take(steps), verbose=0))
    say_rate("fine-tuning", steps * BATCH, "examples", spent, f"{steps} steps")


def pipeline(job: Job) -> None:
    """An epoch of batches with no model behind them: read, grouped by length, tokenized, packed."""
    use_two_threads()
    import pipelines
    from kbert.presets import open_preset

    preset = open_preset(PRESET)
    spec = {**preset.tokenizer, "max_positions": preset.config.max_position_embeddings, "labels": LABELS}

    def read(path: str):
        return pipelines.classification(path, spec, batch_size=BATCH, max_length=MAX_LENGTH, seed=job.seed)

    path = str(sst2_file(job.data, "train"))
    batches = read(path)
    steps = job.amounts.training_examples and job.amounts.training_examples // BATCH
    examples = sum(len(labels) for _, labels in batches.take(steps or -1))
    say_rate("file -> batches, first epoch", examples, "examples", lap(lambda: exhaust(read(path).take(steps or -1))))
    say_rate("batches, later epochs", examples, "examples", lap(lambda: exhaust(batches.take(steps or -1))))


def exhaust(batches) -> None:
    """Takes all of a dataset."""
    for _ in batches:
        pass


if __name__ == "__main__":
    works = {"tokenize": tokenize, "export": export_classifier, "finetune": finetune, "pipeline": pipeline}
    work(works, __doc__)
