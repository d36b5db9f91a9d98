"""The answers of `kbert fill-mask`: a text with [MASK] in, tokens, probabilities and whole texts out.

T tokens of the text, M masks, K answers a mask, V vocabulary.
"""

from typing import Any

import tensorflow as tf

from kbert.pretrainer import Pretrainer
from pipelines import WordPiece, pack
from pipelines.vocab import MASK
from pipelines.wordpiece import SUFFIX


class MaskFiller:
    """A model with a head for masked tokens, and its tokenizer, which keeps a [MASK] in a text whole.

    Args:
        model: a RUN of `kbert pretrain`, or a preset.
        lowercase: where the model does not say.

    Raises:
        ValueError: the model has no such head, or its vocabulary no [MASK].
    """

    def __init__(self, model: str, lowercase: bool | None = None):
        self.model = Pretrainer.from_preset(model, next_sentence=False, lowercase=lowercase)
        if self.model.new_weights:
            raise ValueError(
                f"fill-mask needs a model with a head for masked tokens; {model} has none. "
                "Give a RUN of kbert pretrain."
            )
        self.wordpiece = WordPiece.from_spec(self.model.tokenizer_spec, keep_special=True)
        if self.wordpiece.mask_id is None:
            raise ValueError(f"fill-mask needs a vocabulary with {MASK}; that of {model} has none.")

    def fill(self, text: str, top_k: int) -> list[list[dict[str, Any]]]:
        """For each [MASK] of the text its likeliest tokens, the best first: token, score and the text with it.

        Other masks stay in the text. A token that continues a word is joined to what stands before the mask.

        Raises:
            ValueError: no [MASK], or more tokens than the model has positions for.
        """
        ids, starts, ends = (part[0].numpy() for part in self.wordpiece.tokenize_with_offsets([text]))
        places = (ids == self.wordpiece.mask_id).nonzero()[0]
        if not len(places):
            raise ValueError(f"A text to fill has a {MASK}; got {text!r}. Write it in capitals and square brackets.")
        limit = self.model.config.max_position_embeddings
        if len(ids) + 2 > limit:
            raise ValueError(f"A text has at most {limit - 2} tokens for this model; got {len(ids)}. Cut it.")
        inputs = pack([tf.RaggedTensor.from_tensor(ids[None])], self.wordpiece, limit)
        inputs["masked_lm_positions"] = tf.constant(places[None] + 1, tf.int32)  # [CLS] comes before
        probabilities = tf.nn.softmax(self.model(inputs)["masked_tokens"][0])  # [M, V]
        scores, tokens = (part.numpy() for part in tf.math.top_k(probabilities, min(top_k, probabilities.shape[1])))
        return [
            [self._answer(text, starts[place], ends[place], token, score) for token, score in zip(*row, strict=True)]
            for place, row in zip(places, zip(tokens, scores, strict=True), strict=True)
        ]

    def _answer(self, text: str, start: int, end: int, token: int, score: float) -> dict[str, Any]:
        word = self.wordpiece.vocabulary[token]
        before = text[:start].rstrip() if word.startswith(SUFFIX) else text[:start]
        return {"token": word, "score": float(score), "sequence": before + word.removeprefix(SUFFIX) + text[end:]}
