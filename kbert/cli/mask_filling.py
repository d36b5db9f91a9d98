"""The answers of `kbert fill-mask`, by the graph that `kbert export` writes."""

from typing import Any

import tensorflow as tf

from export.saved_model import serving_of
from kbert.pretraining.pretrainer import Pretrainer
from pipelines.vocab import MASK


def open_masked_tokens(preset: str, command: str, lowercase: bool | None = None) -> Pretrainer:
    """A model with a head for masked tokens.

    Args:
        preset: a RUN of `kbert pretrain`, or a preset.
        command: what is asked of it, for the error.
        lowercase: where the model does not say.

    Raises:
        ValueError: the model has no such head.
    """
    model = Pretrainer.from_preset(preset, next_sentence=False, lowercase=lowercase)
    if model.new_weights:
        raise ValueError(
            f"{command} needs a model with a head for masked tokens; {preset} has none. Give a RUN of kbert pretrain."
        )
    return model


class MaskFiller:
    """A model with a head for masked tokens, and its tokenizer, which keeps a [MASK] in a text whole.

    Args:
        model: a RUN of `kbert pretrain`, or a preset.
        lowercase: where the model does not say.
        top_k: answers a mask.

    Raises:
        ValueError: the model has no such head, or its vocabulary no [MASK].
    """

    def __init__(self, model: str, lowercase: bool | None = None, top_k: int = 5):
        self.serving = serving_of(open_masked_tokens(model, "fill-mask", lowercase).in_float32(), top_k=top_k)

    def fill(self, text: str) -> list[list[dict[str, Any]]]:
        """For each [MASK] of the text its likeliest tokens, the best first: token, score and the text with it.

        Other masks stay in the text. A token that continues a word is joined to what stands before the mask.

        Raises:
            ValueError: no [MASK], or more tokens than the model has positions for.
        """
        serving = self.serving
        (ids,) = serving.wordpiece.tokenize([text]).to_list()
        if serving.wordpiece.mask_id not in ids:
            raise ValueError(f"A text to fill has a {MASK}; got {text!r}. Write it in capitals and square brackets.")
        room = serving.max_length - 2
        if len(ids) > room:
            raise ValueError(f"A text has at most {room} tokens for this model; got {len(ids)}. Cut it.")
        answers = serving.serve(tf.constant([text]))
        return filled(*(answers[name][0].numpy() for name in ("tokens", "scores", "sequences")))


def filled(tokens, scores, sequences) -> list[list[dict[str, Any]]]:
    """A text's rows of the three outputs, [M, K], as JSON-able dicts; padding is left out."""
    return [
        [
            {"token": token.decode(), "score": float(score), "sequence": sequence.decode()}
            for token, score, sequence in zip(*mask, strict=True)
        ]
        for mask in zip(tokens, scores, sequences, strict=True)
        if mask[0][0]
    ]
