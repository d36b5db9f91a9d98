"""A preset on disk: the folder that Hugging Face's or Google's own code reads, whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kbert.config import FILE_NAMES, LAYOUTS, BertConfig
from kbert.tokenizer_settings import TOKENIZER_CONFIG, VOCABULARY, write_tokenizer
from kbert.weights.assign import check_shapes
from kbert.weights.table import shapes
from kbert.whole_files import named

# transformers' class for a task of ours; where nothing tells the task, the first whose prefixes are all there.
_OF_TASK = {
    "tag": "BertForTokenClassification",
    "choice": "BertForMultipleChoice",
}
_ARCHITECTURES = (
    ("BertForPreTraining", ("masked_tokens/", "next_sentence/")),
    ("BertForMaskedLM", ("masked_tokens/",)),
    ("BertForNextSentencePrediction", ("next_sentence/",)),
    ("BertForQuestionAnswering", ("span/",)),
    ("BertForSequenceClassification", ("classifier/",)),
)


def save_preset(
    folder: str | os.PathLike[str],
    config: BertConfig,
    arrays: Mapping[str, np.ndarray],
    tokenizer: Mapping[str, Any],
    vocabulary: str | os.PathLike[str] | None = None,
    labels: Sequence[str] | None = None,
    layout: str = "huggingface",
    overwrite: bool = False,
) -> Path:
    """Write config, weights, vocabulary and tokenizer settings as a folder in one of the two layouts.

    The files are made beside and renamed, the config last. Other files in an existing folder are left alone.

    Args:
        folder: new, or existing (a run, say) without the files that this would write.
        config: of the weights.
        arrays: kbert name -> array.
        tokenizer: {"vocabulary": path, "lowercase", "strip_accents", "split_cjk"}.
        vocabulary: path of the vocab.txt to copy byte for byte; by default the tokenizer's.
        labels: names of the classifier's classes in order; None keeps those that the config came with.
        layout: "huggingface" or "google".
        overwrite: replace the files of an earlier preset.

    Returns:
        The folder.

    Raises:
        FileExistsError: one of the files is there and `overwrite` is False, or the folder has the other layout.
        FileNotFoundError: the vocabulary is not there.
        ValueError: a layout or name that does not exist, arrays that are not the config's, labels that do not fit the
            classifier, or settings that the layout cannot say.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}; got {layout!r}. Choose one.")
    if labels is not None and "classifier/bias" in arrays and len(labels) != len(arrays["classifier/bias"]):
        size = len(arrays["classifier/bias"])
        raise ValueError(f"labels must name each of the classifier's {size} classes; got {len(labels)}. Name them all.")
    settings = _with_labels(config, labels).with_extra(
        architectures=[_architecture(config, arrays)], dtype=None, torch_dtype=None
    )
    check_shapes(shapes(config), arrays, absent=("pooler/",), source="the model to save")
    with _written_beside(folder, overwrite, layout) as unfinished:
        settings.write(unfinished / FILE_NAMES[layout], layout=layout)
        _write_weights(unfinished, arrays, config.num_hidden_layers, layout)
        (unfinished / VOCABULARY).write_bytes(_content(vocabulary or tokenizer["vocabulary"]))
        write_tokenizer(unfinished / TOKENIZER_CONFIG, tokenizer, config.max_position_embeddings)
    return folder


def save_model(folder: str | os.PathLike[str], model, *, overwrite: bool = False) -> Path:
    """Write a model as a preset in Hugging Face's layout: its weights, and what it says of its task.

    Args:
        folder: see `save_preset`.
        model: a `kbert.text_model.TextModel` with a tokenizer.
        overwrite: replace the files of an earlier preset.
    """
    from kbert.lora import merged_weights

    arrays = {name: np.asarray(weight) for name, weight in merged_weights(model).items()}
    saved = save_preset(folder, model.preset_config(), arrays, model.tokenizer, overwrite=overwrite)
    model.write_beside(saved)
    return saved


def _write_weights(folder: Path, arrays: Mapping[str, np.ndarray], num_layers: int, layout: str) -> None:
    if layout == "google":
        from kbert.weights import google

        google.write(folder / google.CHECKPOINT, arrays, num_layers)
    else:
        from kbert.weights import huggingface

        huggingface.write(folder / huggingface.WEIGHTS, arrays, num_layers)


def _architecture(config: BertConfig, arrays: Mapping[str, np.ndarray]) -> str:
    task = (config.extras().get("kbert") or {}).get("task")
    if task in _OF_TASK:
        return _OF_TASK[task]
    for name, prefixes in _ARCHITECTURES:
        if all(any(key.startswith(prefix) for key in arrays) for prefix in prefixes):
            return name
    return "BertModel"


def _with_labels(config: BertConfig, labels: Sequence[str] | None) -> BertConfig:
    if labels is None:
        return config
    numbered = {str(index): str(label) for index, label in enumerate(labels)}
    if len(set(numbered.values())) < len(numbered):
        raise ValueError(f"labels must differ from each other; got {list(labels)}. Rename one.")
    return config.with_extra(id2label=numbered, label2id={label: int(index) for index, label in numbered.items()})


def _content(path: str | os.PathLike[str]) -> bytes:
    if not Path(path).is_file():
        raise FileNotFoundError(f"A preset needs its vocab.txt; got {path}, which is not there. Check the path.")
    return Path(path).read_bytes()


@contextlib.contextmanager
def _written_beside(folder: Path, overwrite: bool, layout: str) -> Iterator[Path]:
    """A folder to fill, of which every file moves to `folder` once all are whole; configs last."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"A preset must be a folder; got {folder}, which is a file. Name another.")
    for other in LAYOUTS:
        if other != layout and (folder / FILE_NAMES[other]).exists():
            raise FileExistsError(
                f"A folder must have one layout; got {folder}, which has {FILE_NAMES[other]} of the {other} layout. "
                "Name another folder."
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    within = folder.is_dir()  # then on its own file system, and a run knows what a killed process left there
    unfinished = Path(tempfile.mkdtemp(prefix=".preset.", dir=folder if within else folder.parent))
    try:
        with named(folder):
            yield unfinished
        made = sorted(unfinished.iterdir(), key=lambda path: path.name in FILE_NAMES.values())
        for path in made:
            path.chmod(0o666 & ~_umask())  # safetensors keeps others out
        there = [path.name for path in made if (folder / path.name).exists()]
        if there and not overwrite:
            raise FileExistsError(
                f"A preset must not replace another unasked; got {folder}, which has {', '.join(there)}. "
                "Name another folder, or allow it with overwrite=True."
            )
        if folder.exists():
            for path in made:
                path.replace(folder / path.name)
        else:
            unfinished.chmod(0o777 & ~_umask())  # mkdtemp keeps others out
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
