"""transformers on the work of `benchmarks.tagging conll2003`, for a Python that has it:
python -m benchmarks.tagging_torch conll2003 ...

The same recipe; the last weights are taken. The first piece of a word carries its tag and answers for it; a word that
is cut off, as rows end after 128 tokens, is answered with O.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fitting_torch import autocast, fit
from benchmarks.worker import BATCH, MAX_LENGTH, THREADS, Job, say, work

TRAIN, TEST = "conll2003/eng.train", "conll2003/eng.testb"
EPOCHS, RATE, IGNORED = 3, 1e-4, -100
Sentence = tuple[list[str], list[str]]  # words, tags


def read(path: Path) -> list[Sentence]:
    """Sentences of a file of CoNLL-2003, their tags in IOB2."""
    found, words, tags = [], [], []
    for line in [*path.read_text("utf-8").split("\n"), ""]:
        if line.strip() and not line.startswith("-DOCSTART-"):
            word, *_, tag = line.split()
            words.append(word)
            tags.append(tag)
        elif words:
            found.append((words, in_iob2(tags)))
            words, tags = [], []
    return found


def in_iob2(tags: Sequence[str]) -> list[str]:
    """IOB1, or tags of a model that follow no rule, as conlleval reads them: an entity starts with B-.

    >>> in_iob2(["I-PER", "I-PER", "B-PER", "I-LOC", "O"])
    ['B-PER', 'I-PER', 'B-PER', 'B-LOC', 'O']
    """
    before = ["O", *tags]
    return [
        f"B{tag[1:]}" if tag[0] == "I" and (last == "O" or last[2:] != tag[2:]) else tag
        for last, tag in zip(before, tags, strict=False)
    ]


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """First word, word behind the last, and type.

    >>> sorted(entities(["B-PER", "I-PER", "B-PER", "O"]))
    [(0, 2, 'PER'), (2, 3, 'PER')]
    """
    read, found = [*in_iob2(tags), "O"], set()
    for start, tag in enumerate(read):
        if tag[0] == "B":
            end = next(place for place in range(start + 1, len(read)) if read[place][0] != "I")
            found.add((start, end, tag[2:]))
    return found


def percent(right: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> float:
    """F1 of entities."""
    both = [(entities(one), entities(other)) for one, other in zip(right, said, strict=True)]
    count = sum(len(one) + len(other) for one, other in both)
    return 200 * sum(len(one & other) for one, other in both) / max(count, 1)


def train(job: Job) -> None:
    """A run a seed; prints F1 on testb and the time."""
    import torch
    from transformers import AutoTokenizer, BertForTokenClassification

    torch.set_num_threads(THREADS)
    few = job.amounts.training_examples
    tokenizer = AutoTokenizer.from_pretrained(job.minilm)
    taught, test = (read(job.data / name)[:few] for name in (TRAIN, TEST))
    labels = sorted({tag for _, tags in taught for tag in tags})

    def pack(words: list[list[str]]):
        return tokenizer(
            words, is_split_into_words=True, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )

    def firsts(packed, row: int) -> dict[int, int]:
        """Word -> place of its first piece."""
        places: dict[int, int] = {}
        for place, word in enumerate(packed.word_ids(row)):
            if word is not None:
                places.setdefault(word, place)
        return places

    def batches(seed: int):
        for epoch in range(EPOCHS):
            order = random.Random(seed * EPOCHS + epoch).sample(range(len(taught)), len(taught))
            for start in range(0, len(order), BATCH):
                chosen = [taught[row] for row in order[start : start + BATCH]]
                packed = pack([words for words, _ in chosen])
                right = torch.full(packed["input_ids"].shape, IGNORED)
                for row, (_, tags) in enumerate(chosen):
                    for word, place in firsts(packed, row).items():
                        right[row, place] = labels.index(tags[word])
                yield {**packed, "labels": right}

    for seed in range(job.seed, job.seed + job.seeds):
        torch.manual_seed(seed)
        model = BertForTokenClassification.from_pretrained(job.minilm, num_labels=len(labels))
        begin = time.perf_counter()
        fit(model, batches(seed), EPOCHS * -(-len(taught) // BATCH), RATE, job)
        seconds, said = time.perf_counter() - begin, []
        with torch.inference_mode(), autocast(job):
            for start in range(0, len(test), BATCH):
                packed = pack([words for words, _ in test[start : start + BATCH]])
                best = model(**packed).logits.argmax(-1).tolist()
                for row, (words, _) in enumerate(test[start : start + BATCH]):
                    places = firsts(packed, row)
                    said.append([labels[best[row][places[w]]] if w in places else "O" for w in range(len(words))])
        say("testb entity F1", percent([tags for _, tags in test], said), "%", note=f"seed {seed}")
        say("time of the epochs", seconds, "s", note=f"seed {seed}")


if __name__ == "__main__":
    work({"conll2003": train}, __doc__)
