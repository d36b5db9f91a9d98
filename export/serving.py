"""Serving: strings -> answers as TensorFlow functions; what the servings of all tasks share.

B texts, T tokens of the longest.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import keras
import tensorflow as tf

from export.tracing import is_small, trace
from kbert.layout import Unpadded
from pipelines import WordPiece, pack
from pipelines.packing import PAIR_SPECIALS, SINGLE_SPECIALS

ID_TENSORS = ("input_word_ids", "input_mask", "input_type_ids")
IDS = MappingProxyType({name: tf.TensorSpec([None, None], tf.int32, name) for name in ID_TENSORS})


class Serving:
    """Answers of a model for strings. A task says what its strings are, and what its model's outputs mean.

    Args:
        model: in float32.
        wordpiece: the tokenizer that it was trained with.
        max_length: most tokens of a packed text; longer texts are cut, or seen through windows.

    A task overrides `inputs`, `answer`, and where texts are not packed one by one, `tokenize` and `serve`.

    Attributes:
        inputs: specs of the strings of `serving_default`, by name.
        ids: specs of the tensors of `from_ids`, by name.
        model_inputs: specs of the tensors that `answer` takes; by default `ids`.
        variables: what the module that is saved has to hold.
        assets: lines of files that lie beside the model, by name.

    Functions of tensors, each a signature of the SavedModel:
        serving_default: strings -> answers.
        tokenize: the same strings -> the id tensors, int32 [B, T].
        from_ids: the id tensors -> what can be answered without the text.
    """

    inputs: Mapping[str, tf.TensorSpec] = MappingProxyType({"text": tf.TensorSpec([None], tf.string, "text")})
    ids: Mapping[str, tf.TensorSpec] = IDS

    def __init__(self, model: keras.Model, wordpiece: WordPiece, max_length: int):
        self.task, self.labels = model.task, tuple(model.labels or ())
        self.wordpiece, self.max_length = wordpiece, max_length
        self.variables = [weight.value for weight in model.weights if not is_small(weight)]
        layout = model.use_layout(Unpadded)  # also for a model that was trained padded, under XLA
        try:
            self.ask = trace(lambda *tensors: self.answer(model, *tensors), model, list(self.model_inputs.values()))
        finally:
            model.use_layout(layout)

    @property
    def model_inputs(self) -> Mapping[str, tf.TensorSpec]:
        return self.ids

    @property
    def assets(self) -> dict[str, Sequence[str]]:
        return {"labels.txt": self.labels} if self.labels else {}

    def answer(self, model: keras.Model, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """Tensors of `model_inputs` -> answers; traced once, so that `ask` gives the same as a graph."""
        raise NotImplementedError

    def tokenize(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [B] -> the three id tensors, int32 [B, T]."""
        return pack([self.wordpiece.tokenize(text) for text in texts], self.wordpiece, self.max_length)

    def from_ids(self, *ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The id tensors -> answers."""
        return self.ask(*ids)

    def serve(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings -> answers."""
        packed = self.tokenize(*texts)
        return self.from_ids(*(packed[name] for name in self.ids))

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The three functions by their names, traced."""
        texts, ids = list(self.inputs.values()), list(self.ids.values())
        return {
            "serving_default": tf.function(self.serve, autograph=False).get_concrete_function(*texts),
            "tokenize": tf.function(self.tokenize, autograph=False).get_concrete_function(*texts),
            "from_ids": tf.function(self.from_ids, autograph=False).get_concrete_function(*ids),
        }

    def sample(self, texts: Sequence[str]) -> dict[str, tf.Tensor]:
        """N texts as strings of `serving_default`: [N], or [N, 3] where several belong together."""
        columns = {}
        for place, (name, spec) in enumerate(self.inputs.items()):
            turned = [*texts[place:], *texts[:place]]  # another text in every column
            rows = turned if spec.shape.rank == 1 else [[text, texts[0], "a"] for text in turned]
            columns[name] = tf.constant(rows, tf.string)
        return columns

    def sample_words(self, length: int) -> int:
        """How many words of one token a text is to have, for rows of `length` tokens in its `sample`, or a few less."""
        texts = len(self.inputs)
        return max(length - (SINGLE_SPECIALS if texts == 1 else PAIR_SPECIALS), 0) // texts

    @contextlib.contextmanager
    def asking(self, model: keras.Model) -> Iterator[None]:
        """While the block runs, answers come from the model itself and not from its graph."""
        traced, self.ask = self.ask, lambda *tensors: self.answer(model, *tensors)
        try:
            yield
        finally:
            self.ask = traced
