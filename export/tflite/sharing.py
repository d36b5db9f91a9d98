"""What several signatures of a file say alike, said once: scales of quantized matrices, and their zero points.

TFLite's converter keeps the weights of all signatures once, but writes the scales of each matrix, one for every output,
in every signature again: with several lengths that is megabytes.
"""

MODEL_IDENTIFIER = b"TFL3"  # of TFLite's schema


def share(content: bytes) -> bytes:
    """The same TFLite file, equal tables of scales in one place; a reader of flatbuffers sees no difference."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class Shared(schema.QuantizationParametersT):
        """Scales that are written once for all tensors that have them."""

        place = None

        def Pack(self, builder):  # noqa: N802 - flatbuffers' name
            if self.place is None:
                self.place = super().Pack(builder)
            return self.place

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    known = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None and tensor.quantization.scale is not None:
                tensor.quantization = known.setdefault(told(tensor.quantization), made(Shared, tensor.quantization))
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), MODEL_IDENTIFIER)
    return bytes(builder.Output())


def told(quantization) -> tuple:
    """All that a table of scales says."""
    values = (quantization.scale, quantization.zeroPoint, quantization.min, quantization.max)
    lists = tuple(None if value is None else bytes(memoryview(value).cast("B")) for value in values)
    return (*lists, quantization.quantizedDimension, quantization.detailsType)


def made(kind: type, quantization):
    """A table of scales as another class."""
    copy = kind()
    copy.__dict__.update(quantization.__dict__)
    return copy
