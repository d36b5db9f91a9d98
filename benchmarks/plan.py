"""Contenders and sections: who does which work, and what must be reached. The tables are in `benchmarks.sections`."""

from dataclasses import dataclass

from benchmarks.figures import KBERT
from benchmarks.targets import Target
from benchmarks.texts import BOOKS, SST2

TRANSFORMERS, ONNX = "transformers", "ONNX Runtime"
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
        hours: after which it is stopped, since it hangs.
    """

    name: str
    module: str
    work: str
    dtype: str = "float32"
    rounds: int = 1
    amounts: str = "full"
    needs: tuple[str, ...] = ()
    peer: bool = False
    hours: float = 1


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
        files: of the data folder, that it reads.
    """

    title: str
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...] = ()
    prepare: tuple[Contender, ...] = ()
    default: bool = True
    seeded: bool = False
    files: tuple[str, ...] = (*SST2, BOOKS)


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
