"""The section of RESULTS.md on TFLite files: who does which work, and what must be reached."""

from benchmarks.figures import KBERT
from benchmarks.plan import ONNX, ONNX_EXPORT, Contender, Section, onnx
from benchmarks.targets import Bound, Multiple
from benchmarks.texts import SST2

TRAIN = Contender(f"{KBERT} train", "litert", "train", hours=2)

LITERT = {
    "litert": Section(
        "TFLite files in LiteRT",
        (
            Contender(f"{KBERT} TFLite", "litert", "quality"),
            Contender(f"{KBERT} TFLite int8", "litert", "classify", "int8", rounds=2),
            Contender(f"{KBERT} TFLite float32", "litert", "classify"),
            onnx("int8", rounds=2),
            onnx("float32"),
        ),
        (
            Bound("float32, equal labels", 100, 100),
            Bound("float32, largest difference of a score", 1e-4, 1e-5),
            Bound("int8, size", 24, 23),
            Bound("int8, points of accuracy lost", 1, 0.3),
            Multiple("one text, p50", f"{ONNX} int8", 1.0, 0.6),
            Multiple("batches of 32", f"{ONNX} int8", 1.2, 2),
        ),
        prepare=(TRAIN, ONNX_EXPORT),
        default=False,
        files=SST2,
    )
}
