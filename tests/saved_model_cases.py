"""A small classifier to export, texts that are hard to answer alike, and what its answers must be.

C classes.
"""

import numpy as np
import tensorflow as tf

from kbert.config import BertConfig
from kbert.tasks.classify import Classifier
from pipelines import WordPiece, pack

LABELS = ("negative", "positive", "n\u00e4chste")  # one of them not ASCII
C, MAX_LENGTH = len(LABELS), 11
ODD_TEXTS = (
    "the cat sat on the film .",
    "",
    "   \t\n ",
    "\U0001f642\U0001f469\u200d\U0001f4bb good",
    "ctrl \x01\x07\x1b characters \u200b\ufeff",
    "nul \x00 inside",
    b"invalid \xff\xfe utf-8 \xc3",
    "very " * 40 + "bad",
    "\u6211\u4eec\u5728\u5317\u4eac\u5403\u996d\u3002",
    "Na\u00efve CAF\u00c9 \u0130stanbul \ufdfa",
    "[CLS] [SEP] [MASK]",
    "!" * 300,
)


def classifier(vocabulary, dtype="float32", tokenizer=True):
    config = BertConfig(
        vocab_size=28,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=16,
        initializer_range=0.4,  # wide, so that texts get different answers
    )
    settings = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return Classifier(config, tokenizer=settings if tokenizer else None, labels=LABELS, seed=1, dtype=dtype)


def ask(loaded, *columns, signature="serving_default"):
    names = ("text",) if len(columns) == 1 else ("text_a", "text_b")
    tensors = {name: tf.constant(list(texts), tf.string) for name, texts in zip(names, columns, strict=True)}
    return {name: value.numpy() for name, value in loaded.signatures[signature](**tensors).items()}


def expected(model, *columns):
    """The model's own answers, through the pipeline that trains it."""
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    packed = pack([wordpiece.tokenize(list(texts)) for texts in columns], wordpiece, MAX_LENGTH)
    return tf.nn.softmax(model(packed)).numpy()


def assert_answers(answers, scores):
    np.testing.assert_allclose(answers["scores"], scores, atol=1e-5)
    labels = np.array([label.encode() for label in LABELS], object)
    np.testing.assert_array_equal(answers["classes"], np.tile(labels, [len(scores), 1]))
    np.testing.assert_array_equal(answers["label"], labels[answers["scores"].argmax(-1)])
