"""The sections of RESULTS.md on pre-training: who does which work, and what must be reached."""

from benchmarks.figures import KBERT
from benchmarks.plan import BFLOAT16, Contender, Section, keras_hub, torch
from benchmarks.pretraining_speed import SETTINGS
from benchmarks.targets import Apart, Bound, Multiple, Near
from benchmarks.texts import BOOKS, CHNSENTICORP, LOW_RESOURCE, SST2, ZHWIKI

SEEDS = 3


def study(name: str, title: str, files: tuple[str, ...]) -> Section:
    """A pre-training, then a task from its RUN and from random weights, a seed a round."""
    pretrained, random = f"{KBERT} pre-trained", f"{KBERT} random weights"
    return Section(
        title,
        (
            quality(f"{KBERT} pretrain", f"{name}-pretrain"),
            quality(random, f"{name}-random", rounds=SEEDS),
            quality(pretrained, f"{name}-pretrained", rounds=SEEDS),
        ),
        (Apart("dev accuracy", pretrained, random),),
        default=False,
        files=files,
    )


def quality(name: str, work: str, **kwargs) -> Contender:
    """A part of `benchmarks.pretraining_quality`."""
    return Contender(name, "pretraining_quality", work, BFLOAT16, hours=4, **kwargs)


def speed(name: str, work: str, dtype: str = BFLOAT16, **kwargs) -> Contender:
    """A part of `benchmarks.pretraining_speed`."""
    return Contender(name, "pretraining_speed", work, dtype, **kwargs)


PRETRAINING = {
    "pretrain": Section(
        "Pre-train",
        (
            speed(f"{KBERT} bfloat16", "masked", rounds=2),
            keras_hub("pretrain", rounds=2, amounts="slow"),
            torch("pretrain", BFLOAT16, amounts="slow"),
            speed(f"{KBERT} float32", "masked", "float32"),
            speed(f"{KBERT} bfloat16", "pairs"),
            torch("pretrain", amounts="slow"),
        ),
        (Multiple("pre-training", "KerasHub bfloat16", 1.5, 2.2),),
    ),
    "pretrain-pipeline": Section(
        "Raw text to masked batches",
        (speed(KBERT, "pipeline"),),
        tuple(Bound(name, 300_000, 1_000_000) for name in SETTINGS),
        files=(BOOKS,),
    ),
    "packing": Section(
        "Short texts in shared rows",
        (
            speed(f"{KBERT} packed", "packed", rounds=2),
            speed(f"{KBERT} padded each", "padded", rounds=2, amounts="slow"),
        ),
        (Multiple("training on sentences", f"{KBERT} padded each", 3, 5),),
        files=SST2[:1],
    ),
    "masks": Section(
        "Statistics of masks",
        (Contender(KBERT, "pretraining_statistics", "masks"),),
        (
            Near("tokens that are predicted", 15, 0.5),
            Near("predicted: [MASK]", 80, 0.5),
            Near("predicted: another word", 10, 0.5),
            Near("predicted: unchanged", 10, 0.5),
            Near("random second segments", 50, 1),
        ),
        files=(BOOKS,),
    ),
    "overfit": Section(
        "200 paragraphs by heart",
        (Contender(KBERT, "pretraining_overfit", "overfit"),),
        (Bound("masked accuracy", 95, 95), Bound("next-sentence accuracy", 99, 99)),
        default=False,
        files=(BOOKS,),
    ),
    "learns": study("learns", "Books, then SST-2", (BOOKS, *SST2[:2])),
    "low-resource": Section(
        "Swahili, Yoruba and Hausa",
        (quality(KBERT, "low-resource-pretrain"), quality("unigram model", "low-resource-unigram")),
        tuple(Apart(f"held out: {figure}", KBERT, "unigram model") for figure in ("masked accuracy", "perplexity")),
        default=False,
        files=LOW_RESOURCE,
    ),
    "chinese": study("chinese", "Chinese Wikipedia, then ChnSentiCorp", (ZHWIKI, *CHNSENTICORP)),
    "workers": Section(
        "Two workers on a core each",
        (
            Contender("one worker", "workers", "one", BFLOAT16, rounds=2),
            Contender(f"{KBERT} two workers", "workers", "two", BFLOAT16, rounds=2),
            Contender(f"{KBERT} two workers, 32 rows each", "workers", "more", BFLOAT16, rounds=2),
            Contender(f"{KBERT} two workers, 32 rows each, bfloat16 exchange", "workers", "told", BFLOAT16, rounds=2),
        ),
        (
            Multiple("pre-training", "one worker", 1.7, 1.7, ours=f"{KBERT} two workers, 32 rows each"),
            Multiple("pre-training", "one worker", 1.7, 1.7, ours=f"{KBERT} two workers"),  # the same work, parted
        ),
        default=False,
        files=(BOOKS,),
    ),
    "kills": Section(
        "Killed and started again",
        (Contender(KBERT, "pretraining_kills", "kills"),),
        (
            Bound("kills", 20, 20),
            Bound("same bits as the run that was never killed", 100, 100),
            Bound("same lines of metrics.jsonl", 100, 100),
        ),
        default=False,
        files=(BOOKS,),
    ),
    "worker-kills": Section(
        "A worker of two killed",
        (Contender(KBERT, "worker_kills", "kills", hours=2),),
        (
            Bound("kills", 20, 20),
            Bound("workers left that ended with a line and the code to try again", 100, 100),
            Bound("same bits as the run that was never killed", 100, 100),
            Bound("same lines of metrics.jsonl", 100, 100),
        ),
        default=False,
        files=(BOOKS,),
    ),
}
