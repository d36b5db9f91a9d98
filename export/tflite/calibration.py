"""Examples for a calibration: what the signatures of a file are asked with texts like those that will come."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from export.serving import ID_TENSORS
from export.tflite.parity import strings
from export.tflite.precisions import Examples
from export.tflite.rows import ExactTokenizer
from export.tflite.tasks import DeviceTask
from pipelines import WordPiece

MOST = 256  # examples; ranges change little with more


def rows_of(texts: Sequence[str] | Sequence[Sequence[str]], task: DeviceTask) -> list[list[str]]:
    """The first examples, a string for each input; ValueError where one has more or fewer."""
    rows = [[text] if isinstance(text, str) else list(text) for text in texts[:MOST]]
    if any(len(row) != len(task.inputs) for row in rows):
        raise ValueError(
            f"calibration holds {' and '.join(task.inputs)} of each example; got {len(rows[0])} text(s) in a row."
        )
    return rows


def examples_of(
    task: DeviceTask,
    wordpiece: WordPiece,
    texts: Sequence[str] | Sequence[Sequence[str]],
    signatures: Mapping[str, Any],
) -> Examples:
    """Signatures of a file and what they are asked, one text at a time, as TFLite's converter takes them.

    Args:
        task: of the file.
        wordpiece: for signatures that take ids.
        texts: of one input, or rows of all.
        signatures: by name.
    """
    rows = rows_of(texts, task)
    exact = ExactTokenizer(wordpiece)

    def examples() -> Iterator:
        for row in rows:
            for name, function in signatures.items():
                specs = function.structured_input_signature[1]
                if set(specs) == set(task.inputs):
                    yield name, {key: strings([text]) for key, text in zip(task.inputs, row, strict=True)}
                else:
                    length = specs["input_word_ids"].shape[1]
                    ids = task.rows(exact, [tf.constant([text]) for text in row], length)[:3]
                    yield name, {key: value.numpy() for key, value in zip(ID_TENSORS, ids, strict=True)}

    return examples
