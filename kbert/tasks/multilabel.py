"""MultiLabelClassifier: the encoder with a yes or no for each of several labels.

B batch, T tokens, C labels.
"""

from collections.abc import Sequence
from types import MappingProxyType

import keras
from keras import ops

from kbert.config import BertConfig
from kbert.dropout import site_seed
from kbert.encoder import Encoder
from kbert.heads import SequenceHead
from kbert.optimizer import adamw
from kbert.tasks.classify_scores import answers
from kbert.tasks.long_texts import Link
from kbert.tasks.multilabel_scores import DEFAULT, logit, multilabel_scores, sigmoid, tuned_thresholds
from kbert.text_model import TextModel


@keras.saving.register_keras_serializable("kbert")
class LabelwiseCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of each label by itself: labels 0 or 1 [B, C], logits float [B, C] -> float32 [B, C].

    Not yet the mean over labels, so that weights are [B] for texts, or [B, C] where labels count differently.
    """

    def __init__(self, name: str = "labelwise_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:  # [B] -> [B, 1], since Keras lines up last axes; [B, C] stays
            sample_weight = ops.reshape(sample_weight, (ops.shape(y_pred)[0], -1))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        logits = ops.cast(y_pred, "float32")
        return ops.binary_crossentropy(ops.cast(y_true, "float32"), logits, from_logits=True)


@keras.saving.register_keras_serializable("kbert")
def rightly_answered(y_true, y_pred):
    """1 where the answer at probability 0.5 is right: labels 0 or 1 [B, C], logits float [B, C] -> float32 [B, C]."""
    return ops.cast(ops.equal(ops.cast(y_true, "float32") > 0, y_pred >= 0), "float32")


@keras.saving.register_keras_serializable("kbert")
class MultiLabelClassifier(TextModel):
    """Which of C labels a text or a pair of texts has, none to all: int32 [B, T] id tensors -> float32 logits [B, C].

    `compile(optimizer)` trains binary cross-entropy on labels [B, C] of 0 and 1 and reports the share of these that are
    answered rightly at probability 0.5. `tune_thresholds` then chooses what probability a label needs.

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        labels: names of the C labels.
        thresholds: C probabilities; a text has the labels that are not below theirs. None for 0.5 each.
        seed: of the starting weights and of dropout.

    Example:
        model = kbert.MultiLabelClassifier.from_preset("minilm-l6", labels=["cheap", "quiet", "near"])
        train = pipelines.multilabel("train.tsv", model.tokenizer_spec, batch_size=32, max_length=128, seed=0)
        model.compile(kbert.adamw(learning_rate=5e-5, total_steps=1000))
        model.fit(train)
        model.tune_thresholds(pipelines.multilabel("dev.tsv", model.tokenizer_spec))
    """

    task = "multilabel"
    heads = ("classifier",)
    labelled = True
    settings = ("thresholds",)
    figures = ("map", "micro_f1", "macro_f1", "exact")  # the first needs no threshold: these are tuned at the end
    link = Link(sigmoid, logit)
    config_keys = MappingProxyType({"problem_type": "multi_label_classification"})

    def __init__(
        self,
        config: BertConfig,
        tokenizer=None,
        labels=None,
        seed: int = 0,
        thresholds: Sequence[float] | None = None,
        **kwargs,
    ):
        super().__init__(config, tokenizer, labels, seed, **kwargs)
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels names the labels, one at least, each once; got {self.labels}.")
        self.thresholds = [DEFAULT] * len(self.labels) if thresholds is None else thresholds
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.classifier = SequenceHead(
            len(self.labels), config.hidden_dropout_prob, self.initializer("classifier"), name="classifier"
        )
        self.classifier.build((None, config.hidden_size))
        self.built = True

    @property
    def thresholds(self) -> list[float]:
        """C probabilities, in the order of the labels.

        Raises:
            ValueError: set to another number of them, or to one that is not in [0, 1].
        """
        return list(self._thresholds)

    @thresholds.setter
    def thresholds(self, values: Sequence[float]) -> None:
        values = tuple(map(float, values))
        if len(values) != len(self.labels) or not all(0 <= value <= 1 for value in values):
            raise ValueError(f"thresholds has a probability for each of {len(self.labels)} labels; got {list(values)}.")
        self._thresholds = values

    def call(self, inputs, training=False):
        seed = self.noise_seed(training)
        layout, outputs = self.encoder.encode(inputs, seed)
        return self.classifier(self.encoder.pool(layout, outputs[-1]), seed=site_seed(seed, -1, a_row=1))  # [B, C]

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        right = keras.metrics.MeanMetricWrapper(rightly_answered, name="label_accuracy")
        super().compile(
            optimizer=optimizer or adamw(),
            loss=loss or LabelwiseCrossEntropy(),
            metrics=[right] if metrics is None else metrics,
            **kwargs,
        )

    def fit(self, x=None, y=None, *args, **kwargs):
        """As `TextModel.fit`, without `class_weight`: Keras would weigh a text by the first of its labels alone."""
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                f"class_weight is for texts of one class each; got {kwargs['class_weight']}. "
                "Use kbert.class_weights.weigh, which gives each batch weights [B, C]."
            )
        return super().fit(x, y, *args, **kwargs)

    def tune_thresholds(self, batches, merge: str = "mean") -> list[float]:
        """Sets and returns `thresholds`, those at which each label's F1 on labelled batches is highest.

        Args:
            batches: of (inputs, labels [B, C]), best not those that the model was trained on.
            merge: as in `scores`.

        See `kbert.tasks.multilabel_scores.tuned_thresholds`.
        """
        labels, logits = answers(self, batches, merge)
        self.thresholds = tuned_thresholds(labels, sigmoid(logits))
        return self.thresholds

    def scores(self, batches, merge: str = "mean"):
        """As `kbert.tasks.multilabel_scores.multilabel_scores`, of batches (inputs, labels [B, C]).

        `merge` is for windows of long texts, see `kbert.tasks.classify_scores.answers`.
        """
        return multilabel_scores(*answers(self, batches, merge), self.labels, self.thresholds)
