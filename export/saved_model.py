"""A SavedModel that takes strings: tokenizer, model and labels in one folder for tensorflow + tensorflow_text."""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from export.parity import check_parity
from export.tasks.classify import TextClassification
from export.warmup import write_warmup_requests
from pipelines import WordPiece


def saved_model(
    model: keras.Model, out: str | Path, *, max_length: int | None = None, pair: bool = False, overwrite: bool = False
) -> Path:
    """Writes a trained model as a SavedModel with its tokenizer inside.

    The folder holds the signatures `serving_default`, `tokenize` and `from_ids` (see `export.tasks`), labels and
    vocabulary under `assets/`, and `assets.extra/tf_serving_warmup_requests` for TensorFlow Serving. Weights are
    float32. Before it gets its name, the folder is loaded and its answers are compared with the model's.

    Args:
        model: a `kbert.Classifier`.
        out: folder to write; new or empty unless `overwrite`.
        max_length: most tokens of a text, special tokens included; by default all positions that the model has.
        pair: the model answers for pairs of texts.
        overwrite: replaces what is in `out`.

    Returns:
        The folder.

    Raises:
        ValueError: `out` holds files; `max_length` is over the model's positions; the model has no tokenizer.
        ParityError: the exported answers are not the model's.
    """
    out, spec = Path(out), model.tokenizer_spec
    length = spec["max_positions"] if max_length is None else max_length
    if length > spec["max_positions"]:
        raise ValueError(f"max_length is at most {spec['max_positions']} for this model; got {length}. Lower it.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out is a new or empty folder; {out} is a file. Choose another name.")
    if out.exists() and not overwrite and any(out.iterdir()):
        raise ValueError(f"out is a new or empty folder; {out} holds files. Choose another, or pass overwrite=True.")
    model = model.in_float32()
    serving = TextClassification(model, WordPiece.from_spec(spec), length, pair)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "saved_model"
        module = tf.Module()
        module.weights = serving.variables
        module.vocabulary = tf.saved_model.Asset(_asset(scratch, "vocab.txt", serving.wordpiece.vocabulary))
        module.labels = tf.saved_model.Asset(_asset(scratch, "labels.txt", serving.labels))
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), serving.signatures(), options)
        write_warmup_requests(folder, serving.text_names)
        check_parity(folder, model, serving)
        if out.exists():
            out.rename(Path(scratch) / "replaced")
        folder.rename(out)
    return out


def _asset(folder: str, name: str, lines: tuple[str, ...]) -> str:
    path = Path(folder) / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return str(path)
