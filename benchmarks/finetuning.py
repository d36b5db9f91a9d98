"""One fine-tuning by what `kbert finetune` calls, and how good it is: for every benchmark that needs one."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.worker import BATCH, MAX_LENGTH, Job, Lap, lap


class Trained(NamedTuple):
    """Share of right answers on the dev set, time of the training with its scoring, examples of an epoch."""

    accuracy: float
    spent: Lap
    examples: int


def finetune_once(
    job: Job, preset: str, train: Path, dev: Path, recipe, *, seed: int, text_column: str = "sentence", **opened
) -> Trained:
    """Trains in an empty folder.

    Args:
        job: `amounts.training_examples` of an epoch are taken, `dtype` is the model's.
        preset: what the model starts from.
        train, dev: labelled texts.
        recipe: a `kbert.training.Recipe`.
        seed: of new weights, dropout and the order.
        opened: further arguments of `Classifier.from_preset`.
    """
    import kbert
    from kbert.tasks.classify_scores import answers, classification_scores
    from kbert.training import finetune
    from pipelines import classification, read_classification

    examples = read_classification(train, text_column=text_column)
    asked = read_classification(dev, text_column=text_column, labels=examples.labels)
    model = kbert.Classifier.from_preset(preset, labels=examples.labels, seed=seed, dtype=job.dtype, **opened)
    sizes = {"batch_size": BATCH, "max_length": MAX_LENGTH}
    dev_batches = classification(asked, model.tokenizer_spec, **sizes)
    few = job.amounts.training_examples

    def batches(epochs: range):
        steps = few // BATCH * len(epochs) if few else -1
        return classification(examples, model.tokenizer_spec, seed=seed, epochs=epochs, **sizes).take(steps)

    with tempfile.TemporaryDirectory() as folder:
        spent = lap(lambda: finetune(model, batches, dev_batches, f"{folder}/run", recipe))
    scores = classification_scores(*answers(model, dev_batches), examples.labels)
    return Trained(scores["accuracy"], spent, few or len(examples))
