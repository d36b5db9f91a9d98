"""transformers on the work of `benchmarks.answering`, for a Python that has it:
python -m benchmarks.answering_torch train ...

The same split, rows, recipe and rules of decoding; batches are grouped by length, as kbert's are, and padded to their
longest row.
"""

import time
from typing import Any, NamedTuple

from benchmarks.squad import (
    EPOCHS,
    MAX_ANSWER,
    MAX_LENGTH,
    N_BEST,
    QUERY,
    RATE,
    STRIDE,
    WARM_UP,
    Asked,
    folder_of,
    questions,
    split,
    tell,
)
from benchmarks.stages import Found, stage
from benchmarks.worker import BATCH, THREADS, Job, work

WEIGHT_DECAY, CLIP_NORM = 0.01, 1.0


class Row(NamedTuple):
    """A window: what the model reads, the characters of its tokens (None outside of the context), and its answer."""

    owner: int
    encoded: dict[str, list[int]]
    offsets: list[tuple[int, int] | None]
    span: tuple[int, int]


def rows_of(asked: list[Asked], tokenizer) -> list[Row]:
    """Windows of all questions. transformers' `stride` is how far windows overlap, run_squad.py's how far they move."""
    rows = []
    for owner, one in enumerate(asked):
        question = tokenizer(one.question, add_special_tokens=False)["input_ids"][:QUERY]
        context = tokenizer(one.context, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = context["input_ids"], context["offset_mapping"]
        text, begin = one.answers[0]
        within = [place for place, (first, last) in enumerate(offsets) if first < begin + len(text) and last > begin]
        room = MAX_LENGTH - 3 - len(question)
        for start in range(0, max(len(ids), 1), min(STRIDE, room)):
            window = ids[start : start + room]
            before = len(question) + 2
            encoded = {
                "input_ids": [
                    tokenizer.cls_token_id,
                    *question,
                    tokenizer.sep_token_id,
                    *window,
                    tokenizer.sep_token_id,
                ],
                "token_type_ids": [0] * before + [1] * (len(window) + 1),
            }
            shown = [None] * before + offsets[start : start + room] + [None]
            held = within and start <= within[0] and within[-1] < start + len(window)
            span = (within[0] - start + before, within[-1] - start + before) if held else (0, 0)
            rows.append(Row(owner, encoded, shown, span))
            if start + room >= len(ids):
                break
    return rows


def collate(rows: list[Row], tokenizer) -> dict[str, Any]:
    """Rows -> padded tensors."""
    return tokenizer.pad([row.encoded for row in rows], padding=True, return_tensors="pt")


def decode(asked: list[Asked], rows: list[Row], logits: list[tuple[list[float], list[float]]]) -> dict[str, str]:
    """The best span of each question over its windows, by the rules of run_squad.py."""
    context: dict[tuple[int, tuple[int, int]], tuple[int, int]] = {}  # token -> (context on its lesser side, -row)
    for number, row in enumerate(rows):
        places = [place for place, offset in enumerate(row.offsets) if offset]
        for place in places:
            rank = (min(place - places[0], places[-1] - place), -number)
            key = (row.owner, row.offsets[place])
            context[key] = max(context.get(key, rank), rank)
    best: dict[int, tuple[float, str]] = {}
    for number, (row, (first, last)) in enumerate(zip(rows, logits, strict=True)):
        starts = sorted(range(len(first)), key=lambda place: -first[place])[:N_BEST]
        ends = sorted(range(len(last)), key=lambda place: -last[place])[:N_BEST]
        for start in starts:
            if not row.offsets[start] or context[row.owner, row.offsets[start]][1] != -number:
                continue
            for end in ends:
                if row.offsets[end] and 0 <= end - start < MAX_ANSWER:
                    score = first[start] + last[end]
                    if row.owner not in best or score > best[row.owner][0]:
                        text = asked[row.owner].context[row.offsets[start][0] : row.offsets[end][1]]
                        best[row.owner] = (score, text)
    return {one.id: best.get(owner, (0.0, ""))[1] for owner, one in enumerate(asked)}


def fit(model, rows: list[Row], tokenizer, job: Job, seed: int) -> None:
    """All epochs, in the order of transformers' own sampler."""
    import torch
    from transformers import get_linear_schedule_with_warmup
    from transformers.trainer_pt_utils import LengthGroupedSampler

    steps = EPOCHS * -(-len(rows) // BATCH)
    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARM_UP * steps), steps)
    lengths = [len(row.offsets) for row in rows]
    sampler = LengthGroupedSampler(BATCH, lengths=lengths, generator=torch.Generator().manual_seed(seed))
    model.train()
    for _ in range(EPOCHS):
        order = list(sampler)
        for start in range(0, len(order), BATCH):
            batch = [rows[place] for place in order[start : start + BATCH]]
            first, last = (torch.tensor([row.span[side] for row in batch]) for side in (0, 1))
            with autocast(job):
                loss = model(**collate(batch, tokenizer), start_positions=first, end_positions=last).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, CLIP_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def ask(model, rows: list[Row], tokenizer, job: Job) -> list[tuple[list[float], list[float]]]:
    """Logits of every row, padding left off."""
    import torch

    model.eval()
    logits = []
    with torch.inference_mode(), autocast(job):
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            said = model(**collate(batch, tokenizer))
            for row, first, last in zip(batch, said.start_logits.float(), said.end_logits.float(), strict=True):
                length = len(row.offsets)
                logits.append((first[:length].tolist(), last[:length].tolist()))
    return logits


def autocast(job: Job):
    """The context in which matrix products take the job's format."""
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.dtype == "mixed_bfloat16")


def train(job: Job) -> None:
    """A run a seed; prints F1, exact match and time."""
    for seed in range(job.seed, job.seed + job.seeds):
        tell(stage(folder_of(job), f"transformers-{seed}", lambda seed=seed: learn(job, seed)), seed)


def learn(job: Job, seed: int) -> Found:
    """Trains once and asks the test set."""
    import torch
    from transformers import AutoTokenizer, BertForQuestionAnswering

    from kbert.tasks.qa_scores import squad_scores  # numpy alone

    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    few, parts = job.amounts.training_examples, split(job.data)
    taught, test = (questions(parts[name], few) for name in ("train", "test"))
    begin = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(job.minilm, model_max_length=10**6)
    model = BertForQuestionAnswering.from_pretrained(job.minilm)
    fit(model, rows_of(taught, tokenizer), tokenizer, job, seed)
    seconds = time.perf_counter() - begin
    rows = rows_of(test, tokenizer)
    said = decode(test, rows, ask(model, rows, tokenizer, job))
    scores = squad_scores({one.id: [text for text, _ in one.answers] for one in test}, said)
    return {**scores, "seconds": seconds, "questions": EPOCHS * len(taught)}


if __name__ == "__main__":
    work({"train": train}, __doc__)
