"""The table of models that every law is tested over; a new model is a new row.

B texts, T tokens, C classes; all sizes differ.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.tasks.classify import Classifier
from kbert.tasks.embed import Embedder
from kbert.tasks.multilabel import MultiLabelClassifier
from kbert.tasks.qa import SpanReader
from kbert.tasks.regress import Regressor
from kbert.tasks.tag import Tagger

B, T, D, H, F, L, V, C = 5, 7, 6, 3, 10, 2, 23, 4
LENGTHS = (4, 7, 3, 6, 2)
REAL = np.arange(T) < np.array(LENGTHS)[:, None]  # [B, T]
SIZES = {
    "vocab_size": V,
    "hidden_size": D,
    "num_hidden_layers": L,
    "num_attention_heads": H,
    "intermediate_size": F,
    "max_position_embeddings": T + 4,
    "initializer_range": 0.3,  # wide, so that a change somewhere shows in the answers
}
LABELS = ("low", "middle", "high", "top")


@dataclass(frozen=True)
class Case:
    """A model, how its outputs read, and what its head adds.

    Attributes:
        model: the class.
        arguments: of the class, beside config and seed.
        per_text: outputs -> [B, ...].
        per_token: outputs -> [B, T, ...]; None where it has none.
        head: names and shapes of the weights beside the encoder's.
        toy_labels: first ids int32 [B] -> labels [B, ...] for fit; None for a model without a loss.
    """

    model: type
    per_text: Callable[[Any], tf.Tensor]
    per_token: Callable[[Any], tf.Tensor] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    toy_labels: Callable[[np.ndarray], np.ndarray] | None = None

    def make(self, seed=1, dtype="float32", **changes):
        config = BertConfig(**{**SIZES, **changes})
        return self.model(config, seed=seed, dtype=dtype, **self.arguments)


CASES = {
    "encoder": Case(Encoder, lambda y: y["pooled_output"], lambda y: y["sequence_output"]),
    "classifier": Case(
        Classifier,
        lambda y: y,
        arguments={"labels": LABELS},
        head={"classifier/kernel": (D, C), "classifier/bias": (C,)},
        toy_labels=lambda ids: ids % C,
    ),
    "regressor": Case(
        Regressor,
        lambda y: y,
        head={"classifier/kernel": (D, 1), "classifier/bias": (1,)},
        toy_labels=lambda ids: ids % C,
    ),
    "multilabel": Case(
        MultiLabelClassifier,
        lambda y: y,
        arguments={"labels": LABELS, "thresholds": [0.1, 0.2, 0.3, 0.4]},
        head={"classifier/kernel": (D, C), "classifier/bias": (C,)},
        toy_labels=lambda ids: (ids[:, None] + np.arange(C)) % 2,
    ),
    "tagger": Case(
        Tagger,
        lambda y: y[:, 0],
        lambda y: y,
        arguments={"labels": LABELS, "crf": True},
        head={"classifier/kernel": (D, C), "classifier/bias": (C,), "crf/transitions": (C, C)},
    ),
    "reader": Case(
        SpanReader,
        lambda y: tf.stack([y["start_logits"][:, 0], y["end_logits"][:, 0]], 1),
        lambda y: tf.stack([y["start_logits"], y["end_logits"]], 2),
        head={"span/kernel": (D, 2), "span/bias": (2,)},
    ),
    "embedder": Case(Embedder, lambda y: y, arguments={"pooling": "max", "normalize": False}),
}
every_model = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_trained_model = pytest.mark.parametrize(
    "case",
    [case for case in CASES.values() if case.toy_labels],
    ids=[name for name, case in CASES.items() if case.toy_labels],
)


def inputs(real=REAL, seed=0):
    random = np.random.default_rng(seed)
    ids = random.integers(5, V, real.shape)
    types = real & (np.arange(real.shape[1]) >= 3)
    tensors = {"input_word_ids": ids, "input_mask": real, "input_type_ids": types}
    return {name: tf.constant(values, tf.int32) for name, values in tensors.items()}


def toy(case, count=40, batch=8, length=T):
    """Texts of full length whose first word tells the label: batches of static shapes."""
    real = np.ones([count, length], bool)
    tensors = inputs(real, seed=3)
    labels = case.toy_labels(tensors["input_word_ids"].numpy()[:, 0]).astype("int32")
    return tf.data.Dataset.from_tensor_slices((tensors, labels)).batch(batch, drop_remainder=True)


def differ(left, right):
    return float(np.abs(np.asarray(left, "float32") - np.asarray(right, "float32")).max(initial=0.0))


def weights_of(model):
    return {name: weight.numpy() for name, weight in model.named_weights().items()}
