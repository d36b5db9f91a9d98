"""A SavedModel that takes strings: tokenizer, model and labels in one folder for tensorflow + tensorflow_text."""

import json
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import keras
import tensorflow as tf

from export import tf_serving
from export.model_card import Card, write_card
from export.parity import check_parity
from export.serving import Serving
from export.tf_serving_batching import batched
from export.warmup import write_warmup_requests
from export.weight_only import fingerprint, in_int8, rounded
from export.whole_folders import beside, check_free
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
PRECISIONS = ("float32", "int8")
TASK = "task.json"  # among the assets: what `kbert predict` needs to know


def saved_model(
    model: keras.Model,
    out: str | Path,
    *,
    max_length: int | None = None,
    overwrite: bool = False,
    precision: str = "float32",
    signature_batching: bool = False,
    card: Card | None = None,
    **settings,
) -> Path:
    """Writes a trained model as a SavedModel with its tokenizer inside.

    The folder holds the signatures `serving_default`, `tokenize` and `from_ids` (see `export.serving`), labels and
    vocabulary under `assets/`, `assets.extra/tf_serving_warmup_requests` for TensorFlow Serving, and README.md. It
    computes in float32. Before it gets its name, it is loaded and its answers are compared with the model's. Where the
    name is a number, a version, models.config and batching.config are put beside it (`export.tf_serving`).

    Args:
        model: a `kbert.Classifier`, or another task's.
        out: folder to write; new or empty unless `overwrite`.
        max_length: most tokens of a text, special tokens included; by default all positions that the model has.
        overwrite: replaces what is in `out`.
        precision: "float32", or "int8" for a quarter of the size: see `export.weight_only`.
        signature_batching: put requests together inside the graph, see `export.tf_serving_batching`.
        card: what README.md says beside what the model knows of itself.
        settings: of the task's serving, see `export.tasks`; `pair=True` for a model of pairs of texts.

    Returns:
        The folder.

    Raises:
        ValueError: `out` holds files; `max_length` is over the model's positions; the model has no tokenizer; another
            precision; a task whose requests cannot be put together.
        ParityError: the exported answers are not the model's.
    """
    out = Path(out)
    check_free(out, overwrite)
    if precision not in PRECISIONS:
        raise ValueError(f"A SavedModel's precision is {' or '.join(PRECISIONS)}; got {precision!r}.")
    model = model.in_float32() if precision == "float32" else rounded(model)
    serving = serving_of(model, max_length, **settings)
    resources = in_int8(serving, model) if precision == "int8" else ()
    signatures = serving.signatures()
    if signature_batching:
        signatures["serving_default"] = batched(serving, f"kbert_{fingerprint(model)}")
    with beside(out) as folder:
        save(folder, serving, signatures, resources)
        check_parity(folder, model, serving)
        sizes = {"longest row of a text": f"{serving.max_length} tokens", "precision of the files": precision}
        write_card(folder, model, card, tf_serving.calls(out, serving.inputs), sizes=sizes)
    if tf_serving.is_version(out):
        tf_serving.write_configs(out.parent)
    return out


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


def save(folder: Path, serving: Serving, signatures: dict, resources: Sequence = ()) -> None:
    """Writes a SavedModel's files.

    Args:
        folder: to fill.
        serving: what answers, with its variables and assets.
        signatures: its functions by name.
        resources: what else the functions read.
    """
    module = tf.Module()
    module.weights, module.resources = serving.variables, list(resources)
    said = {"task": serving.task, "inputs": list(serving.inputs), "labels": serving.labels}
    about = json.dumps({**said, "max_length": serving.max_length})
    assets = {"vocab.txt": serving.wordpiece.vocabulary, TASK: [about], **serving.assets}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        module.files = [tf.saved_model.Asset(_file(scratch, name, lines)) for name, lines in assets.items()]
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), signatures, options)
    write_warmup_requests(folder, serving)


def _file(folder: str, name: str, lines: Sequence[str]) -> str:
    path = Path(folder) / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return str(path)
