"""Question answering: the encoder with two scores a token, of being the first and the last of the answer.

B batch, T tokens.
"""

import keras
from keras import ops

from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.heads import SequenceHead
from kbert.layout import BLOCKED
from kbert.optimizer import adamw
from kbert.tasks.qa_scores import read_spans, span_scores
from kbert.text_model import TextModel

OUTPUTS = ("start_logits", "end_logits")
POSITIONS = ("start_positions", "end_positions")


@keras.saving.register_keras_serializable("kbert")
class SpanReader(TextModel):
    """Where the answer to a question stands: int32 [B, T] id tensors -> {"start_logits", "end_logits"}, float32 [B, T].

    Rows are `[CLS] question [SEP] part of the context [SEP]`; an answer at [CLS] says that there is none. At padding
    logits are -1e4. `compile(optimizer)` trains the mean of two cross-entropies over the T tokens, on labels
    {"start_positions", "end_positions"}, int32 [B], and reports the accuracy of both.

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        null_score_diff_threshold: a question has no answer where [CLS] scores by more than this over the best answer;
            None for a model that always answers, as for SQuAD 1.1.
        seed: of the starting weights and of dropout.

    Example:
        model = kbert.SpanReader.from_preset("minilm-l6")
        train = pipelines.question_answering("train-v1.1.json", model.tokenizer_spec, batch_size=32, seed=0)
        model.compile(kbert.adamw(learning_rate=1e-4, total_steps=1000))
        model.fit(train)

    References: Devlin et al. 2019, sections 4.2 and 4.3; google-research/bert `run_squad.py`.
    """

    task = "qa"
    heads = ("span", "pooler")  # nothing reads the pooler: a preset may lack it
    settings = ("null_score_diff_threshold",)
    figures = ("f1", "exact")

    def __init__(
        self,
        config: BertConfig,
        tokenizer=None,
        labels=None,
        seed: int = 0,
        null_score_diff_threshold: float | None = None,
        **kwargs,
    ):
        super().__init__(config, tokenizer, labels, seed, **kwargs)
        self.null_score_diff_threshold = null_score_diff_threshold
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.encoder.pooler.trainable = False  # it has no part in the answer
        self.span = SequenceHead(2, 0.0, self.initializer("span"), name="span")  # run_squad.py drops nothing here
        self.span.build((None, config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        layout, outputs = self.encoder.encode(inputs, self.noise_seed(training))
        logits = layout.to_rows(self.span(outputs[-1]), 2)  # [B, T, 2]
        is_token = ops.cast(inputs["input_mask"], "bool")
        return {name: ops.where(is_token, logits[..., place], BLOCKED) for place, name in enumerate(OUTPUTS)}

    def compile(self, optimizer=None, loss=None, metrics=None, loss_weights=None, **kwargs):
        default = loss is None
        if default:
            loss = {name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for name in OUTPUTS}
            loss_weights = dict.fromkeys(OUTPUTS, 0.5) if loss_weights is None else loss_weights
        super().compile(
            optimizer=optimizer or adamw(),
            loss=loss,
            loss_weights=loss_weights,
            metrics=dict.fromkeys(OUTPUTS, "accuracy") if metrics is None else metrics,
            **kwargs,
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, _as_outputs(y), y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, _as_outputs(y), y_pred, sample_weight)

    def scores(self, batches):
        """As `kbert.tasks.qa_scores.span_scores`, of batches (inputs, labels): of windows, in tokens.

        What questions score, over all windows of their contexts and in words, is said by `kbert evaluate`.
        """
        return span_scores(*read_spans(self, batches))


def _as_outputs(labels):
    """Labels by the names of the outputs that they are of: Keras pairs them by name."""
    if not isinstance(labels, dict) or set(labels) != set(POSITIONS):
        return labels
    return {output: labels[position] for output, position in zip(OUTPUTS, POSITIONS, strict=True)}
