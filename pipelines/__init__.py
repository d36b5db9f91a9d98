"""pipelines: text -> batches. TensorFlow and TensorFlow Text only; knows no model."""

from pipelines.packing import pack, pack_to_length

__all__ = ["pack", "pack_to_length"]
