"""Long texts, served: texts of more tokens than a model has are seen through windows, and their scores merged.

B texts, W windows of all texts, T tokens of a row, C classes.
"""

from collections.abc import Mapping

import keras
import tensorflow as tf

from export.serving import ID_TENSORS, IDS, Serving
from kbert.tasks.long_texts import MERGES, TEXT_IDS
from pipelines import WordPiece, pack
from pipelines.packing import SINGLE_SPECIALS
from pipelines.windows import windows


def text_inputs(pair: bool) -> dict[str, tf.TensorSpec]:
    """Specs of the strings that tasks on texts or on pairs of texts take."""
    return {name: tf.TensorSpec([None], tf.string, name) for name in (("text_a", "text_b") if pair else ("text",))}


class TextServing(Serving):
    """Answers for texts or for pairs of texts, from what a model says to each row of tokens.

    A task says with `rows` what its model says to a row, and with `told` what that means for a text. With a window,
    what is said to the windows of a text is merged in between: the mean, or the largest of each score.

    Args:
        model, wordpiece, max_length: see `Serving`.
        pair: each answer is for two texts.
        window: tokens from the start of one window of a long text to the next; None cuts long texts.
        merge: "mean" or "max".

    With a window the id tensors are a row a window, [W, T], with a fourth tensor `input_text_ids` int32 [W], the number
    of the text that each is of, in their order.

    Raises:
        ValueError: a window below 1 or over pairs, another way to merge.
    """

    def __init__(
        self,
        model: keras.Model,
        wordpiece: WordPiece,
        max_length: int,
        pair: bool = False,
        window: int | None = None,
        merge: str = "mean",
    ):
        if merge not in MERGES:
            raise ValueError(f"merge is {' or '.join(MERGES)}; got {merge!r}.")
        if window is not None and (window < 1 or pair):
            given = "a model for pairs" if pair else window
            raise ValueError(f"window is a number of tokens of single texts, 1 at least; got {given}. None cuts texts.")
        self.inputs, self.window, self.merge = text_inputs(pair), window, merge
        super().__init__(model, wordpiece, max_length)

    @property
    def ids(self) -> Mapping[str, tf.TensorSpec]:
        return IDS if self.window is None else {**IDS, TEXT_IDS: tf.TensorSpec([None], tf.int32, TEXT_IDS)}

    @property
    def model_inputs(self) -> Mapping[str, tf.TensorSpec]:
        return IDS

    def rows(self, model: keras.Model, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """What is merged: the model's answers to rows, float [W, ...]."""
        raise NotImplementedError

    def told(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers, from what is said to each text, float [B, ...]."""
        raise NotImplementedError

    def answer(self, model: keras.Model, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = self.rows(model, dict(zip(ID_TENSORS, ids, strict=True)))
        return self.told(rows) if self.window is None else {"rows": rows}

    def tokenize(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] -> the id tensors."""
        if self.window is None:
            return super().tokenize(*texts)
        cut = windows(self.wordpiece.tokenize(*texts), self.max_length - SINGLE_SPECIALS, self.window)
        return {**pack([cut.ids], self.wordpiece, self.max_length), TEXT_IDS: cut.owners}

    def from_ids(self, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The id tensors -> answers, one a text."""
        if self.window is None:
            return self.ask(*ids)
        *ids, text_ids = ids
        merge = tf.math.segment_mean if self.merge == "mean" else tf.math.segment_max
        return self.told(merge(self.ask(*ids)["rows"], text_ids))
