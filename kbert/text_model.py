"""What every model of kbert shares: a config, the tokenizer it was trained with, named weights, presets in."""

import atexit
import filecmp
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras

from kbert.config import BertConfig
from kbert.layout import Padded, Unpadded
from kbert.lora import merged_weights
from kbert.steps import StepModel
from kbert.tokenizer_settings import VOCABULARY


class TextModel(StepModel):
    """A Keras model that is complete on birth: its weights exist, and it knows how text becomes its ids.

    Args:
        config: sizes, rates and activation.
        tokenizer: {"vocabulary": path of vocab.txt, "lowercase": bool, "strip_accents": bool or None,
            "split_cjk": bool}; None for a model that is only ever given ids.
        labels: names of a head's classes, in the order of its outputs; None where it has none.
        seed: of the starting weights and of dropout.
        dtype: Keras dtype or policy, e.g. "mixed_bfloat16".
    """

    task: str | None = None
    heads: tuple[str, ...] = ()  # first parts of the names of the weights that the task adds
    labelled = False  # whether the size of the head follows the labels
    settings: tuple[str, ...] = ()  # arguments of the task that travel with the weights, in config.json
    figures: tuple[str, ...] = ()  # of `scores`, higher is better: what may decide the best epoch, the first by default
    config_keys: Mapping[str, Any] = MappingProxyType({})  # what transformers reads of the task in config.json

    def __init__(
        self,
        config: BertConfig,
        tokenizer: Mapping[str, Any] | None = None,
        labels: Sequence[str] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.jit_compile = False  # before `compile` Keras would choose XLA on a GPU, which compiles every batch's shape
        if isinstance(labels, str) or not all(isinstance(label, str) for label in labels or ()):
            raise ValueError(f"labels is a list of strings; got {labels!r}. Write numbers as ['0', '1'].")
        self.config = config
        self.tokenizer = dict(tokenizer) if tokenizer else None
        self.labels = tuple(labels) if labels else None
        self.new_weights: tuple[str, ...] = ()

    def initializer(self, name: str) -> keras.initializers.Initializer:
        """Truncated normal noise of the config's spread; a function of the model's seed and the weight's name alone."""
        seed = zlib.crc32(f"{self.seed}/{name}".encode()) & 0x7FFFFFFF
        return keras.initializers.TruncatedNormal(stddev=self.config.initializer_range, seed=seed)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Every weight by its name in kbert's tables, e.g. "layer_0/attention/query_key_value/kernel"."""
        return {weight.path: weight for weight in self.weights if "seed_generator" not in weight.path}

    @property
    def tokenizer_spec(self) -> dict[str, Any]:
        """What a pipeline needs to feed this model: the tokenizer's arguments, the limits and labels to agree on."""
        if self.tokenizer is None:
            raise ValueError(
                "The tokenizer is part of a model that takes text; this one was built without. "
                "Give tokenizer={'vocabulary': 'vocab.txt', 'lowercase': True}, or use from_preset."
            )
        return {
            **self.tokenizer,
            "vocab_size": self.config.vocab_size,
            "max_positions": self.config.max_position_embeddings,
            "labels": list(self.labels) if self.labels else None,
        }

    @classmethod
    def from_preset(
        cls,
        preset: str,
        *,
        labels: Sequence[str] | None = None,
        vocabulary: str | None = None,
        lowercase: bool | None = None,
        seed: int = 0,
        dropout: float | None = None,
        initializer_range: float | None = None,
        **kwargs,
    ):
        """A model with the weights, the config and the vocabulary of a preset.

        Args:
            preset: a folder in Hugging Face's or Google's layout, a RUN folder of kbert, "minilm-l6", "hf://org/name",
                "kaggle://owner/model/framework/variation", or a size ("tiny" ... "large") for random weights.
            labels: names of the classes; by default the preset's.
            vocabulary: path of a vocab.txt, by default the preset's; a size needs one.
            lowercase: overrides what the preset says.
            seed: of the weights that the task adds and of dropout.
            dropout: rate of all its places, in [0, 1); None for what the preset says.
            initializer_range: standard deviation of weights that start at random; None for what the preset says.
            kwargs: further arguments of the class; by default its `settings` are those of a preset of the same task and
                labels.

        Raises:
            ValueError: tensors are missing, surplus or of another shape; the message lists them.
            FileNotFoundError: nothing of that name.

        `new_weights` of the result names the weights that the preset did not have: a task's head, at most. The head of
        a preset for another task, or for other labels, is left out.
        """
        from kbert.presets import assign, open_preset

        opened = open_preset(preset, vocabulary=vocabulary, lowercase=lowercase)
        arguments = {"labels": labels or opened.labels} if cls.labelled else {}
        same = not cls.labelled or tuple(labels or opened.labels or ()) == tuple(opened.labels or ())
        kwargs = {**(cls.told_by(opened) if same else {}), **kwargs}
        asked = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), dropout)
        asked["initializer_range"] = initializer_range
        config = replace(opened.config, **{name: value for name, value in asked.items() if value is not None})
        model = cls(config, tokenizer=opened.tokenizer, seed=seed, **arguments, **kwargs)
        arrays = opened.read_weights()
        if arrays is not None:
            heads = tuple(f"{head}/" for head in cls.heads)
            if model._has_another_head(opened, arrays):
                arrays = {name: array for name, array in arrays.items() if not name.startswith(heads)}
            model.new_weights = tuple(assign(model.named_weights(), arrays, new=heads, source=opened.source))
        return model

    @classmethod
    def told_by(cls, opened) -> dict[str, Any]:
        """The `settings` that an opened preset tells: those of a model of the same task."""
        if opened.task != cls.task:
            return {}
        return {name: opened.settings[name] for name in cls.settings if name in opened.settings}

    def _has_another_head(self, opened, arrays) -> bool:
        """Whether the head of a preset answers another question than this model's: its task, its labels, its size."""
        if opened.task is not None:
            return opened.task != self.task or (self.labelled and self.labels != tuple(opened.labels or ()))
        if self.labelled and opened.labels and self.labels != tuple(opened.labels):
            return True
        own, heads = self.named_weights(), tuple(f"{head}/" for head in self.heads)
        told = {name: array for name, array in arrays.items() if name.startswith(heads) and name in own}
        return any(tuple(array.shape) != tuple(own[name].shape) for name, array in told.items())

    def preset_config(self) -> BertConfig:
        """The config with what a preset says of the task: its name, its settings, its labels in transformers' keys."""
        labels = {str(index): label for index, label in enumerate(self.labels or ())}
        said = {"task": self.task, **{name: getattr(self, name) for name in self.settings}}
        keys = {
            "problem_type": None,
            "id2label": labels or None,
            "label2id": {label: int(index) for index, label in labels.items()} or None,
            "kbert": said if self.task else None,
        }
        return self.config.with_extra(**{**keys, **self.config_keys})

    def write_beside(self, folder) -> None:
        """Files of a preset's folder, beside its weights and its config, from which others know the task."""

    def scores(self, batches) -> dict[str, Any]:
        """How good the answers to labelled batches are: figures as floats, and details in nested dicts."""
        raise NotImplementedError(f"{type(self).__name__} is not scored on batches alone.")

    def smoothed_loss(self, smoothing: float) -> keras.losses.Loss:
        """The task's loss with labels that share so much of their probability among all classes."""
        raise ValueError(f"label_smoothing is for a choice of one class; {self.task} has none. Leave it out.")

    def compile(self, *args, jit_compile: bool = False, **kwargs):
        """As Keras', but compiled by XLA only on request: padding is then kept, since XLA needs static shapes."""
        super().compile(*args, jit_compile=jit_compile, **kwargs)
        self.use_layout(Padded if jit_compile else Unpadded)

    def compile_from_config(self, config):
        """As Keras', which leaves a loaded model uncompiled where its class has a `compile` of its own, and warns."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As Keras'. A dataset shuffles itself; without a word of that Keras warns that it will not."""
        if y is None and not args:
            kwargs.setdefault("shuffle", False)
        return super().fit(x, y, *args, **kwargs)

    def in_float32(self):
        """This model, or a copy that computes in float32 where this one computes in less."""
        if self.compute_dtype == "float32":
            return self
        copy = type(self).from_config({**self.get_config(), "dtype": "float32"})
        own = merged_weights(self)
        for name, weight in copy.named_weights().items():
            weight.assign(own[name])
        return copy

    def get_config(self) -> dict[str, Any]:
        return {
            "config": asdict(self.config),
            "tokenizer": self.tokenizer,
            "labels": self.labels,
            "seed": self.seed,
            **{name: getattr(self, name) for name in self.settings},
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects=None):
        return cls(**{**config, "config": BertConfig(**config["config"])})

    def save_assets(self, folder: str) -> None:
        """Puts the vocabulary in a .keras file, which is then whole wherever it is moved."""
        if self.tokenizer is not None:
            shutil.copyfile(self.tokenizer["vocabulary"], Path(folder) / VOCABULARY)

    def load_assets(self, folder: str | None) -> None:
        """Takes the vocabulary of a .keras file where the one of its `tokenizer` is gone, or is another by now."""
        if folder is None or not (own := Path(folder) / VOCABULARY).is_file():
            return  # a file of a model without a tokenizer, or of an earlier version
        given = Path(self.tokenizer["vocabulary"])
        if not given.is_file() or not filecmp.cmp(own, given, shallow=False):
            self.tokenizer = {**self.tokenizer, "vocabulary": _kept_while_running(own)}


def _kept_while_running(path: Path) -> str:
    """A copy of a file that is there until the process ends."""
    folder = tempfile.mkdtemp(prefix="kbert-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return shutil.copy(path, folder)
