"""Choice: the encoder with one score for each of several texts, of which one is right.

B batch, C choices, T tokens, D width.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from kbert.config import BertConfig
from kbert.dropout import site_seed
from kbert.encoder import Encoder
from kbert.heads import SequenceHead
from kbert.losses import SmoothedCrossEntropy
from kbert.optimizer import adamw
from kbert.tasks.classify_scores import answers, log, softmax
from kbert.text_model import TextModel


@keras.saving.register_keras_serializable("kbert")
class Chooser(TextModel):
    """Scores of C choices for a text: int32 [B, C, T] id tensors, a row a choice -> float32 logits [B, C].

    A row `[CLS] text [SEP] choice [SEP]` is scored as if it stood alone, and the scores of a text's C rows are logits
    of one softmax. The rows of all texts go through the encoder as one batch [B * C, T], so that what is not padding
    is computed once, whichever text it belongs to. C may differ from batch to batch.

    `compile(optimizer)` trains cross-entropy on int labels [B] and reports accuracy.

    Args: see `TextModel`; it has no labels.

    Example:
        model = kbert.Chooser.from_preset("minilm-l6")
        train = pipelines.choice("train.csv", model.tokenizer_spec, batch_size=16, max_length=80, seed=0)
        model.compile(kbert.adamw(learning_rate=5e-5, total_steps=1000))
        model.fit(train)

    References: Devlin et al. 2019, section 4.4.
    """

    task = "choice"
    heads = ("classifier",)
    figures = ("accuracy",)

    def __init__(self, config: BertConfig, tokenizer=None, labels=None, seed: int = 0, **kwargs):
        super().__init__(config, tokenizer, labels, seed, **kwargs)
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.classifier = SequenceHead(1, config.hidden_dropout_prob, self.initializer("classifier"), name="classifier")
        self.classifier.build((None, config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        seed = self.noise_seed(training)
        choices, length = ops.shape(inputs["input_word_ids"])[1:]
        rows = {name: ops.reshape(ids, (-1, length)) for name, ids in inputs.items()}  # [B, C, T] -> [B * C, T]
        layout, outputs = self.encoder.encode(rows, seed)
        logits = self.classifier(
            self.encoder.pool(layout, outputs[-1]), seed=site_seed(seed, -1, a_row=1)
        )  # [B * C, 1]
        return ops.reshape(logits, (-1, choices))  # [B, C]

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        super().compile(
            optimizer=optimizer or adamw(),
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")] if metrics is None else metrics,
            **kwargs,
        )

    def smoothed_loss(self, smoothing: float) -> keras.losses.Loss:
        """See `kbert.losses.SmoothedCrossEntropy`; the classes are a text's choices."""
        return SmoothedCrossEntropy(smoothing)

    def scores(self, batches: Iterable) -> dict[str, Any]:
        """As `choice_scores`, of batches (inputs [B, C, T], labels int [B]) with one C."""
        return choice_scores(*answers(self, batches))


def choice_scores(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Loss and accuracy.

    Args:
        labels: int [N], the number of the right choice.
        logits: float [N, C].

    >>> choice_scores(np.array([0, 2]), np.array([[5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))["accuracy"]
    0.5
    """
    probability = softmax(logits)[np.arange(len(labels)), labels]
    return {
        "examples": len(labels),
        "choices": int(logits.shape[1]),
        "loss": float(-np.mean(log(probability))),
        "accuracy": float(np.mean(np.argmax(logits, axis=-1) == labels)),
    }
