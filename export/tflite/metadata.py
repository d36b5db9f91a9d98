"""TFLite metadata, by which MediaPipe and TFLite Support know what a file takes and gives.

The tables are those of `metadata_schema.fbs` of https://github.com/google-ai-edge/mediapipe (mediapipe/tasks/metadata);
a table is written here as {number of a field: its value}, as flatbuffers number them: a union takes two.
"""

from collections.abc import Mapping
from typing import Any

from export.serving import ID_TENSORS
from export.tflite.sharing import MODEL_IDENTIFIER
from export.tflite.tasks import DeviceTask

VOCABULARY_FILE, LABELS_FILE = "vocab.txt", "labels.txt"
ROLES = dict(zip(ID_TENSORS, ("ids", "mask", "segment_ids"), strict=True))  # as MediaPipe looks for them
FILE_IDENTIFIER = b"M001"
ENTRY = "TFLITE_METADATA"  # the name that TFLite's readers look for
PARSER = "1.1.0"  # of the schema: the first with tokenizers
AXIS_LABELS, VOCABULARY = 2, 5  # AssociatedFileType
FEATURE, BERT_TOKENIZER = 1, 4  # members of the unions ContentProperties and ProcessUnitOptions


class Byte(int):
    """A field of one byte."""


def described(content: bytes, task: DeviceTask) -> bytes:
    """A TFLite file of one signature with metadata: which tensor is what, its vocabulary, its labels.

    Args:
        content: of the file.
        task: of the file.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (signature,) = model.signatureDefs
    graph = model.subgraphs[signature.subgraphIndex]
    names = {entry.tensorIndex: entry.name.decode() for entry in (*signature.inputs, *signature.outputs)}
    builder = flatbuffers.Builder(0)
    ins, outs = ([names[tensor] for tensor in side] for side in (graph.inputs, graph.outputs))
    builder.Finish(write(builder, about(task, ins, outs)), FILE_IDENTIFIER)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer, buffer.data = ENTRY, len(model.buffers), bytearray(builder.Output())
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), MODEL_IDENTIFIER)
    return bytes(builder.Output())


def about(task: DeviceTask, inputs: list[str], outputs: list[str]) -> Mapping[int, Any]:
    """ModelMetadata, with inputs and outputs in the order that the file has them in."""
    tokenizer = {0: Byte(BERT_TOKENIZER), 1: {0: [file(VOCABULARY_FILE, "Pieces of words.", VOCABULARY)]}}
    graph = {
        2: [{0: ROLES[name], 1: f"{name}, int32.", 3: {0: Byte(FEATURE), 1: {}}} for name in inputs],
        3: [output(name, bool(task.model.labels)) for name in outputs],
        5: [tokenizer],
    }
    return {0: f"BERT, {task.model.task}", 1: "Written by kbert.", 3: [graph], 7: PARSER}


def output(name: str, labelled: bool) -> Mapping[int, Any]:
    """TensorMetadata of an output; scores have a label each, from 0 to 1."""
    told = {0: name, 1: f"{name}, float32.", 3: {0: Byte(FEATURE), 1: {}}}
    if name == "scores" and labelled:
        told |= {5: {0: [1.0], 1: [0.0]}, 6: [file(LABELS_FILE, "A label a line.", AXIS_LABELS)]}
    return told


def file(name: str, description: str, kind: int) -> Mapping[int, Any]:
    """AssociatedFile."""
    return {0: name, 1: description, 2: Byte(kind)}


def write(builder, table: Mapping[int, Any]) -> int:
    """Writes a table with all that hangs on it, and returns where it is."""
    places = {slot: value if isinstance(value, Byte) else written(builder, value) for slot, value in table.items()}
    builder.StartObject(max(table, default=-1) + 1)
    for slot, place in places.items():
        if isinstance(place, Byte):
            builder.PrependInt8Slot(slot, place, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, place, 0)
    return builder.EndObject()


def written(builder, value: Any) -> int:
    """Writes a string, a table, or a list of tables or of numbers, and returns where it is."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, Mapping):
        return write(builder, value)
    tables = isinstance(value[0], Mapping)
    places = [write(builder, one) for one in value] if tables else value
    builder.StartVector(4, len(value), 4)
    for place in reversed(places):
        if tables:
            builder.PrependUOffsetTRelative(place)
        else:
            builder.PrependFloat32(place)
    return builder.EndVector()
