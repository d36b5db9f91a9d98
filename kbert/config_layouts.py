"""What Google's `bert_config.json` and Hugging Face's `config.json` mean by their keys, as tables.

Both name a BERT's sizes alike. They differ in the activation: Google's "gelu" is the tanh form, Hugging Face's the erf
form. Keys beyond a BERT's sizes are kept, unless they ask for other mathematics: those are refused by name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FILE_NAMES: Mapping[str, str] = MappingProxyType({"google": "bert_config.json", "huggingface": "config.json"})
LAYOUTS = tuple(FILE_NAMES)
LAYER_NORM_EPSILON = 1e-12  # published BERT weights were trained with it; Keras would use 1e-3

REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)

# Names that are read. Google's code has no erf form and stops at a name that it does not know, so "gelu_erf" in its
# layout is read exactly by kbert and refused, never misread, by Google's code.
_ACTIVATIONS = MappingProxyType(
    {
        "google": {"gelu": "gelu_tanh", "relu": "relu", "gelu_erf": "gelu_erf"},
        "huggingface": {
            "gelu": "gelu_erf",
            "gelu_python": "gelu_erf",
            "gelu_new": "gelu_tanh",
            "gelu_pytorch_tanh": "gelu_tanh",
            "gelu_fast": "gelu_tanh",
            "relu": "relu",
        },
    }
)

# Keys that change the mathematics, each with the values under which it is plain BERT; any other value is refused.
_PLAIN_BERT: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "model_type": ("bert",),
        "position_embedding_type": ("absolute",),
        "is_decoder": (False, None),
        "is_encoder_decoder": (False, None),
        "add_cross_attention": (False, None),
        "pruned_heads": ({}, [], None),
        "adapters": ({}, None),
        "quantization_config": ({}, None),
        "auto_map": ({}, None),
        "rope_scaling": (None,),
        "rope_parameters": (None,),
        "directionality": ("bidi",),
        "pooler_type": ("first_token_transform",),
    }
)
_SAME_AS = MappingProxyType({"embedding_size": "hidden_size", "layer_norm_epsilon": "layer_norm_eps"})


def layout_of(name: str, layout: str | None) -> str:
    """The layout asked for, or the one that a file of this name has.

    Raises:
        ValueError: an unknown layout, or a name that tells none.

    Example:
        >>> layout_of("bert_config.json", None)
        'google'
    """
    layout = layout or {file: known for known, file in FILE_NAMES.items()}.get(name)
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)} for {name}; got {layout!r}. Pass layout=.")
    return layout


def read_activation(name: Any, layout: str) -> str:
    """kbert's name of a layout's `hidden_act`.

    Raises:
        ValueError: a function that BERT does not use.

    Example:
        >>> read_activation("gelu", "google"), read_activation("gelu", "huggingface")
        ('gelu_tanh', 'gelu_erf')
    """
    known = _ACTIVATIONS[layout]
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"hidden_act must be one of {', '.join(known)} in the {layout} layout; got {name!r}. Use other weights."
        )
    return known[name]


def write_activation(name: str, layout: str) -> str:
    """A layout's `hidden_act` for kbert's name.

    Example:
        >>> write_activation("gelu_tanh", "google"), write_activation("gelu_tanh", "huggingface")
        ('gelu', 'gelu_new')
    """
    return next(theirs for theirs, ours in _ACTIVATIONS[layout].items() if ours == name)


def check_required(settings: Mapping[str, Any]) -> None:
    """Hold a file's settings to the keys without which no BERT is fixed.

    Raises:
        ValueError: keys are missing; names them all.
    """
    missing = [name for name in REQUIRED if name not in settings]
    if missing:
        raise ValueError(f"A BERT config needs {', '.join(REQUIRED)}; got none for {', '.join(missing)}. Add them.")


def check_google_epsilon(epsilon: float) -> None:
    """Hold layer_norm_eps to the only value that Google's code, which reads no such key, ever uses.

    Raises:
        ValueError: another value.
    """
    if epsilon != LAYER_NORM_EPSILON:
        raise ValueError(
            f"layer_norm_eps is always {LAYER_NORM_EPSILON} in Google's layout; got {epsilon!r}. "
            "Use the Hugging Face layout, which has a key for it."
        )


def check_plain(extra: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Hold the keys that kbert does not use to values that leave BERT's mathematics as it is.

    Args:
        extra: these keys.
        own: the config's own fields.

    Raises:
        ValueError: names the key and its value.

    Example:
        >>> check_plain({"position_embedding_type": "relative_key"}, {})
        Traceback (most recent call last):
        ...
        ValueError: position_embedding_type must be 'absolute'; got 'relative_key', which is not BERT's mathematics. \
Use other weights.
    """
    for key, value in extra.items():
        if key in own:
            raise ValueError(f"extra holds only keys that kbert does not use; got {key!r}. Set the field instead.")
        plain = (own[_SAME_AS[key]], None) if key in _SAME_AS else _PLAIN_BERT.get(key, (value,))
        if value not in plain:
            wanted = " or ".join(repr(choice) for choice in plain if choice is not None)
            raise ValueError(
                f"{key} must be {wanted or None}; got {value!r}, which is not BERT's mathematics. Use other weights."
            )
