"""pipelines: text -> batches. TensorFlow and TensorFlow Text only; knows no model."""

from pipelines.batches import classification, texts
from pipelines.docstrings import write_docstring_set
from pipelines.packing import pack, pack_to_length
from pipelines.tasks import ClassificationExamples, Texts, read_classification, read_texts
from pipelines.vocab import read_vocabulary
from pipelines.wordpiece import WordPiece

__all__ = [
    "ClassificationExamples",
    "Texts",
    "WordPiece",
    "classification",
    "pack",
    "pack_to_length",
    "read_classification",
    "read_texts",
    "read_vocabulary",
    "texts",
    "write_docstring_set",
]
