"""Embedding: the encoder, and one vector for each text.

B examples, S texts of each, T tokens, D width.
"""

import keras
import numpy as np
from keras import ops

from kbert import sentence_transformers
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.global_batch import of_all
from kbert.optimizer import adamw
from kbert.pooling import POOLINGS, check_pooling, unit_length
from kbert.tasks.contrastive import OBJECTIVES
from kbert.tasks.embed_scores import FIGURES, answers, embedding_scores, unit
from kbert.tasks.long_texts import Link
from kbert.text_model import TextModel

MAX_LENGTH = 256  # tokens of a text where nothing says otherwise, as the published small models have


@keras.saving.register_keras_serializable("kbert")
class Embedder(TextModel):
    """A vector for each text: int32 [B, T] id tensors -> float32 [B, D]; stacked int32 [B, S, T] -> [B, S, D].

    `compile(optimizer)` trains the objective on batches of `pipelines.embedding`: pairs (S = 2) or triplets (S = 3).

    Args:
        config: sizes, rates and activation.
        tokenizer: see `TextModel`.
        seed: of the starting weights and of dropout.
        pooling: "mean" of all tokens, "cls" or "max".
        normalize: whether vectors have length 1, so that products are cosines.
        objective: what is learned: "ranking", each text's own second text among those of the batch; "cosine", the
            scores of pairs; "contrastive", labels 0 and 1 of pairs. See `kbert.tasks.contrastive`.
        max_length: most tokens of a text that it is meant for; 256, or all positions where there are fewer.

    A preset that has files of sentence-transformers says its own pooling; else it is the mean, with length 1.

    Example:
        model = kbert.Embedder.from_preset("minilm-l6")
        batches, back = pipelines.texts(["a text", "another"], model.tokenizer_spec)
        model.compile()
        vectors = model.predict(batches)[back]

    References: Reimers and Gurevych 2019, "Sentence-BERT", https://arxiv.org/abs/1908.10084.
    """

    task = "embed"
    heads = ("pooler",)  # which nothing reads, so that a preset may lack it
    settings = ("pooling", "normalize", "objective", "max_length")
    figures = FIGURES["ranking"]

    def __init__(
        self,
        config: BertConfig,
        tokenizer=None,
        labels=None,
        seed: int = 0,
        *,
        pooling: str = "mean",
        normalize: bool = True,
        objective: str = "ranking",
        max_length: int | None = None,
        **kwargs,
    ):
        super().__init__(config, tokenizer, None, seed, **kwargs)
        if objective not in OBJECTIVES:
            raise ValueError(f"objective is one of {', '.join(OBJECTIVES)}; got {objective!r}.")
        self.pooling, self.normalize, self.objective = check_pooling(pooling), bool(normalize), objective
        self.max_length = min(max_length or MAX_LENGTH, config.max_position_embeddings)
        self.figures = FIGURES[objective]
        self.encoder = Encoder(config, seed=seed, dtype=self.dtype_policy, name="encoder")
        self.encoder.pooler.trainable = False  # it has no part in the answer
        self.built = True

    @classmethod
    def told_by(cls, opened):
        """As `TextModel`'s; of others' presets what their files of sentence-transformers say."""
        return super().told_by(opened) or sentence_transformers.read(opened.folder)

    def _has_another_head(self, opened, arrays):
        return False

    def call(self, inputs, training=False):
        mask = inputs["input_mask"]
        if len(mask.shape) == 2:
            return self._embed(inputs, training)
        stack, length = mask.shape[1], ops.shape(mask)[2]
        flat = {name: ops.reshape(rows, [-1, length]) for name, rows in inputs.items()}  # [B * S, T]
        return ops.reshape(self._embed(flat, training), [-1, stack, self.config.hidden_size])

    def _embed(self, inputs, training):
        layout, outputs = self.encoder.encode(inputs, self.noise_seed(training))
        vectors = POOLINGS[self.pooling](layout, outputs[-1], inputs["input_mask"])  # [B, D]
        return unit_length(vectors) if self.normalize else vectors

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        super().compile(
            optimizer=optimizer or adamw(), loss=loss or OBJECTIVES[self.objective](), metrics=metrics, **kwargs
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Of the whole batch, also where replicas have a part each: the texts of all are each other's negatives."""
        weights = None if sample_weight is None else of_all(sample_weight)
        return super().compute_loss(x, of_all(y), of_all(y_pred), weights, training)

    @property
    def link(self) -> Link:
        """Vectors of windows are merged as they are; what they make has length 1 where vectors have."""
        return Link(np.asarray, unit if self.normalize else np.asarray)

    def scores(self, batches):
        """As `kbert.tasks.embed_scores.embedding_scores`, of batches of `pipelines.embedding`."""
        return embedding_scores(*answers(self, batches))

    def write_beside(self, folder):
        """The files from which sentence-transformers knows the pooling."""
        sentence_transformers.write(folder, self.pooling, self.normalize, self.config.hidden_size, self.max_length)
