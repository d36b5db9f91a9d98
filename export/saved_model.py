"""A SavedModel that takes strings: tokenizer, model and labels in one folder for tensorflow + tensorflow_text."""

import json
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import keras
import tensorflow as tf

from export.parity import check_parity
from export.serving import Serving
from export.warmup import write_warmup_requests
from pipelines import WordPiece

SERVINGS = {  # task -> module and class
    "classify": ("export.tasks.classify", "TextClassification"),
    "multilabel": ("export.tasks.multilabel", "MultiLabelClassification"),
    "regress": ("export.tasks.regress", "Regression"),
    "tag": ("export.tasks.tag", "Tagging"),
    "qa": ("export.tasks.qa", "QuestionAnswering"),
    "choice": ("export.tasks.choice", "Choice"),
    "embed": ("export.tasks.embed", "Embedding"),
    "pretrain": ("export.tasks.fill_mask", "FillMask"),
}
TASK = "task.json"  # among the assets: what `kbert predict` needs to know


def saved_model(
    model: keras.Model, out: str | Path, *, max_length: int | None = None, overwrite: bool = False, **settings
) -> Path:
    """Writes a trained model as a SavedModel with its tokenizer inside.

    The folder holds the signatures `serving_default`, `tokenize` and `from_ids` (see `export.serving`), labels and
    vocabulary under `assets/`, and `assets.extra/tf_serving_warmup_requests` for TensorFlow Serving. Weights are
    float32. Before it gets its name, the folder is loaded and its answers are compared with the model's.

    Args:
        model: a `kbert.Classifier`, or another task's.
        out: folder to write; new or empty unless `overwrite`.
        max_length: most tokens of a text, special tokens included; by default all positions that the model has.
        overwrite: replaces what is in `out`.
        settings: of the task's serving, see `export.tasks`; `pair=True` for a model of pairs of texts.

    Returns:
        The folder.

    Raises:
        ValueError: `out` holds files; `max_length` is over the model's positions; the model has no tokenizer.
        ParityError: the exported answers are not the model's.
    """
    out = Path(out)
    check_free(out, overwrite)
    model = model.in_float32()
    return write(serving_of(model, max_length, **settings), model, out)


def serving_of(model: keras.Model, max_length: int | None = None, **settings) -> Serving:
    """Strings -> answers of a model in float32; `settings` are those of the task's class in `export.tasks`.

    Raises:
        ValueError: the model has no task, or `max_length` is over its positions.
    """
    if model.task not in SERVINGS:
        raise ValueError(f"A model that is served has a task, one of {', '.join(SERVINGS)}; got {model.task}.")
    spec = model.tokenizer_spec
    length = spec["max_positions"] if max_length is None else max_length
    if length > spec["max_positions"]:
        raise ValueError(f"max_length is at most {spec['max_positions']} for this model; got {length}. Lower it.")
    module, name = SERVINGS[model.task]
    kept = {"keep_special": True} if model.task == "pretrain" else {}  # a [MASK] in a text stays whole
    return getattr(import_module(module), name)(model, WordPiece.from_spec(spec, **kept), length, **settings)


def check_free(out: Path, overwrite: bool = False) -> None:
    """Raises ValueError where a folder to write is a file, or holds files and may not be replaced."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out is a new or empty folder; {out} is a file. Choose another name.")
    if out.exists() and not overwrite and any(out.iterdir()):
        raise ValueError(f"out is a new or empty folder; {out} holds files. Choose another, or pass overwrite=True.")


def write(serving: Serving, model: keras.Model, out: Path) -> Path:
    """Writes a serving as a folder, whole or not at all, in place of what is there.

    Args:
        serving: what answers.
        model: whose answers it must give.
        out: see `saved_model`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "saved_model"
        module = tf.Module()
        module.weights = serving.variables
        said = {"task": serving.task, "inputs": list(serving.inputs), "labels": serving.labels}
        about = json.dumps({**said, "max_length": serving.max_length})
        assets = {"vocab.txt": serving.wordpiece.vocabulary, TASK: [about], **serving.assets}
        module.files = [tf.saved_model.Asset(_file(scratch, name, lines)) for name, lines in assets.items()]
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), serving.signatures(), options)
        write_warmup_requests(folder, serving)
        check_parity(folder, model, serving)
        if out.exists():
            out.rename(Path(scratch) / "replaced")
        folder.rename(out)
    return out


def _file(folder: str, name: str, lines: Sequence[str]) -> str:
    path = Path(folder) / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return str(path)
