"""A trained model -> one TFLite file, whole or not at all, that answers as the model does."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from export.litert_files import ABOUT, with_files
from export.tflite import metadata
from export.tflite.calibration import examples_of, rows_of
from export.tflite.conversion import convert
from export.tflite.parity import check_parity
from export.tflite.precisions import PRECISIONS, Numbers
from export.tflite.reachable import KeptRows, reachable
from export.tflite.rows import DeviceTokenizer, ExactTokenizer
from export.tflite.sharing import share
from export.tflite.signatures import id_signatures, named, on_device, text_signatures
from export.tflite.tasks import TASKS, DeviceTask
from kbert.whole_files import beside
from pipelines import WordPiece
from pipelines.packing import PAIR_SPECIALS


def tflite(
    model: keras.Model,
    out: str | Path,
    *,
    lengths: Sequence[int] | None = None,
    precision: Literal["float32", "float16", "int8", "int8-full"] = "float32",
    input: Literal["text", "ids"] = "text",
    calibration: Sequence[str] | None = None,
    overwrite: bool = False,
    **settings,
) -> Path:
    """Writes a trained model as one TFLite file.

    With text in, the file has for each length T the signatures `serving_default` (strings [B] -> answers) and
    `from_ids` (int32 [B, T] -> answers), whose names end in `_T` where there are several lengths; and `tokenize`
    (strings -> rows of the greatest length). They share the weights. Answers are those of `export.tflite.tasks`. Its
    operations are TFLite's own and two of TensorFlow Text.

    With ids in, it has `serving_default` (int32 [1, T] -> answers), with the metadata of MediaPipe and TFLite Support.

    What the file says of itself, `task.json` and `labels.txt`, is packed in it, and `vocab.txt` where it takes ids;
    `export.litert_runner` and `kbert predict` read it there. Before it gets its name it is run, and its answers are
    compared with the model's.

    Args:
        model: a `kbert.Classifier`, `MultiLabelClassifier`, `Regressor`, `Embedder`, `Tagger` or `SpanReader`.
        out: file to write; new unless `overwrite`.
        lengths: tokens of a row, special tokens included; by default all positions that the model has. Longer texts are
            cut.
        precision: of weights and computation, see `export.tflite.precisions`.
        input: "text", or "ids" for what tokenizes by itself.
        calibration: for "int8-full": texts, or rows of the task's strings, like those that will be asked.
        overwrite: replaces the file.
        settings: of the task's serving, as for `export.saved_model`; those of windows are not for devices.

    Returns:
        The file.

    Raises:
        ValueError: an argument does not fit the model, or the task has no such form.
        FileExistsError: `out` is there.
        ConversionError: the model needs operations that devices have not.
        ParityError: the file's answers are not the model's.
    """
    out = Path(out)
    check_free(out, overwrite)
    numbers = of_precision(precision, calibration)
    model = model.in_float32()
    if model.task not in TASKS:
        raise ValueError(
            f"A TFLite file answers for {', '.join(TASKS)}; got a model of {model.task}. Export it as a SavedModel."
        )
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    lengths = check_lengths(lengths, model.tokenizer_spec["max_positions"], input)
    task = TASKS[model.task](model, wordpiece, **settings)
    content = checked_content(task, wordpiece, lengths, numbers, input, calibration)
    files = packed_files(task, wordpiece, {"lengths": lengths, "precision": precision, "input": input})
    with beside(out) as unfinished:
        unfinished.write_bytes(with_files(content, files))
    return out


def checked_content(
    task: DeviceTask,
    wordpiece: WordPiece,
    lengths: Sequence[int],
    numbers: Numbers,
    input: str,
    calibration: Sequence[str] | None,
) -> bytes:
    """The bytes of a TFLite file that answers as its model; the arguments are those of `tflite`."""
    tokenizer = DeviceTokenizer(wordpiece) if input == "text" else None
    with on_device(task.model, numbers.encoder, max(lengths), rows_for(tokenizer, wordpiece)) as encoder:
        if tokenizer is not None:
            signatures = text_signatures(task, tokenizer, lengths)
        else:
            signatures = id_signatures(task, lengths)
    examples = examples_of(task, wordpiece, calibration, signatures) if numbers.calibrated else None
    content = convert(signatures, encoder, lambda converter: numbers.settle(converter, examples))
    content = share(metadata.described(content, task) if input == "ids" else content)
    answering = {
        named(name, length, lengths): length
        for name in ("serving_default", "from_ids")
        for length in lengths
        if named(name, length, lengths) in signatures
    }
    seen = rows_of(calibration, task) if numbers.calibrated else ()
    check_parity(content, task, wordpiece, answering, numbers.tolerance, seen)
    return content


def rows_for(tokenizer: DeviceTokenizer | None, wordpiece: WordPiece) -> KeptRows:
    """The rows of the token table that a file has: all where it takes ids, else those of what texts become."""
    found = np.ones(len(wordpiece.vocabulary), bool)
    if tokenizer is not None:
        found = reachable(wordpiece, [tokenizer, ExactTokenizer(wordpiece)])
    return KeptRows(found, wordpiece.unk_id)


def check_free(out: Path, overwrite: bool) -> None:
    """Raises FileExistsError where a file to write is there and may not be replaced, or is a folder."""
    if out.is_dir() or (out.exists() and not overwrite):
        kind = "a folder" if out.is_dir() else "there"
        raise FileExistsError(f"out is a new file; {out} is {kind}. Choose another name, or pass overwrite=True.")


def of_precision(precision: str, calibration: Sequence[str] | None) -> Numbers:
    """What a name of a precision means; ValueError for another one, and where texts are missing or not needed."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}; got {precision!r}.")
    numbers = PRECISIONS[precision]
    if numbers.calibrated and not calibration:
        raise ValueError(
            f"precision {precision} needs texts like those that will be asked, to see in which ranges numbers lie; got "
            "none. Give calibration (--calibration FILE), or take int8."
        )
    if calibration and not numbers.calibrated:
        raise ValueError(f"calibration is for precision int8-full; got it with {precision}. Leave it out.")
    return numbers


def check_lengths(lengths: Sequence[int] | None, positions: int, input: str) -> list[int]:
    """The lengths in ascending order; ValueError where one is not for this model."""
    found = sorted(set(lengths or [positions]))
    if found[0] <= PAIR_SPECIALS + 1 or found[-1] > positions:
        raise ValueError(
            f"A length is a number of tokens from {PAIR_SPECIALS + 2} to {positions} for this model; got "
            f"{', '.join(map(str, found))}."
        )
    if input not in ("text", "ids"):
        raise ValueError(f"input is text or ids; got {input!r}.")
    if input == "ids" and len(found) > 1:
        raise ValueError(f"A file that takes ids has one length; got {', '.join(map(str, found))}. Write one for each.")
    return found


def packed_files(task: DeviceTask, wordpiece: WordPiece, said: dict[str, Any]) -> dict[str, str]:
    """The texts that are packed in the file, by name."""
    model = task.model
    rules = {name: getattr(wordpiece, name) for name in ("lowercase", "strip_accents", "split_cjk")}
    about = {
        "task": model.task,
        "inputs": list(task.inputs),
        "labels": list(model.labels or ()),
        "max_length": max(said["lengths"]),
        **said,
        **rules,
        **task.facts,
    }
    lists = {"labels.txt": model.labels} if model.labels else {}
    if said["input"] == "ids":
        lists["vocab.txt"] = wordpiece.vocabulary  # else the tokenizer in the file has it
    return {ABOUT: json.dumps(about), **{name: "".join(f"{one}\n" for one in lines) for name, lines in lists.items()}}
