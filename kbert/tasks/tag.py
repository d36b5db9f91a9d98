"""Tagging: the encoder with a score of each tag for each word; named entities, parts of speech.

B batch, T tokens, W words, C tags.
"""

import keras
from keras import ops

from kbert.config import BertConfig
from kbert.dropout import site_seed
from kbert.encoder import Encoder
from kbert.heads import SequenceHead
from kbert.layer_mix import layer_mix
from kbert.losses import SmoothedCrossEntropy
from kbert.optimizer import adamw
from kbert.tasks.crf import Transitions, log_likelihood, step_table
from kbert.tasks.tag_scores import answers, tagging_scores
from kbert.tasks.viterbi import SCHEMES, legal_transitions, scheme_of
from kbert.text_model import TextModel

PER_WORD = "mean_with_sample_weight"  # Keras' default would divide by padding too


@keras.saving.register_keras_serializable("kbert")
class Tagger(TextModel):
    """Scores of C tags for each word, which its first piece answers for: float32 logits [B, W, C].

    Inputs are the three int32 [B, T] id tensors, and `word_positions`, int32 [B, W]: the place in its row of each
    word's first piece, 0 where there is none. Without it there is an answer for every token, [B, T, C].

    `compile(optimizer)` trains, on tags int32 [B, W] weighed by float32 [B, W], the mean cross-entropy of a word; or
    with `crf` the negative log-likelihood of the sequences, a word's mean again. The weights of words then only say
    which there are, and a row has one at least.

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        labels: the C tags, e.g. ["O", "B-LOC", "I-LOC"].
        seed: of the starting weights and of dropout.
        crf: learn what it is worth that one tag follows another (`kbert.tasks.crf`).
        scheme: "iob2", "bioes" or "none"; by default what the labels are written in. Decoding keeps to its rules.
        mix: what of the layers a word's vector is: the "last", the "sum" or the "mean" of the last four, or "scalar",
            a learned mix of all (`kbert.layer_mix`).

    Example:
        examples = pipelines.read_tagging("eng.train")
        model = kbert.Tagger.from_preset("minilm-l6", labels=examples.labels)
        model.compile(kbert.adamw(learning_rate=1e-4, total_steps=1300))
        model.fit(pipelines.tagging(examples, model.tokenizer_spec, seed=0), epochs=3)
        model.scores(pipelines.tagging("eng.testb", model.tokenizer_spec))["f1"]

    References: Devlin et al. 2019, section 5.3; Lample et al. 2016.
    """

    task = "tag"
    heads = ("classifier", "crf", "scalar_mix", "pooler")  # nothing reads the pooler: a preset may lack it
    labelled = True
    settings = ("crf", "scheme", "mix")
    figures = ("f1", "precision", "recall", "accuracy")

    def __init__(
        self,
        config: BertConfig,
        tokenizer=None,
        labels=None,
        seed: int = 0,
        *,
        crf: bool = False,
        scheme: str | None = None,
        mix: str = "last",
        **kwargs,
    ):
        super().__init__(config, tokenizer, labels, seed, **kwargs)
        if len(set(self.labels or ())) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError(
                f"labels names the tags, two at least and all different; got {self.labels}. "
                "Give those that pipelines.read_tagging found."
            )
        self.crf, self.scheme = bool(crf), scheme_of(self.labels) if scheme is None else scheme
        if self.scheme not in SCHEMES or (self.scheme != scheme_of(self.labels) and self.scheme != "none"):
            raise ValueError(
                f"scheme is one of {', '.join(SCHEMES)}, that of the labels; got {scheme} for {', '.join(self.labels)}."
            )
        self.legal = legal_transitions(self.labels, self.scheme)  # [C + 1, C + 1]
        if not self.legal[-1, :-1].any():
            raise ValueError(f"labels hold a tag that a sentence can begin with, O or B-; got {', '.join(labels)}.")
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.encoder.pooler.trainable = False  # it has no part in the answer
        self.classifier = SequenceHead(
            len(self.labels), config.hidden_dropout_prob, self.initializer("classifier"), name="classifier"
        )
        self.classifier.build((None, config.hidden_size))
        self.mix, self.mix_layers = mix, layer_mix(mix, config.num_hidden_layers)
        self.chain = Transitions(len(self.labels), name="crf") if self.crf else None
        self.built = True

    def call(self, inputs, training=False):
        seed = self.noise_seed(training)
        layout, layers = self.encoder.encode_layers(inputs, seed)
        tokens = self.mix_layers(layers)  # [N, D]
        if "word_positions" not in inputs:
            logits = self.classifier(tokens, seed=site_seed(seed, -1))  # [N, C]
            return layout.to_rows(logits, len(self.labels))  # [B, T, C]
        places = ops.maximum(ops.cast(inputs["word_positions"], "int32"), 0)  # [B, W]
        words = layout.pick(tokens, places, ops.arange(ops.size(places)))  # [B * W, D]
        logits = self.classifier(words, seed=site_seed(seed, -1, a_row=ops.shape(places)[1]))
        return ops.reshape(logits, [-1, ops.shape(places)[1], len(self.labels)])  # [B, W, C]

    def transitions(self):
        """What each tag after each is worth, from row to column: float32 [C, C], 0 without a CRF."""
        size = len(self.labels)
        return ops.zeros([size, size]) if self.chain is None else self.chain.values()

    def compile(self, optimizer=None, loss=None, metrics=None, weighted_metrics=None, **kwargs):
        own = self.crf and loss is None
        super().compile(
            optimizer=optimizer or adamw(),
            loss=None
            if own
            else loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=PER_WORD),
            metrics=metrics,
            weighted_metrics=["accuracy"] if weighted_metrics is None and metrics is None else weighted_metrics,
            **kwargs,
        )

    def loss_count(self, inputs, labels, weights):
        """The words that have a tag, by what they weigh."""
        if weights is None:
            return ops.size(labels)
        return ops.sum(ops.cast(weights > 0, "float32") if self.crf and self.loss is None else weights)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """As Keras'; with a CRF and no loss given to `compile`, minus the log-likelihood for each word that weighs."""
        if not self.crf or self.loss is not None or y is None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        weights = ops.ones_like(y_pred[:, :, 0]) if sample_weight is None else sample_weight
        mask = weights > 0  # [B, W]
        found = log_likelihood(y_pred, y, mask, step_table(self.transitions(), self.legal))  # [B]
        mean = -ops.sum(found) / ops.maximum(ops.sum(ops.cast(mask, "float32")), 1.0)
        return mean / self.replicas  # as Keras' losses are, whose sum over replicas is what is made smaller

    def smoothed_loss(self, smoothing: float) -> keras.losses.Loss:
        """See `kbert.losses.SmoothedCrossEntropy`."""
        if self.crf:
            raise ValueError("label_smoothing is for single tags; a CRF scores sequences. Leave one of them out.")
        return SmoothedCrossEntropy(smoothing, reduction=PER_WORD)

    def scores(self, batches):
        """As `kbert.tasks.tag_scores.tagging_scores`, of `pipelines.tagging(..., seed=None)`; windows are joined."""
        return tagging_scores(answers(self, batches), self.labels, self.scheme)
