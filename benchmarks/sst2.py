"""The real run: MiniLM fine-tuned on all of SST-2 for one epoch, by what `kbert finetune` calls.

python -m benchmarks.sst2 train --data DIR [--dtype mixed_bfloat16] [--seeds 3]

Recipe: batches of 32, rate 5e-5, warm-up over 10 % of the steps, decay 0.01, texts of 128 tokens at most. The time is
that of `kbert.training.finetune`: tokenizing, tracing, checkpoints and the evaluation on the dev set are in it.
"""

import tempfile
from pathlib import Path

from benchmarks.ours import PRESET
from benchmarks.texts import sst2_file
from benchmarks.worker import BATCH, LEARNING_RATE, MAX_LENGTH, Job, lap, say, say_rate, use_two_threads, work


def train(job: Job) -> None:
    """A run a seed; prints accuracy, time and rate of each."""
    use_two_threads()
    for seed in range(job.seed, job.seed + job.seeds):
        with tempfile.TemporaryDirectory() as folder:
            train_once(job, seed, Path(folder))


def train_once(job: Job, seed: int, folder: Path) -> None:
    """One run in an empty folder."""
    import kbert
    from kbert.evaluation import answers, classification_scores
    from kbert.training import Recipe, finetune
    from pipelines import classification, read_classification

    examples = read_classification(str(sst2_file(job.data, "train")))
    model = kbert.Classifier.from_preset(PRESET, labels=examples.labels, seed=seed, dtype=job.dtype)
    sizes = {"batch_size": BATCH, "max_length": MAX_LENGTH}
    dev = classification(str(sst2_file(job.data, "dev")), model.tokenizer_spec, **sizes)
    few = job.amounts.training_examples

    def batches(epochs: range):
        steps = few // BATCH if few else -1
        return classification(examples, model.tokenizer_spec, seed=seed, epochs=epochs, **sizes).take(steps)

    recipe = Recipe(epochs=1, learning_rate=LEARNING_RATE, warmup=0.1, weight_decay=0.01)
    spent = lap(lambda: finetune(model, batches, dev, str(folder / "run"), recipe))
    scores = classification_scores(*answers(model, dev), examples.labels)
    note = f"seed {seed}"
    say("dev accuracy", scores["accuracy"] * 100, "%", note=note)
    say("time of the epoch", spent.wall, "s", spent.cpu * 1e3, note)
    say_rate("examples", few or len(examples), "examples", spent, note)


if __name__ == "__main__":
    work({"train": train}, __doc__)
