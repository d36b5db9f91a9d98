"""Pretrainer: the encoder with the two heads of BERT's pre-training (Devlin et al. 2019, section 3.1).

B batch, T tokens, N real tokens in the batch, D width, P slots for masked tokens in a row, M of them that count,
S examples that share a row, V vocabulary.
"""

import keras
from keras import ops

from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.gradients import gradients_of
from kbert.heads import MaskedTokens
from kbert.layout import Static, Unpadded
from kbert.losses import cross_entropy
from kbert.optimizer import adamw
from kbert.pretraining.metrics import PretrainingMetrics
from kbert.pretraining.vocabulary_loss import vocabulary_cross_entropy
from kbert.text_model import TextModel


@keras.saving.register_keras_serializable("kbert")
class Pretrainer(TextModel):
    """What stands behind each mask, and whether the second segment follows the first.

    Inputs are those of the encoder and `masked_lm_positions` int32 [B, P]. Rows that examples share also have
    `first_positions` int32 [B, S], where the [CLS] of each stands. Outputs are a dict of logits: `masked_tokens`
    [B, P, V]; `next_sentence` [B, 2] (or [B, S, 2]), class 1 for a second segment that does not follow. Training
    computes the logits of real masks only, [M, V].

    `compile(optimizer)` then `fit` on batches of `pipelines.pretraining`: (inputs, labels, weights) with labels
    `masked_lm_ids` int32 [B, P] and `next_sentence_labels` int32 [B] or [B, S], weights `masked_lm_weights` float32
    [B, P] and, where examples share rows, `next_sentence_weights` [B, S]. The loss is the mean cross-entropy of the
    masked tokens plus that of the pairs.

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        seed: of the starting weights and of dropout.
        next_sentence: whether there is a head for pairs; the batches then have their labels.
        recompute: see `Encoder`.
        parts: how many workers read a part of each batch for themselves; 1 where all read all of it.

    Attributes:
        place: int64 [3], or [parts, 3] of several: (epoch, window, row) of the last example that the model was trained
            on; a resume goes on after it. A variable, so that a checkpoint cannot have another place than weights.

    Example:
        model = kbert.Pretrainer(config, tokenizer={"vocabulary": "vocab.txt", "lowercase": True})
        batches = pipelines.pretraining(corpus, model.tokenizer_spec, pipelines.PretrainingData(), batch_size=32)
        model.compile(kbert.adamw(1e-4, total_steps=1000))
        model.fit(batches, steps_per_epoch=1000)
    """

    task = "pretrain"
    heads = ("masked_tokens", "next_sentence")

    def __init__(
        self,
        config: BertConfig,
        tokenizer=None,
        seed: int = 0,
        *,
        next_sentence: bool = True,
        recompute: bool = False,
        parts: int = 1,
        **kwargs,
    ):
        super().__init__(config, tokenizer, None, seed, **kwargs)
        width, dtype = config.hidden_size, self.dtype_policy
        self.encoder = Encoder(config, seed=seed, tied=True, recompute=recompute, dtype=dtype, name="encoder")
        self.masked_tokens = MaskedTokens(config, self.initializer("masked_tokens"), dtype=dtype, name="masked_tokens")
        self.masked_tokens.build((None, width))
        self.next_sentence = None
        if next_sentence:
            self.next_sentence = keras.layers.Dense(
                2, kernel_initializer=self.initializer("next_sentence"), dtype="float32", name="next_sentence"
            )
            self.next_sentence.build((None, width))
        self.parts, before_all = parts, [0, 0, -1]
        self.place = keras.Variable(
            before_all if parts == 1 else [before_all] * parts,
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
            name="place",
        )
        self.figures = PretrainingMetrics(bool(next_sentence))
        self.accumulate = 1
        self.built = True

    def call(self, inputs, training=False):
        layout, tokens = self._encode(inputs, training)
        places = inputs["masked_lm_positions"]
        every = layout.pick(tokens, places, ops.arange(ops.size(places)))  # [B * P, D]
        logits = self.masked_tokens(every, table=self.encoder.embeddings.token)
        outputs = {"masked_tokens": ops.reshape(logits, [-1, places.shape[1], self.config.vocab_size])}
        if self.next_sentence is not None:
            outputs["next_sentence"] = self._pair_logits(layout, tokens, inputs)
        return outputs

    def logits_at(self, inputs, slots):
        """Logits of the vocabulary for some tokens alone: slots int32 [M], row * T + place of each, -> [M, V]."""
        layout, tokens = self._encode(inputs, training=False)
        places = ops.broadcast_to(ops.arange(ops.shape(inputs["input_mask"])[1]), ops.shape(inputs["input_mask"]))
        return self.masked_tokens(layout.pick(tokens, places, slots), table=self.encoder.embeddings.token)

    def _encode(self, inputs, training):
        layout, outputs = self.encoder.encode(inputs, self.noise_seed(training))
        return layout, outputs[-1]

    def _pair_logits(self, layout, tokens, inputs):
        """[B, 2], or [B, S, 2] where examples share rows."""
        if "first_positions" not in inputs:
            return self.next_sentence(self.encoder.pool(layout, tokens))
        places = inputs["first_positions"]  # [B, S]
        first = layout.pick(tokens, places, ops.arange(ops.size(places)))  # [B * S, D]
        return ops.reshape(self.next_sentence(self.encoder.pooler(first)), [-1, places.shape[1], 2])

    def compile(self, optimizer=None, *, accumulate: int = 1, **kwargs):
        """As Keras', with the task's own loss and figures.

        Args:
            accumulate: equal parts that a batch is cut into; each is computed alone, and the gradients of the whole
                batch are applied at once. Less memory, the same step.
        """
        if accumulate < 1:
            raise ValueError(f"accumulate is 1 or more, and divides the batch size; got {accumulate}.")
        self.accumulate = accumulate
        super().compile(optimizer=optimizer or adamw(), loss=None, **kwargs)
        if not self.jit_compile:
            self.use_layout(Static)  # rows are filled, and all batches of one shape

    def sums(self, batch, training: bool) -> dict:
        """Sums over a batch, or a part of one: losses, right answers, and how many there were of each; scalars."""
        inputs, labels, weights = batch
        layout, tokens = self._encode(inputs, training)
        slots = layout.counting(weights["masked_lm_weights"])  # [M]
        masked = layout.pick(tokens, inputs["masked_lm_positions"], slots)  # [M, D]
        ids, counts = (
            ops.take(ops.reshape(values, [-1]), slots)
            for values in (labels["masked_lm_ids"], weights["masked_lm_weights"])
        )
        head = self.masked_tokens
        x, table = head.transformed(masked), self.encoder.embeddings.token
        sums = {"masked": vocabulary_cross_entropy(x, table, head.bias, ids, counts, head.compute_dtype)}
        if self.next_sentence is not None:
            pairs = ops.reshape(self._pair_logits(layout, tokens, inputs), [-1, 2])
            answers = ops.reshape(labels["next_sentence_labels"], [-1])
            real = weights.get("next_sentence_weights")
            real = ops.ones_like(answers, "float32") if real is None else ops.reshape(real, [-1])
            sums["pairs"] = cross_entropy(pairs, answers, real)
        mask = inputs["input_mask"]
        return {**sums, "slots": (ops.sum(ops.cast(mask, "float32")), ops.cast(ops.size(mask), "float32"))}

    def train_step(self, data):
        batch = keras.utils.unpack_x_y_sample_weight(data)
        share = self.share_of(batch[0], self._counts(batch))
        before = self._before_parts(batch[0]["input_mask"])

        def loss(part, number):
            rows, tokens = (0, 0) if self.accumulate == 1 else (places[number] for places in before)
            with self.step_noise(share, rows, tokens):
                sums = self.sums(part, training=True)
            means = (sums[name][0] / ops.maximum(total, 1.0) for name, total in share.total.items())
            return self.optimizer.scale_loss(sum(means)), sums

        variables = self.trainable_variables
        gradients, sums = gradients_of(loss, batch, [variable.value for variable in variables], self.accumulate)
        self.apply_gradients(gradients, sums["slots"][0])
        if "place" in batch[0]:
            self.place.assign(share.of_last_row(batch[0]["place"], self.parts))
        return self.figures.update(sums)

    def test_step(self, data):
        return self.figures.update(self.sums(keras.utils.unpack_x_y_sample_weight(data), training=False))

    def _before_parts(self, mask) -> tuple:
        """How many rows and tokens of a batch, [B, T], come before each of the parts that it is cut into; int32 [P]."""
        parts = ops.reshape(mask, [self.accumulate, -1])  # [P, B / P * T]
        tokens = ops.sum(parts if self.layout is Unpadded else ops.ones_like(parts), axis=1)
        rows = ops.arange(self.accumulate) * (ops.shape(mask)[0] // self.accumulate)
        return rows, ops.cumsum(tokens) - tokens

    def _counts(self, batch) -> dict:
        """What the loss is a mean over: the masked tokens of a batch, and its pairs."""
        _, labels, weights = batch
        counts = {"masked": ops.sum(weights["masked_lm_weights"])}
        if self.next_sentence is not None:
            real = weights.get("next_sentence_weights")
            counts["pairs"] = ops.size(labels["next_sentence_labels"]) if real is None else ops.sum(real)
        return counts

    @property
    def metrics(self):
        return self.figures.parts

    def get_metrics_result(self):
        return self.figures.result()

    def named_weights(self):
        return {name: weight for name, weight in super().named_weights().items() if weight is not self.place}

    def get_config(self):
        config = {**super().get_config(), "next_sentence": self.next_sentence is not None}
        del config["labels"]
        return {**config, "recompute": self.encoder.recompute, "parts": self.parts}
