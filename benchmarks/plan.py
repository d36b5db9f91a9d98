"""Who does which work, and what must be reached: the tables that `benchmarks.run` goes through."""

from dataclasses import dataclass

KBERT, TRANSFORMERS, ONNX = "kbert", "transformers", "ONNX Runtime"
BFLOAT16 = "mixed_bfloat16"


@dataclass(frozen=True)
class Contender:
    """One measuring process: `python -m benchmarks.MODULE WORK`.

    Args:
        name: of who is measured, as the table says it.
        module: file of this folder.
        work: what it is told to do.
        dtype: number format.
        rounds: how often it is measured; in a round, contenders take turns.
        amounts: "slow" does less of the work, where all of it takes minutes.
        needs: packages that must be there; the peers' Python is looked at where `peer` is True, ours otherwise.
        peer: runs under the peers' Python.
    """

    name: str
    module: str
    work: str
    dtype: str = "float32"
    rounds: int = 1
    amounts: str = "full"
    needs: tuple[str, ...] = ()
    peer: bool = False


@dataclass(frozen=True)
class Target:
    """What a figure of kbert must be, as a multiple of another's: a rate at least, a time at most.

    Args:
        figure: as its worker says it.
        against: name of the contender that it is compared with.
        least, aim: the multiples.
    """

    figure: str
    against: str
    least: float
    aim: float


@dataclass(frozen=True)
class Section:
    """Figures that belong in one table.

    Args:
        title: as a heading.
        contenders: in the order of their turns.
        targets: what kbert must reach.
        prepare: contenders that write what others read; they are not measured, and run once.
        default: part of a run that names no section.
        seeded: rounds are seeds, and `--seeds` says how many.
    """

    title: str
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...] = ()
    prepare: tuple[Contender, ...] = ()
    default: bool = True
    seeded: bool = False


TORCH_NEEDS, ONNX_NEEDS, HUB_NEEDS = ("torch", "transformers"), ("onnxruntime", "transformers"), ("keras_hub",)
EXPORT = Contender(f"{KBERT} export", "ours", "export")
ONNX_EXPORT = Contender(
    f"{ONNX} export", "peers_onnx", "export", needs=(*TORCH_NEEDS, "onnx", "onnxruntime"), peer=True
)


def torch(work: str, dtype: str = "float32", **kwargs) -> Contender:
    """transformers on PyTorch."""
    name = f"{TRANSFORMERS} {'bfloat16' if dtype == BFLOAT16 else dtype}"
    return Contender(name, "peers_torch", work, dtype, needs=TORCH_NEEDS, peer=True, **kwargs)


def onnx(dtype: str, **kwargs) -> Contender:
    """ONNX Runtime on texts to classify."""
    return Contender(f"{ONNX} {dtype}", "peers_onnx", "classify", dtype, needs=ONNX_NEEDS, peer=True, **kwargs)


def keras_hub(work: str, dtype: str = BFLOAT16, **kwargs) -> Contender:
    """KerasHub, in the number format in which it is faster."""
    name = f"KerasHub {'bfloat16' if dtype == BFLOAT16 else dtype}"
    return Contender(name, "peers_keras_hub", work, dtype, needs=HUB_NEEDS, **kwargs)


SECTIONS = {
    "tokenize": Section(
        "Tokenize",
        (
            Contender(KBERT, "ours", "tokenize", rounds=2),
            Contender(f"{TRANSFORMERS} fast", "peers_torch", "tokenize", rounds=2, needs=("transformers",), peer=True),
            Contender("KerasHub", "peers_keras_hub", "tokenize", needs=HUB_NEEDS),
        ),
        (Target("books", f"{TRANSFORMERS} fast", 3, 6),),
    ),
    "classify": Section(
        "Classify",
        (
            Contender(f"{KBERT} SavedModel", "ours_saved_model", "classify", rounds=2),
            onnx("float32", rounds=2),
            onnx("int8"),
            torch("classify", BFLOAT16),
            torch("classify", amounts="slow"),
            keras_hub("classify", amounts="slow"),
        ),
        (
            Target("batches of 32", f"{ONNX} float32", 1.2, 2),
            Target("one text, p50", f"{ONNX} float32", 2.2, 1.2),
        ),
        prepare=(EXPORT, ONNX_EXPORT),
    ),
    "finetune": Section(
        "Fine-tune",
        (
            Contender(f"{KBERT} bfloat16", "ours", "finetune", BFLOAT16, rounds=2),
            torch("finetune", BFLOAT16, rounds=2),
            Contender(f"{KBERT} float32", "ours", "finetune"),
            torch("finetune", amounts="slow"),
            keras_hub("finetune", amounts="slow"),
        ),
        (Target("fine-tuning", f"{TRANSFORMERS} bfloat16", 1.5, 2.5),),
    ),
    "pipeline": Section("The pipeline alone", (Contender(KBERT, "ours", "pipeline"),)),
    "startup": Section(
        "Start-up and memory",
        tuple(Contender(f"{KBERT} {work}", "startup", work) for work in ("commands", "training", "serving")),
        prepare=(EXPORT,),
    ),
    "sst2": Section(
        "SST-2, one epoch",
        (
            Contender(f"{KBERT} bfloat16", "sst2", "train", BFLOAT16),
            torch("sst2", BFLOAT16),
            Contender(f"{KBERT} float32", "sst2", "train"),
        ),
        (Target("dev accuracy", f"{TRANSFORMERS} bfloat16", 1, 1),),
        default=False,
        seeded=True,
    ),
}
