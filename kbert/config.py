"""BertConfig: the numbers that fix a BERT, and the two JSON layouts that carry them.

Keys are those of Google's `bert_config.json` (google-research/bert, modeling.py) and of Hugging Face's `config.json`.
The two files share their names but not the meaning of one: Google's "gelu" is the tanh form, Hugging Face's the erf
form, so a config is read with its layout and names the form itself.
"""

import json
import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kbert.config_layouts import (
    FILE_NAMES,
    LAYER_NORM_EPSILON,
    LAYOUTS,
    REQUIRED,
    check_google_epsilon,
    check_plain,
    check_required,
    layout_of,
    read_activation,
    write_activation,
)

__all__ = ["ACTIVATIONS", "FILE_NAMES", "LAYER_NORM_EPSILON", "LAYOUTS", "SIZES", "BertConfig"]

ACTIVATIONS = ("gelu_erf", "gelu_tanh", "relu")
_HUGGINGFACE_BOOKKEEPING = ("architectures", "dtype", "torch_dtype", "transformers_version")


@dataclass(frozen=True)
class BertConfig:
    """A BERT in numbers, checked at birth; the defaults are BERT-base uncased as Google trained it.

    Attributes:
        vocab_size: V, rows of the token embedding.
        hidden_size: D, width of a token.
        num_hidden_layers: blocks.
        num_attention_heads: H, divides D.
        intermediate_size: F, inner width of a block.
        hidden_act: "gelu_erf" (x Phi(x)), "gelu_tanh" (its tanh approximation) or "relu".
        hidden_dropout_prob: dropout of embeddings and of what a block adds, in [0, 1).
        attention_probs_dropout_prob: dropout of attention probabilities, in [0, 1).
        max_position_embeddings: P, the most tokens that a text can have.
        type_vocab_size: S, segments.
        initializer_range: standard deviation of random weights.
        layer_norm_eps: added to the variance in every layer norm.
        extra: keys of a file that kbert does not use, as (key, value) pairs; written back out.

    Raises:
        ValueError: a number out of its range, or heads that do not divide the width.

    Example:
        >>> BertConfig(hidden_size=6, num_attention_heads=3, intermediate_size=10).hidden_act
        'gelu_tanh'

    References: Devlin et al. 2019, section 3; Hendrycks and Gimpel 2016 for both forms of GELU.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_tanh"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = LAYER_NORM_EPSILON
    extra: tuple[tuple[str, Any], ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        for name in REQUIRED:
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"{name} must be a whole number of at least 1; got {value!r}. Correct it in the config."
                )
            object.__setattr__(self, name, int(value))
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads must divide hidden_size; got {self.num_attention_heads} and {self.hidden_size}. "
                "Change one of the two."
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"hidden_act must be one of {', '.join(ACTIVATIONS)}; got {self.hidden_act!r}. Choose one."
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not _is_number(getattr(self, name)) or not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be a rate in [0, 1); got {getattr(self, name)!r}. 0.1 is BERT's.")
        for name, usual in (("initializer_range", 0.02), ("layer_norm_eps", LAYER_NORM_EPSILON)):
            if not _is_number(getattr(self, name)) or not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be in (0, 1); got {getattr(self, name)!r}. {usual} is BERT's.")
        extra = {str(key): value for key, value in self.extra}
        check_plain(extra, {name: getattr(self, name) for name in _OWN})
        extra.pop("model_type", None)  # to_huggingface writes it, whether it was there or not
        object.__setattr__(self, "extra", tuple(sorted(extra.items(), key=lambda pair: pair[0])))

    @classmethod
    def from_google(cls, settings: Mapping[str, Any]) -> "BertConfig":
        """Config from the content of Google's `bert_config.json` ("gelu" is the tanh form).

        Raises:
            ValueError: a key is missing, or a key asks for something other than BERT's mathematics.

        Example:
            >>> BertConfig.from_google(SIZES["tiny"].to_google()) == SIZES["tiny"]
            True
        """
        check_google_epsilon(settings.get("layer_norm_eps", LAYER_NORM_EPSILON))
        return _read_settings(settings, "google")

    @classmethod
    def from_huggingface(cls, settings: Mapping[str, Any]) -> "BertConfig":
        """Config from the content of Hugging Face's `config.json` ("gelu" is the erf form).

        Raises:
            ValueError: a key is missing, or a key asks for something other than BERT's mathematics.

        Example:
            >>> BertConfig.from_huggingface({**SIZES["tiny"].to_huggingface(), "hidden_act": "gelu"}).hidden_act
            'gelu_erf'
        """
        return _read_settings(settings, "huggingface")

    def to_google(self) -> dict[str, Any]:
        """Content of Google's `bert_config.json`.

        The erf form is written as "gelu_erf": `from_google` reads it back, Google's code stops at it.

        Raises:
            ValueError: layer_norm_eps is not 1e-12, for which the layout has no key that Google's code obeys.
        """
        check_google_epsilon(self.layer_norm_eps)
        settings = {**_own_settings(self, "google"), **self.extras(leave_out=_HUGGINGFACE_BOOKKEEPING)}
        del settings["layer_norm_eps"]
        return dict(sorted(settings.items()))

    def to_huggingface(self) -> dict[str, Any]:
        """Content of Hugging Face's `config.json`; the tanh form is written as "gelu_new"."""
        return dict(sorted({"model_type": "bert", **_own_settings(self, "huggingface"), **self.extras()}.items()))

    def extras(self, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
        """The file's keys that kbert does not use, as a new dict, without those named in `leave_out`."""
        return {key: value for key, value in self.extra if key not in leave_out}

    def with_extra(self, **changes: Any) -> "BertConfig":
        """The same config with unused keys set, or removed where the value is None.

        Example:
            >>> BertConfig().with_extra(problem_type="regression", id2label=None).extra
            (('problem_type', 'regression'),)
        """
        settings = {**self.extras(), **changes}
        return replace(self, extra=tuple((key, value) for key, value in settings.items() if value is not None))

    @classmethod
    def read(cls, path: str | os.PathLike[str], layout: str | None = None) -> "BertConfig":
        """Config from a JSON file; `layout` "google" or "huggingface" is told from the usual file names when None.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a JSON object, an unknown layout, or settings that are not BERT's; names the file.
        """
        path = Path(path)
        layout = layout_of(path.name, layout)
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"A config must be a JSON file; got {path}, which is not there. Check the path."
            ) from None
        except ValueError as error:
            raise ValueError(f"A config must be JSON in UTF-8; got {path}: {error}. Fetch the file again.") from None
        if not isinstance(settings, dict):
            raise ValueError(
                f"A config must be a JSON object; got {type(settings).__name__} in {path}. Fetch it again."
            )
        try:
            return cls.from_google(settings) if layout == "google" else cls.from_huggingface(settings)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def write(self, path: str | os.PathLike[str], layout: str | None = None) -> None:
        """Write the JSON file that `read` reads; an existing file is replaced in one step."""
        path = Path(path)
        layout = layout_of(path.name, layout)
        settings = self.to_google() if layout == "google" else self.to_huggingface()
        beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
        beside.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(path)


_OWN = tuple(item.name for item in fields(BertConfig) if item.name != "extra")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _own_settings(config: BertConfig, layout: str) -> dict[str, Any]:
    """Every field but `extra`, with the layout's name for the activation."""
    settings = {name: getattr(config, name) for name in _OWN}
    return settings | {"hidden_act": write_activation(config.hidden_act, layout)}


def _read_settings(settings: Mapping[str, Any], layout: str) -> BertConfig:
    """Config from a layout's JSON object."""
    check_required(settings)
    own = {name: settings[name] for name in _OWN if name in settings}
    own["hidden_act"] = read_activation(settings.get("hidden_act", "gelu"), layout)
    return BertConfig(**own, extra=tuple((key, value) for key, value in settings.items() if key not in _OWN))


# Google's sizes: tiny to medium of Turc et al. 2019 (table 1), base and large of Devlin et al. 2019 (section 3).
SIZES: Mapping[str, BertConfig] = MappingProxyType(
    {
        name: BertConfig(
            num_hidden_layers=layers, hidden_size=width, num_attention_heads=width // 64, intermediate_size=4 * width
        )
        for name, layers, width in (
            ("tiny", 2, 128),
            ("mini", 4, 256),
            ("small", 4, 512),
            ("medium", 8, 512),
            ("base", 12, 768),
            ("large", 24, 1024),
        )
    }
)
