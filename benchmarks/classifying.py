"""MiniLM fine-tuned on RTE, CoLA, TREC or AG News: python -m benchmarks.classifying SET --data DIR [--seeds 3]

SET is rte, cola, trec, 3 epochs each; or agnews, 1 epoch of its 10,001 texts. Batches of 32, rate 1e-4, warm-up over a
tenth of the steps, decay 0.01, 128 tokens at most; the last weights are taken. The figure is the accuracy, of CoLA
Matthews' correlation, on the dev set, or the test set where that is published. The time is of all epochs, tokenizing
included. `benchmarks.classifying_torch` does the same with transformers; both are scored by `classifying_texts`.
"""

import functools

from benchmarks.classifying_texts import RATE, SETS, WARM_UP, WEIGHT_DECAY, Set, Split, percent
from benchmarks.ours import PRESET
from benchmarks.worker import BATCH, MAX_LENGTH, Job, lap, say, say_rate, use_two_threads, work


def examples(split: Split, labels: tuple[str, ...]):
    """A split as `pipelines` reads one."""
    from pipelines import ClassificationExamples

    ids = tuple(map(labels.index, split.labels))
    pairs = split.pairs and tuple(split.pairs)
    return ClassificationExamples(tuple(split.texts), pairs, ("sentence",), ids, labels)


def train(job: Job, chosen: Set) -> None:
    """A run a seed; prints the figure, the time and the rate."""
    use_two_threads()
    import kbert
    from kbert.tasks.classify_scores import answers
    from pipelines import classification

    taught, asked = chosen.splits(job.data, job.amounts.training_examples)
    labels = tuple(sorted(set(taught.labels)))
    sizes = {"batch_size": BATCH, "max_length": MAX_LENGTH}
    for seed in range(job.seed, job.seed + job.seeds):
        model = kbert.Classifier.from_preset(PRESET, labels=labels, seed=seed, dtype=job.dtype)

        def fit(model=model, seed=seed):
            batches = classification(examples(taught, labels), model.tokenizer_spec, seed=seed, **sizes)
            steps = chosen.epochs * int(batches.cardinality())
            model.compile(kbert.adamw(RATE, total_steps=steps, warmup=WARM_UP, weight_decay=WEIGHT_DECAY))
            model.fit(batches, epochs=chosen.epochs, verbose=0)

        spent = lap(fit)
        _, logits = answers(model, classification(examples(asked, labels), model.tokenizer_spec, **sizes))
        said, note = [labels[place] for place in logits.argmax(-1)], f"seed {seed}"
        told = f"{len(said)} texts, {note}"
        say(f"{chosen.title}, {chosen.figure}", percent(chosen.figure, asked.labels, said), "%", note=told)
        say(f"{chosen.title}, time of training", spent.wall, "s", spent.cpu * 1e3, note)
        say_rate(f"{chosen.title}, training", chosen.epochs * len(taught.texts), "examples", spent, note)


if __name__ == "__main__":
    work({name: functools.partial(train, chosen=chosen) for name, chosen in SETS.items()}, __doc__)
