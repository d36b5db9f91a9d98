"""The sections of RESULTS.md in their order: `python -m benchmarks --only NAME` measures one."""

from benchmarks.distribution_sections import DISTRIBUTION
from benchmarks.figures import KBERT
from benchmarks.litert_sections import LITERT
from benchmarks.plan import (
    BFLOAT16,
    EXPORT,
    HUB_NEEDS,
    ONNX,
    ONNX_EXPORT,
    TRANSFORMERS,
    Contender,
    Section,
    keras_hub,
    onnx,
    torch,
)
from benchmarks.pretraining_sections import PRETRAINING
from benchmarks.targets import Multiple
from benchmarks.task_sections import TASKS

SECTIONS = {
    "tokenize": Section(
        "Tokenize",
        (
            Contender(KBERT, "ours", "tokenize", rounds=2),
            Contender(f"{TRANSFORMERS} fast", "peers_torch", "tokenize", rounds=2, needs=("transformers",), peer=True),
            Contender("KerasHub", "peers_keras_hub", "tokenize", needs=HUB_NEEDS),
        ),
        (Multiple("books", f"{TRANSFORMERS} fast", 3, 6),),
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
            Multiple("batches of 32", f"{ONNX} float32", 1.2, 2),
            Multiple("one text, p50", f"{ONNX} float32", 2.2, 1.2),
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
        (Multiple("fine-tuning", f"{TRANSFORMERS} bfloat16", 1.5, 2.5),),
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
        (Multiple("dev accuracy", f"{TRANSFORMERS} bfloat16", 1, 1),),
        default=False,
        seeded=True,
    ),
    **PRETRAINING,
    **DISTRIBUTION,
    **TASKS,
    **LITERT,
}
