"""pipelines: text -> batches. TensorFlow and TensorFlow Text only; knows nothing of the model that reads the batches."""

from pipelines.packing import pack, pack_to_length

__all__ = ["pack", "pack_to_length"]
