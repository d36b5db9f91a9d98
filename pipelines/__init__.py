"""pipelines: text -> batches. TensorFlow and TensorFlow Text only; knows no model."""

from pipelines.batches import classification, texts
from pipelines.docstrings import write_docstring_set
from pipelines.documents import Corpus
from pipelines.long_texts import text_windows
from pipelines.packing import pack, pack_to_length
from pipelines.pretraining import UnreadableText, pretraining, reading_errors
from pipelines.pretraining_data import PretrainingData
from pipelines.record_batches import pretraining_records
from pipelines.survey import survey
from pipelines.tasks import ClassificationExamples, Texts, read_classification, read_texts
from pipelines.tasks.choice import ChoiceExamples, choice, read_choice
from pipelines.tasks.multilabel import MultiLabelExamples, multilabel, read_multilabel
from pipelines.tasks.regress import RegressionExamples, read_regression, regression
from pipelines.vocab import read_vocabulary
from pipelines.wordpiece import WordPiece

__all__ = [
    "ChoiceExamples",
    "ClassificationExamples",
    "Corpus",
    "MultiLabelExamples",
    "PretrainingData",
    "RegressionExamples",
    "Texts",
    "UnreadableText",
    "WordPiece",
    "choice",
    "classification",
    "multilabel",
    "pack",
    "pack_to_length",
    "pretraining",
    "pretraining_records",
    "read_choice",
    "read_classification",
    "read_multilabel",
    "read_regression",
    "read_texts",
    "read_vocabulary",
    "reading_errors",
    "regression",
    "survey",
    "text_windows",
    "texts",
    "write_docstring_set",
]
