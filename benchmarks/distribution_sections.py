"""The sections of RESULTS.md on training over workers and within a memory: who does which work."""

from benchmarks.figures import KBERT
from benchmarks.plan import BFLOAT16, Contender, Section


def memory(work: str, dtype: str = "float32") -> Contender:
    """A kind of step of `benchmarks.memory`."""
    said = "bfloat16" if dtype == BFLOAT16 else dtype
    return Contender(f"{KBERT} {work.replace('-', ', ')}, {said}", "memory", work, dtype, hours=2)


DISTRIBUTION = {
    "exchange": Section(
        "Exchange of gradients",
        (Contender(f"{KBERT} two workers", "exchange", "two"),),
        default=False,
        files=(),
    ),
    "memory": Section(
        "Largest batch of BERT-base within 8 GB",
        (
            memory("plain"),
            memory("accumulate"),
            memory("plain", BFLOAT16),
            memory("recompute"),
            memory("recompute", BFLOAT16),
        ),
        default=False,
        files=(),
    ),
}
