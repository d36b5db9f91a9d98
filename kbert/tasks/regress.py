"""Regressor: the encoder with one number out.

B batch, T tokens.
"""

from types import MappingProxyType

import keras
import numpy as np
from keras import ops

from kbert.config import BertConfig
from kbert.dropout import site_seed
from kbert.encoder import Encoder
from kbert.heads import SequenceHead
from kbert.optimizer import adamw
from kbert.tasks.classify_scores import answers
from kbert.tasks.long_texts import Link
from kbert.tasks.regress_scores import regression_scores
from kbert.text_model import TextModel

NAMELESS = MappingProxyType({"0": "LABEL_0"})  # by it transformers knows that the head has one output


@keras.saving.register_keras_serializable("kbert")
class SquaredError(keras.losses.Loss):
    """(answer - score)^2 of each example: float [B] and [B] -> [B].

    Keras' own takes the mean over the last axis, here the batch: weights of examples would weigh nothing.
    """

    def __init__(self, name: str = "squared_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ops.square(errors(y_true, y_pred))


@keras.saving.register_keras_serializable("kbert")
def absolute_error(y_true, y_pred):
    """|answer - score| of each example: float [B] and [B] -> [B]."""
    return ops.abs(errors(y_true, y_pred))


def errors(y_true, y_pred):
    """answer - score: scores [B], or [B, 1] from a table's column, and answers [B] -> float32 [B]."""
    said = ops.cast(y_pred, "float32")
    return said - ops.reshape(ops.cast(y_true, "float32"), ops.shape(said))


@keras.saving.register_keras_serializable("kbert")
class Regressor(TextModel):
    """A number for a text or a pair of texts: int32 [B, T] id tensors -> float32 [B].

    `compile(optimizer)` trains the squared error on float labels [B] and reports the absolute one as `mae`. The numbers
    are learned as they are: a scale of 0 to 5 needs no change, one of thousands is better divided first.

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        labels: None; a number has no classes.
        seed: of the starting weights and of dropout.

    Example:
        model = kbert.Regressor.from_preset("minilm-l6")
        train = pipelines.regression("train.tsv", model.tokenizer_spec, batch_size=32, max_length=128, seed=0)
        model.compile(kbert.adamw(learning_rate=5e-5, total_steps=1000))
        model.fit(train)

    References: Devlin et al. 2019, section 4.1, for STS-B.
    """

    task = "regress"
    heads = ("classifier",)
    figures = ("spearman", "pearson")
    link = Link(np.asarray, np.asarray)  # what is learned is the score
    config_keys = MappingProxyType(
        {"problem_type": "regression", "id2label": dict(NAMELESS), "label2id": {"LABEL_0": 0}}
    )

    def __init__(self, config: BertConfig, tokenizer=None, labels=None, seed: int = 0, **kwargs):
        if labels:
            raise ValueError(
                f"A regressor answers with a number and has no labels; got {list(labels)}. Leave them out."
            )
        super().__init__(config, tokenizer, None, seed, **kwargs)
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.classifier = SequenceHead(1, config.hidden_dropout_prob, self.initializer("classifier"), name="classifier")
        self.classifier.build((None, config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        seed = self.noise_seed(training)
        layout, outputs = self.encoder.encode(inputs, seed)
        return self.classifier(self.encoder.pool(layout, outputs[-1]), seed=site_seed(seed, -1, a_row=1))[:, 0]  # [B]

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        super().compile(
            optimizer=optimizer or adamw(),
            loss=loss or SquaredError(),
            metrics=[keras.metrics.MeanMetricWrapper(absolute_error, name="mae")] if metrics is None else metrics,
            **kwargs,
        )

    def scores(self, batches, merge: str = "mean"):
        """As `kbert.tasks.regress_scores.regression_scores`, of batches (inputs, scores float [B]).

        `merge` is for windows of long texts, see `kbert.tasks.classify_scores.answers`.
        """
        return regression_scores(*answers(self, batches, merge))
