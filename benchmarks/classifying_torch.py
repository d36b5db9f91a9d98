"""transformers on the work of `benchmarks.classifying`, for a Python that has it:
python -m benchmarks.classifying_torch SET ...

Batches are shuffled, and padded to their longest text, as transformers does.
"""

import functools
import random
import time

from benchmarks.classifying_texts import RATE, SETS, Set, Split, percent
from benchmarks.fitting_torch import autocast, fit
from benchmarks.worker import BATCH, MAX_LENGTH, THREADS, Job, say, work


def train(job: Job, chosen: Set) -> None:
    """A run a seed; prints the figure, the time and the rate."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.set_num_threads(THREADS)
    tokenizer = AutoTokenizer.from_pretrained(job.minilm)
    taught, asked = chosen.splits(job.data, job.amounts.training_examples)
    labels = sorted(set(taught.labels))

    def pack(split: Split, rows: list[int]) -> dict:
        columns = [[column[row] for row in rows] for column in (split.texts, split.pairs) if column]
        return tokenizer(*columns, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")

    def batches(seed: int):
        for epoch in range(chosen.epochs):
            order = list(range(len(taught.texts)))
            random.Random(seed * chosen.epochs + epoch).shuffle(order)
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                right = torch.tensor([labels.index(taught.labels[row]) for row in rows])
                yield {**pack(taught, rows), "labels": right}

    for seed in range(job.seed, job.seed + job.seeds):
        torch.manual_seed(seed)
        model = BertForSequenceClassification.from_pretrained(job.minilm, num_labels=len(labels))
        steps, begin = chosen.epochs * -(-len(taught.texts) // BATCH), time.perf_counter()
        fit(model, batches(seed), steps, RATE, job)
        seconds, said = time.perf_counter() - begin, []
        with torch.inference_mode(), autocast(job):
            for start in range(0, len(asked.texts), BATCH):
                rows = list(range(start, min(start + BATCH, len(asked.texts))))
                said += [labels[place] for place in model(**pack(asked, rows)).logits.argmax(-1).tolist()]
        note, count = f"seed {seed}", chosen.epochs * len(taught.texts)
        told = f"{len(said)} texts, {note}"
        say(f"{chosen.title}, {chosen.figure}", percent(chosen.figure, asked.labels, said), "%", note=told)
        say(f"{chosen.title}, time of training", seconds, "s", note=note)
        say(f"{chosen.title}, training", count / seconds, "examples/s", note=note)


if __name__ == "__main__":
    work({name: functools.partial(train, chosen=chosen) for name, chosen in SETS.items()}, __doc__)
