"""ONNX Runtime behind transformers' fast tokenizer: python -m benchmarks.peers_onnx export|classify ..."""

from pathlib import Path

from benchmarks.texts import questions
from benchmarks.worker import LABELS, MAX_LENGTH, THREADS, Job, say_classified, work

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 14


def model_file(scratch: Path, dtype: str) -> Path:
    """Where `export` writes the model of a number format: "float32", or "int8" with weights of 8 bits."""
    return scratch / f"minilm-{dtype}.onnx"


def export(job: Job) -> None:
    """MiniLM with an untrained head of two classes, as float32 and with dynamically quantized int8 weights."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoTokenizer, BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(
        job.minilm, num_labels=len(LABELS), attn_implementation="eager"
    ).eval()
    example = AutoTokenizer.from_pretrained(job.minilm)(["two words", "three"], padding=True, return_tensors="pt")
    path = str(model_file(job.scratch, "float32"))
    torch.onnx.export(
        model,
        tuple(example[name] for name in INPUTS),
        path,
        dynamo=False,
        opset_version=OPSET,
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in INPUTS},
    )
    quantize_dynamic(path, str(model_file(job.scratch, "int8")), weight_type=QuantType.QInt8)


def classify(job: Job) -> None:
    """Texts -> labels."""
    import numpy as np
    import onnxruntime
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.minilm)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    file = str(model_file(job.scratch, job.dtype))
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def label(texts):
        packed = tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="np")
        (logits,) = session.run(None, {name: packed[name].astype(np.int64) for name in INPUTS})
        return [LABELS[index] for index in logits.argmax(-1)]

    say_classified(label, questions(job.data), job.amounts)


if __name__ == "__main__":
    work({"export": export, "classify": classify}, __doc__)
