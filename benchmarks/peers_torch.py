"""transformers on PyTorch on the shared work, for a Python that has both: python -m benchmarks.peers_torch WORK ...

Batches are padded to their longest text, as transformers does; "mixed_bfloat16" is PyTorch's autocast.
"""

import itertools
import random
import time
from collections.abc import Iterator, Sequence

from benchmarks.texts import Labelled, count_megabytes, questions, read_books, read_sst2
from benchmarks.worker import (
    BATCH,
    LABELS,
    LEARNING_RATE,
    LINES,
    MAX_LENGTH,
    PRETRAINING_MEGABYTES,
    PRETRAINING_RATE,
    THREADS,
    Job,
    lap,
    say,
    say_classified,
    say_rate,
    work,
)

WEIGHT_DECAY, WARM_UP, CLIP_NORM = 0.01, 0.1, 1.0


class Classifier:
    """MiniLM with a new head for two classes, its tokenizer, and its number format."""

    def __init__(self, job: Job):
        import torch
        from transformers import AutoTokenizer, BertForSequenceClassification

        torch.set_num_threads(THREADS)
        torch.manual_seed(job.seed)
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(job.minilm)
        self.model = BertForSequenceClassification.from_pretrained(job.minilm, num_labels=len(LABELS))
        self.in_bfloat16 = job.dtype == "mixed_bfloat16"

    def pack(self, texts: Sequence[str]) -> dict:
        """Texts -> id tensors, padded to the longest."""
        return self.tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")

    def autocast(self):
        """The context in which matrix products take this classifier's format."""
        return self.torch.autocast("cpu", dtype=self.torch.bfloat16, enabled=self.in_bfloat16)

    def label(self, texts: Sequence[str]) -> list[str]:
        """The most probable label of each text."""
        with self.torch.inference_mode(), self.autocast():
            return [LABELS[index] for index in self.model(**self.pack(texts)).logits.argmax(-1).tolist()]

    def train(self, batches: Iterator[Labelled], optimizer, schedule=None) -> None:
        """An optimizer step a batch."""
        for texts, labels in batches:
            with self.autocast():
                loss = self.model(**self.pack(texts), labels=self.torch.tensor(labels)).loss
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
            optimizer.step()
            if schedule:
                schedule.step()
            optimizer.zero_grad()


def cut(examples: Labelled, starts: range) -> Iterator[Labelled]:
    """Batches that begin at `starts`."""
    for start in starts:
        yield Labelled(examples.texts[start : start + BATCH], examples.labels[start : start + BATCH])


def tokenize(job: Job) -> None:
    """Lines of books -> ids by the fast tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.minilm)
    lines = read_books(job.data, job.amounts.megabytes)
    batches = [lines[start : start + LINES] for start in range(0, len(lines), LINES)]

    def pass_over(batches):
        for batch in batches:
            tokenizer(batch, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)

    pass_over(batches[:10])
    say_rate("books", count_megabytes(lines), "MB", lap(lambda: pass_over(batches)))


def classify(job: Job) -> None:
    """Texts -> labels."""
    classifier = Classifier(job)
    classifier.model.eval()
    say_classified(classifier.label, questions(job.data), job.amounts)


def finetune(job: Job) -> None:
    """Steps of training on SST-2 in the order of the file."""
    classifier = Classifier(job)
    classifier.model.train()
    optimizer = classifier.torch.optim.AdamW(classifier.model.parameters(), lr=LEARNING_RATE, fused=True)
    train, steps, warm_up = read_sst2(job.data, "train"), job.amounts.steps, job.amounts.warm_up_steps
    classifier.train(cut(train, range(0, warm_up * BATCH, BATCH)), optimizer)
    starts = range(warm_up * BATCH, (warm_up + steps) * BATCH, BATCH)
    spent = lap(lambda: classifier.train(cut(train, starts), optimizer))
    say_rate("fine-tuning", steps * BATCH, "examples", spent, f"{steps} steps")


def sst2(job: Job) -> None:
    """One epoch of SST-2 with the recipe of `benchmarks.sst2`, and the accuracy on the dev set."""
    from transformers import get_linear_schedule_with_warmup

    classifier = Classifier(job)
    train, dev = read_sst2(job.data, "train"), read_sst2(job.data, "dev")
    order = list(range(len(train.texts)))
    random.Random(job.seed).shuffle(order)
    order = order[: job.amounts.training_examples]
    shuffled = Labelled([train.texts[index] for index in order], [train.labels[index] for index in order])
    steps = len(order) // BATCH
    weights = list(classifier.model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = classifier.torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARM_UP * steps), steps)
    classifier.model.train()
    start = time.perf_counter()
    classifier.train(cut(shuffled, range(0, steps * BATCH, BATCH)), optimizer, schedule)
    seconds = time.perf_counter() - start
    classifier.model.eval()
    said = [label for texts, _ in cut(dev, range(0, len(dev.texts), BATCH)) for label in classifier.label(texts)]
    right = sum(LABELS[label] == answer for label, answer in zip(dev.labels, said, strict=True))
    say("dev accuracy", right / len(said) * 100, "%", note=f"seed {job.seed}")
    say("time of the epoch", seconds, "s", note=f"seed {job.seed}")
    say("examples", steps * BATCH / seconds, "examples/s", note=f"seed {job.seed}")


def pretrain(job: Job) -> None:
    """Steps of training of a BERT-mini: lines of books joined and cut into full rows, masked by its own collator."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, DataCollatorForLanguageModeling

    torch.set_num_threads(THREADS)
    torch.manual_seed(job.seed)
    tokenizer = AutoTokenizer.from_pretrained(job.minilm)
    sizes = {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PRETRAINING_RATE, fused=True)
    mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    lines = read_books(job.data, min(PRETRAINING_MEGABYTES, job.amounts.megabytes))
    batches = (mask([{"input_ids": row} for row in rows]) for rows in full_rows(lines, tokenizer))

    def train(steps: int) -> None:
        for batch in itertools.islice(batches, steps):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.dtype == "mixed_bfloat16"):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            optimizer.zero_grad()

    train(job.amounts.warm_up_steps)
    steps = job.amounts.pretraining_steps
    spent = lap(lambda: train(steps))
    say_rate("pre-training", steps * BATCH * MAX_LENGTH, "tokens", spent, f"{steps} steps")
    say("slots that hold a token", 100, "%")


def full_rows(lines: list[str], tokenizer) -> Iterator[list[list[int]]]:
    """Batches of rows [CLS] ... [SEP] without padding; a row goes over the ends of lines."""
    room, ids = MAX_LENGTH - 2, []
    for start in range(0, len(lines), LINES):
        for line in tokenizer(lines[start : start + LINES], add_special_tokens=False)["input_ids"]:
            ids += line
        while len(ids) >= room * BATCH:
            rows = [ids[number * room : (number + 1) * room] for number in range(BATCH)]
            yield [[tokenizer.cls_token_id, *row, tokenizer.sep_token_id] for row in rows]
            del ids[: room * BATCH]


if __name__ == "__main__":
    works = {"tokenize": tokenize, "classify": classify, "finetune": finetune, "sst2": sst2, "pretrain": pretrain}
    work(works, __doc__)
