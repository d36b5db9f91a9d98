"""TFLite files in LiteRT on two threads, beside the model that they were made of: python -m benchmarks.litert WORK ...

  train     MiniLM on SST-2, 1,000 steps of 32 texts; float32 and int8 files of rows of 16 to 128 tokens, and of 128
  quality   SST-2 dev: labels and scores of the files next to Keras', where the ids are equal; size and accuracy of int8
  classify  SST-2 dev and test: texts/s in batches, lengths sorted; milliseconds for one text

`quality` asks Keras through batches of `pipelines` and `predict`, without `export`.
"""

from pathlib import Path

from benchmarks.ours import PRESET
from benchmarks.texts import questions, read_sst2, sst2_file
from benchmarks.worker import BATCH, LABELS, LEARNING_RATE, MAX_LENGTH, THREADS, Job, say, say_classified, work

LENGTHS = (16, 24, 32, 48, 64, MAX_LENGTH)
STEPS = 1000
PRECISIONS = ("float32", "int8")


def file_of(scratch: Path, dtype: str, lengths: tuple[int, ...] = LENGTHS) -> Path:
    """Where `train` writes the file of a precision and of some lengths."""
    return scratch / f"sst2-{dtype}-{len(lengths)}.tflite"


def preset_of(scratch: Path) -> Path:
    """Where `train` writes the trained model."""
    return scratch / "sst2-trained"


def train(job: Job) -> None:
    """Fine-tunes, saves and exports."""
    import export
    import kbert
    import pipelines
    from kbert.saving import save_model

    steps = min(STEPS, job.amounts.training_examples // BATCH if job.amounts.training_examples else STEPS)
    model = kbert.Classifier.from_preset(PRESET, labels=LABELS)
    path = str(sst2_file(job.data, "train"))
    batches = pipelines.classification(
        path, model.tokenizer_spec, batch_size=BATCH, max_length=MAX_LENGTH, seed=job.seed
    )
    model.compile(kbert.adamw(LEARNING_RATE, total_steps=steps))
    model.fit(batches, steps_per_epoch=steps, verbose=0)
    save_model(preset_of(job.scratch), model, overwrite=True)
    for precision in PRECISIONS:
        for lengths in (LENGTHS, LENGTHS[-1:]):
            file = file_of(job.scratch, precision, lengths)
            export.tflite(model, file, lengths=lengths, precision=precision, overwrite=True)


def quality(job: Job) -> None:
    """How the files' answers differ from Keras'."""
    import numpy as np

    import export
    import kbert
    import pipelines
    from export.tflite.checking import both_ids
    from kbert.tasks.classify_scores import softmax

    dev = read_sst2(job.data, "dev")
    texts, right = dev.texts[: job.amounts.questions], np.array(dev.labels[: job.amounts.questions])
    model = kbert.Classifier.from_preset(str(preset_of(job.scratch)))
    batches, back = pipelines.texts(texts, model.tokenizer_spec, batch_size=BATCH, max_length=MAX_LENGTH)
    model.compile()
    trained = softmax(model.predict(batches, verbose=0)[back])
    wordpiece = pipelines.WordPiece.from_spec(model.tokenizer_spec)
    same = [exact == device for _, exact, device in both_ids(wordpiece, texts)]
    say("texts with equal ids", 100 * np.mean(same), "%", note=f"{len(texts)} texts")
    accuracy = {"Keras": np.mean(trained.argmax(1) == right)}
    for precision in PRECISIONS:
        file = file_of(job.scratch, precision)
        said = export.litert_runner(file, THREADS)(texts)["scores"]
        equal = (said.argmax(1) == trained.argmax(1))[same]
        say(f"{precision}, equal labels", 100 * equal.mean(), "%")
        say(f"{precision}, largest difference of a score", float(np.abs(said - trained)[same].max()), "")
        alone = file_of(job.scratch, precision, LENGTHS[-1:])
        say(f"{precision}, size", alone.stat().st_size / 1e6, "MB", note=f"rows of {LENGTHS[-1]} tokens")
        say(f"{precision}, size with {len(LENGTHS)} lengths", file.stat().st_size / 1e6, "MB")
        accuracy[precision] = np.mean(said.argmax(1) == right)
    for who, share in accuracy.items():
        say(f"dev accuracy, {who}", 100 * share, "%")
    say("int8, points of accuracy lost", 100 * (accuracy["Keras"] - accuracy["int8"]), "")


def classify(job: Job) -> None:
    """Texts -> labels."""
    import export

    runner = export.litert_runner(file_of(job.scratch, job.dtype), THREADS, BATCH)
    say_classified(lambda texts: runner(texts)["label"], questions(job.data), job.amounts, makes_batches=True)


if __name__ == "__main__":
    work({"train": train, "quality": quality, "classify": classify}, __doc__)
