"""A TFLite file written anew, smaller: what is said alike is said once, and nobody reads the names of inner tensors.

TFLite's converter keeps the weights of all signatures once, but writes the scales of each matrix, one for every output,
and their zero points, in every signature again: with several lengths that is megabytes.
"""

import hashlib

import flatbuffers

MODEL_IDENTIFIER = b"TFL3"  # of TFLite's schema
NO_DATA = 0  # the buffer of tensors that are computed
ALIGNMENT = 16  # of tensors' bytes, as the schema has it; flatbuffers' Python does not heed it


def share(content: bytes) -> bytes:
    """The same model as another TFLite file, without the names of inner tensors and without buffers that nobody reads.

    Raises:
        ValueError: a file of over 2 GB, whose weights lie behind it.
    """
    from ai_edge_litert import schema_py_generated as schema

    model, known = schema.ModelT.InitFromPackedBuf(content, 0), {}

    def once(one):
        return known.setdefault(told(one), Once(one))

    if any(buffer.offset > 1 for buffer in model.buffers):
        raise ValueError("A TFLite file has 2 GB at most; got weights behind it. Take fewer bits: precision int8.")
    for graph in model.subgraphs:
        seen = {*graph.inputs, *graph.outputs}
        for place, tensor in enumerate(graph.tensors):
            tensor.name = tensor.name if place in seen else None
            if model.buffers[tensor.buffer].data is None:
                tensor.buffer = NO_DATA
            if tensor.quantization is not None:
                tensor.quantization = once(tensor.quantization)
        for operator in graph.operators:
            if operator.builtinOptions is not None:
                operator.builtinOptions = once(operator.builtinOptions)
    keep_used_buffers(model)
    builder = SharingBuilder(len(content))
    builder.Finish(model.Pack(builder), MODEL_IDENTIFIER)
    return bytes(builder.Output())


class Once:
    """An object of the schema that is written once, for all that have an equal one."""

    def __init__(self, one):
        self._one, self._place = one, None

    def Pack(self, builder):  # noqa: N802 - flatbuffers' name
        if self._place is None:
            self._place = self._one.Pack(builder)
        return self._place


def told(one) -> tuple:
    """All that an object of plain numbers and vectors says."""
    values = vars(one).items()
    return (type(one), *((name, bytes(value) if hasattr(value, "tobytes") else str(value)) for name, value in values))


def keep_used_buffers(model) -> None:
    """Leaves out the buffers that nothing refers to, and numbers the others anew."""
    named = [*(tensor for graph in model.subgraphs for tensor in graph.tensors), *(model.metadata or ())]
    listed = [] if model.metadataBuffer is None else list(model.metadataBuffer)
    used = sorted({NO_DATA, *listed, *(one.buffer for one in named)})
    numbers = {old: new for new, old in enumerate(used)}
    for one in named:
        one.buffer = numbers[one.buffer]
    model.metadataBuffer = [numbers[old] for old in listed] or None
    model.buffers = [model.buffers[old] for old in used]


class SharingBuilder(flatbuffers.Builder):
    """Writes vectors of equal numbers once, and bytes where tensors may lie."""

    def __init__(self, size: int):
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x):  # noqa: N802 - flatbuffers' name
        key = (x.dtype.str, hashlib.sha256(x.tobytes()).digest())
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]

    def StartVector(self, elemSize, numElems, alignment):  # noqa: N802, N803 - flatbuffers' names
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)
