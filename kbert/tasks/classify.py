"""Classification: the encoder with a score for each class.

B batch, T tokens, C classes.
"""

import keras

from kbert.config import BertConfig
from kbert.dropout import site_seed
from kbert.encoder import Encoder
from kbert.heads import SequenceHead
from kbert.losses import SmoothedCrossEntropy
from kbert.optimizer import adamw
from kbert.pooling import POOLINGS, check_pooling
from kbert.tasks.classify_scores import answers, classification_scores, log, softmax
from kbert.tasks.long_texts import Link
from kbert.text_model import TextModel

POOLED = "pooled"


@keras.saving.register_keras_serializable("kbert")
class Classifier(TextModel):
    """Scores of C classes for a text or a pair of texts: int32 [B, T] id tensors -> float32 logits [B, C].

    `compile(optimizer)` trains cross-entropy on int labels [B] and reports accuracy.

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        labels: names of the C classes, two at least.
        seed: of the starting weights and of dropout.
        pooling: what the classes are read from: "pooled", the encoder's projection of [CLS]; or as an embedder's, see
            `kbert.pooling`: "mean", "cls" or "max" of the last block's vectors.

    Example:
        model = kbert.Classifier.from_preset("minilm-l6", labels=["negative", "positive"])
        train = pipelines.classification("train.tsv", model.tokenizer_spec, batch_size=32, max_length=128, seed=0)
        model.compile(kbert.adamw(learning_rate=5e-5, total_steps=1000))
        model.fit(train)

    References: Devlin et al. 2019, section 4.1.
    """

    task = "classify"
    heads = ("classifier",)
    labelled = True
    settings = ("pooling",)
    figures = ("accuracy", "macro_f1", "mcc")
    link = Link(softmax, log)

    def __init__(
        self, config: BertConfig, tokenizer=None, labels=None, seed: int = 0, *, pooling: str = POOLED, **kwargs
    ):
        super().__init__(config, tokenizer, labels, seed, **kwargs)
        self.pooling = check_pooling(pooling, POOLED)
        if len(self.labels or ()) < 2:
            raise ValueError(
                f"labels names the classes, two at least; got {self.labels}. "
                "Give labels=['negative', 'positive'] or the like."
            )
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must differ from one another; got {list(self.labels)}.")
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.encoder.pooler.trainable = pooling == POOLED  # else it has no part in the answer
        self.classifier = SequenceHead(
            len(self.labels), config.hidden_dropout_prob, self.initializer("classifier"), name="classifier"
        )
        self.classifier.build((None, config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        seed = self.noise_seed(training)
        layout, outputs = self.encoder.encode(inputs, seed)
        if self.pooling == POOLED:
            text = self.encoder.pool(layout, outputs[-1])  # [B, D]
        else:
            text = POOLINGS[self.pooling](layout, outputs[-1], inputs["input_mask"])
        return self.classifier(text, seed=site_seed(seed, -1, a_row=1))  # [B, C]

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        super().compile(
            optimizer=optimizer or adamw(),
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"] if metrics is None else metrics,
            **kwargs,
        )

    def smoothed_loss(self, smoothing: float) -> keras.losses.Loss:
        """See `kbert.losses.SmoothedCrossEntropy`."""
        return SmoothedCrossEntropy(smoothing)

    def scores(self, batches, merge: str = "mean"):
        """As `kbert.tasks.classify_scores.classification_scores`, of batches (inputs, labels int [B]).

        `merge` is for windows of long texts, see `kbert.tasks.classify_scores.answers`.
        """
        return classification_scores(*answers(self, batches, merge), self.labels)
