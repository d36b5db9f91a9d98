"""Tasks: files of labelled texts -> examples, and examples -> batches; a file a task."""

from pipelines.tasks.classify import ClassificationExamples, read_classification
from pipelines.tasks.texts import Texts, read_texts

__all__ = ["ClassificationExamples", "Texts", "read_classification", "read_texts"]
