"""A whole fine-tuning with PyTorch, by the recipe of kbert's: AdamW, a warm-up, a linear fall, clipped gradients."""

from collections.abc import Iterable
from typing import Any

from benchmarks.worker import Job

WARM_UP, WEIGHT_DECAY, CLIP_NORM = 0.1, 0.01, 1.0


def autocast(job: Job):
    """The context in which matrix products take the job's format."""
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.dtype == "mixed_bfloat16")


def fit(model: Any, batches: Iterable[dict], steps: int, rate: float, job: Job) -> None:
    """An optimizer step a batch.

    Args:
        model: of transformers; its loss is what is learned.
        batches: its arguments.
        steps: how many batches there are.
        rate: the highest.
        job: says the number format.
    """
    import torch
    from transformers import get_linear_schedule_with_warmup

    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARM_UP * steps), steps)
    model.train()
    for batch in batches:
        with autocast(job):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
