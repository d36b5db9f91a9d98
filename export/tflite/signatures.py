"""The functions of a TFLite file: strings -> answers, strings -> ids, ids -> answers, for rows of several lengths."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.serving import ID_TENSORS
from export.tflite.conversion import traced
from export.tflite.encoder import DeviceEncoder, Precision
from export.tflite.reachable import KeptRows
from export.tflite.rows import DeviceTokenizer
from export.tflite.tasks import DeviceTask
from kbert.lora import merged_weights


def named(name: str, length: int, lengths: Sequence[int]) -> str:
    """The name of a signature: with its length where there are several.

    >>> named("serving_default", 32, [32, 128]), named("serving_default", 32, [32])
    ('serving_default_32', 'serving_default')
    """
    return name if len(lengths) == 1 else f"{name}_{length}"


def text_signatures(task: DeviceTask, tokenizer: DeviceTokenizer, lengths: Sequence[int]) -> dict[str, Any]:
    """`serving_default`, strings -> answers, and `from_ids`, ids -> answers, of each length; and `tokenize`, strings ->
    rows of the greatest length, which says how long texts are.
    """
    texts = {name: tf.TensorSpec([None], tf.string, name) for name in task.inputs}

    def rows_of(strings, length):
        return task.rows(tokenizer, [strings[name] for name in task.inputs], length)

    def tokenize(**strings):
        rows = rows_of(strings, max(lengths))
        places = {"start": rows.starts, "end": rows.ends} if task.places else {}
        return {**dict(zip(ID_TENSORS, rows[:3], strict=True)), **places}

    found = {}
    for length in lengths:

        def serve(length=length, **strings):
            rows = rows_of(strings, length)
            return task.placed(task.answer(dict(zip(ID_TENSORS, rows[:3], strict=True))), rows)

        found[named("serving_default", length, lengths)] = traced(serve, texts)
        found[named("from_ids", length, lengths)] = from_ids(task, length, None)
    return {**found, "tokenize": traced(tokenize, texts)}


def id_signatures(task: DeviceTask, lengths: Sequence[int]) -> dict[str, Any]:
    """`serving_default`, ids of one text -> answers, of each length."""
    return {named("serving_default", length, lengths): from_ids(task, length, 1) for length in lengths}


def from_ids(task: DeviceTask, length: int, texts: int | None) -> Any:
    """The three id tensors int32 [texts, length] -> answers; None stands for any number of texts."""
    specs = {name: tf.TensorSpec([texts, length], tf.int32, name) for name in ID_TENSORS}
    return traced(lambda **ids: task.answer(ids) if texts is None else in_numbers(task.answer(ids)), specs)


def in_numbers(answers: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Outputs without strings and truth values, which MediaPipe does not take: it names and chooses labels itself."""
    return {name: values for name, values in answers.items() if values.dtype not in (tf.string, tf.bool)}


@contextlib.contextmanager
def on_device(model: keras.Model, precision: Precision, positions: int, rows: KeptRows) -> Iterator[DeviceEncoder]:
    """While the block runs, graphs of the model have a `DeviceEncoder`, and its head's weights as constants."""
    arrays = {name: np.asarray(keras.ops.convert_to_tensor(weight)) for name, weight in merged_weights(model).items()}
    own = {weight.path for weight in model.encoder.weights}
    heads = [
        weight
        for weight in model.weights
        if weight.path in arrays and (weight.path not in own or "pooler/" in weight.path)
    ]
    encoder = DeviceEncoder(model.encoder.config, arrays, precision, positions, rows)
    model.encoder.encode_layers = encoder
    try:
        with keras.StatelessScope([(weight, tf.constant(arrays[weight.path])) for weight in heads]):
            yield encoder
    finally:
        del model.encoder.encode_layers
