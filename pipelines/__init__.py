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
from pipelines.tag_batches import tagging
from pipelines.tasks import ClassificationExamples, Texts, read_classification, read_texts
from pipelines.tasks.choice import ChoiceExamples, choice, read_choice
from pipelines.tasks.embed import EmbeddingExamples, embedding, pairs_of_classes, read_embedding
from pipelines.tasks.multilabel import MultiLabelExamples, multilabel, read_multilabel
from pipelines.tasks.qa import (
    QuestionAnsweringExamples,
    Questions,
    question_answering,
    read_question_answering,
    read_questions,
)
from pipelines.tasks.regress import RegressionExamples, read_regression, regression
from pipelines.tasks.tag import TaggingExamples, read_tagging
from pipelines.vocab import read_vocabulary
from pipelines.wordpiece import WordPiece

__all__ = [
    "ChoiceExamples",
    "ClassificationExamples",
    "Corpus",
    "EmbeddingExamples",
    "MultiLabelExamples",
    "PretrainingData",
    "QuestionAnsweringExamples",
    "Questions",
    "RegressionExamples",
    "TaggingExamples",
    "Texts",
    "UnreadableText",
    "WordPiece",
    "choice",
    "classification",
    "embedding",
    "multilabel",
    "pack",
    "pack_to_length",
    "pairs_of_classes",
    "pretraining",
    "pretraining_records",
    "question_answering",
    "read_choice",
    "read_classification",
    "read_embedding",
    "read_multilabel",
    "read_question_answering",
    "read_questions",
    "read_regression",
    "read_tagging",
    "read_texts",
    "read_vocabulary",
    "reading_errors",
    "regression",
    "survey",
    "tagging",
    "text_windows",
    "texts",
    "write_docstring_set",
]
