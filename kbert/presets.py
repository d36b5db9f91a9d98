"""Presets: a name, a folder or a hub's address -> config, weights, vocabulary.

All that is opened is JSON, plain text, safetensors, HDF5 or a TensorFlow checkpoint: no pickle, and no code of a
preset runs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kbert import hubs
from kbert.config import FILE_NAMES, SIZES, BertConfig
from kbert.saving import save_preset
from kbert.tokenizer_settings import VOCABULARY, count_entries, read_tokenizer
from kbert.weights.assign import assign

__all__ = ["Preset", "assign", "open_preset", "save_preset"]

MINILM = "minilm-l6"
_TASK = "task.json"


@dataclass(frozen=True)
class Preset:
    """An opened preset; its weights are read when asked for.

    Attributes:
        source: what was given, for messages.
        config: sizes, rates and activation.
        tokenizer: {"vocabulary": path, "lowercase": bool, "strip_accents": bool or None, "split_cjk": bool}.
        labels: names of the classes in order; None where it has none.
        task: what a kbert model was trained for ("classify", ...); None elsewhere.
        settings: arguments of that task's model, e.g. {"crf": True}.
        layout: "huggingface", "google", "keras_hub", or None for random weights.
        folder: where the files are; None for random weights.
    """

    source: str
    config: BertConfig
    tokenizer: dict[str, Any]
    labels: tuple[str, ...] | None = None
    task: str | None = None
    layout: str | None = None
    folder: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def read_weights(self) -> dict[str, np.ndarray] | None:
        """kbert name -> float32 array; under the file's own names what kbert does not know; None for random weights.

        Raises:
            FileNotFoundError, ValueError: files that are missing, not whole, or not what the layout says.
        """
        layers = self.config.num_hidden_layers
        if self.layout == "huggingface":
            from kbert.weights import huggingface

            return huggingface.read(self.folder, layers).arrays
        if self.layout == "google":
            from kbert.weights import google

            return google.read(_checkpoint(self.folder), layers).arrays
        if self.layout == "keras_hub":
            from kbert.weights import keras_hub

            return keras_hub.read(keras_hub.backbone(self.folder, self.config)).arrays
        return None


def open_preset(
    name: str | os.PathLike[str], vocabulary: str | os.PathLike[str] | None = None, lowercase: bool | None = None
) -> Preset:
    """Open a preset without reading its weights.

    Args:
        name: a folder in Hugging Face's or Google's layout or of a kbert run; "minilm-l6"; "hf://org/name[@revision]";
            "kaggle://owner/model/framework/variation"; or a size ("tiny" ... "large") for random weights. A folder that
            is called like a size is given as "./tiny".
        vocabulary: a vocab.txt to use in place of the preset's; a size needs one.
        lowercase: whether text is lower-cased; by default as the preset says.

    Raises:
        FileNotFoundError: nothing of that name, or a file that is missing.
        ValueError: a config that is not BERT's, a vocabulary larger than the model, or lower-casing that nothing tells.
        kbert.hubs.HubError: a hub that cannot be reached.
    """
    given = os.fspath(name)
    if given in SIZES:
        return _random(given, vocabulary, lowercase)
    if given == MINILM:
        return _open_folder(hubs.minilm(), given, vocabulary, lowercase)
    if given.startswith("hf://"):
        return _open_folder(hubs.hugging_face(given), given, vocabulary, lowercase)
    if given.startswith("kaggle://"):
        return _open_folder(hubs.kaggle(given), given, vocabulary, lowercase)
    if Path(given).is_dir():
        return _open_folder(Path(given), str(Path(given).resolve()), vocabulary, lowercase)
    raise FileNotFoundError(
        f"A preset must be a folder with {' or '.join(FILE_NAMES.values())}, {MINILM}, hf://org/name, "
        f"kaggle://owner/model/framework/variation, or a size ({', '.join(SIZES)}); got {given!r}. "
        "Check the spelling, or the folder you are in."
    )


def _random(size: str, vocabulary: str | os.PathLike[str] | None, lowercase: bool | None) -> Preset:
    """Sizes with a vocabulary of one's own, which tells how many rows the embedding has."""
    if vocabulary is None:
        raise ValueError(
            f"A size has random weights and needs a vocabulary; got {size!r} alone. Give vocabulary=vocab.txt."
        )
    path = Path(vocabulary)
    config = replace(SIZES[size], vocab_size=count_entries(path))
    return Preset(size, config, read_tokenizer(path.parent, path, lowercase, path.resolve().parent.name))


def _open_folder(
    folder: Path, source: str, vocabulary: str | os.PathLike[str] | None, lowercase: bool | None
) -> Preset:
    layout = _layout(folder)
    if layout == "keras_hub":
        from kbert.weights import keras_hub

        config, own = keras_hub.config(_json(folder / "config.json")), folder / keras_hub.VOCABULARY
        lowercase = keras_hub.lowercase(folder) if lowercase is None else lowercase
    else:
        config, own = BertConfig.read(folder / FILE_NAMES[layout], layout=layout), folder / VOCABULARY
    path = own if vocabulary is None else Path(vocabulary)
    entries = count_entries(path)
    if entries > config.vocab_size:
        raise ValueError(
            f"A vocabulary must have at most the model's {config.vocab_size} entries; got {entries} in {path}. "
            "Give the vocabulary that the weights were trained with."
        )
    run = _json(folder / _TASK) if (folder / _TASK).is_file() else {}
    tokenizer = read_tokenizer(folder, path, lowercase, _model_name(source))
    labels = _labels(config) or (tuple(run["labels"]) if run.get("labels") else None)
    said = dict(config.extras().get("kbert") or {})
    task = said.pop("task", None) or run.get("task")
    return Preset(source, config, tokenizer, labels, task, layout, folder, said)


def _model_name(source: str) -> str:
    """The part of a path or an address that names the model.

    Example:
        >>> _model_name("kaggle://google/bert/tensorFlow1/uncased/3"), _model_name("hf://org/bert-base-cased@v1.0")
        ('uncased', 'bert-base-cased')
    """
    address = source.split("@")[0] if source.startswith("hf://") else source
    parts = [part for part in address.split("/") if part and not part.isdigit()]
    return parts[-1] if parts else ""


def _layout(folder: Path) -> str:
    """The layout of a folder, told from its files."""
    google, hugging_face = (folder / FILE_NAMES[layout] for layout in ("google", "huggingface"))
    if google.is_file() and (not hugging_face.is_file() or any(folder.glob("*.index"))):
        return "google"
    if hugging_face.is_file():
        return "keras_hub" if _json(hugging_face).get("class_name") == "BertBackbone" else "huggingface"
    if (folder / _TASK).is_file():
        raise FileNotFoundError(f"A run must be finished before it is used; got {folder}. Train on with --resume.")
    raise FileNotFoundError(
        f"A preset's folder must have {' or '.join(FILE_NAMES.values())}; got {folder} with neither. Check the path."
    )


def _checkpoint(folder: Path) -> Path:
    """Prefix of the one TensorFlow checkpoint in a folder; bert_model.ckpt where there are several."""
    from kbert.weights.google import CHECKPOINT

    found = sorted(folder.glob("*.index"))
    if len(found) == 1:
        return found[0].with_suffix("")
    if len(found) > 1 and folder / f"{CHECKPOINT}.index" not in found:
        names = ", ".join(path.name for path in found)
        raise ValueError(
            f"A folder must have one checkpoint, or {CHECKPOINT}; got {names} in {folder}. Move the others."
        )
    return folder / CHECKPOINT


def _labels(config: BertConfig) -> tuple[str, ...] | None:
    """Names of the classes from id2label; None where they are transformers' placeholders."""
    named = config.extras().get("id2label")
    if not named:
        return None
    try:
        labels = tuple(str(named[key]) for key in sorted(named, key=int))
        numbers = sorted(int(key) for key in named)
    except (TypeError, ValueError, KeyError):
        labels, numbers = (), None
    if numbers != list(range(len(labels))):
        raise ValueError(f'id2label must number its labels "0", "1", ...; got {named!r}. Correct it in the config.')
    return None if all(label == f"LABEL_{index}" for index, label in enumerate(labels)) else labels


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON in UTF-8; got {error}. Fetch it again.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object; got {type(content).__name__}. Fetch it again.")
    return content
