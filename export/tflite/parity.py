"""A TFLite file == its model, on the same texts: no file is handed out that answers otherwise, or not at all.

The file is run by LiteRT as a device would run it; what it must say comes from the model itself, through Keras and the
exact tokenizer.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from export.litert_files import open_interpreter
from export.parity import TEXTS, ParityError
from export.serving import ID_TENSORS
from export.tflite.precisions import far, far_vectors
from export.tflite.rows import ExactTokenizer
from export.tflite.signatures import in_numbers
from export.tflite.tasks import DeviceTask
from pipelines import WordPiece


def check_parity(
    content: bytes,
    task: DeviceTask,
    wordpiece: WordPiece,
    signatures: Mapping[str, int],
    tolerance: float,
    seen: Sequence[Sequence[str]] = (),
) -> float:
    """Compares a file's answers with the model's on texts of several scripts and lengths, alone and together.

    Args:
        content: of the file.
        task: whose model answers as it was trained.
        wordpiece: the exact tokenizer.
        signatures: name of each that answers -> tokens of its rows.
        tolerance: see `export.tflite.precisions`.
        seen: rows of strings that a calibration saw: the tolerance is for them, and other texts need only have answers,
            since their numbers may leave the ranges.

    Returns:
        The largest difference of a number.

    Raises:
        ParityError: a difference over the tolerance, or outputs of other names, shapes or kinds; another label or place
            where the tolerance leaves no doubt about it; an answer that ends before it starts.
    """
    interpreter, exact, worst = open_interpreter(content), ExactTokenizer(wordpiece), 0.0
    if TOKENIZE in interpreter.get_signature_list():
        check_rows(interpreter.get_signature_runner(TOKENIZE), task, exact, max(signatures.values()))
    for name, length in signatures.items():
        ask = interpreter.get_signature_runner(name)
        for columns, allowed in asked_columns(len(task.inputs), tolerance, seen):
            rows = task.rows(exact, [tf.constant(column) for column in columns], length)
            ids = dict(zip(ID_TENSORS, rows[:3], strict=True))
            right = task.answer(ids)
            by_ids = "input_word_ids" in ask.get_input_details()
            if by_ids:
                one_by_one = ask.get_input_details()["input_word_ids"]["shape_signature"][0] == 1
                right = in_numbers(right) if one_by_one else right
                answers = asked_of(ask, {key: value.numpy() for key, value in ids.items()}, one_by_one)
            else:
                right = task.placed(right, rows)
                answers = ask(**{key: strings(column) for key, column in zip(task.inputs, columns, strict=True)})
            # What device and exact tokenizer part otherwise is not told by answers: `check_texts` counts it.
            same = list(range(len(columns[0]))) if by_ids else plain_rows(columns)
            worst = max(worst, compare(name, answers, right, same, allowed, task.settled(right, allowed)))
    return worst


def check_rows(tokenize, task: DeviceTask, exact: ExactTokenizer, length: int) -> None:
    """Compares what `tokenize` of a file says with the exact tokenizer's rows, on texts of plain ASCII."""
    for columns, _ in asked_columns(len(task.inputs), 0, ()):
        rows = task.rows(exact, [tf.constant(column) for column in columns], length)
        right = dict(zip((*ID_TENSORS, "start", "end"), rows if task.places else rows[:3], strict=task.places))
        said = tokenize(**{key: strings(column) for key, column in zip(task.inputs, columns, strict=True)})
        compare(TOKENIZE, said, right, plain_rows(columns), 0, {})


def plain_rows(columns: Sequence[Sequence[str]]) -> list[int]:
    """The rows whose texts are all of ASCII: what device and exact tokenizer part alike."""
    return [place for place, row in enumerate(zip(*columns, strict=True)) if all(text.isascii() for text in row)]


def asked_columns(
    inputs: int, tolerance: float, seen: Sequence[Sequence[str]]
) -> Iterator[tuple[list[list[str]], float]]:
    """Strings for each input, other ones in every column, and how far answers to them may be."""
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3]):
        columns = [[*texts[place:], *texts[:place]] for place in range(inputs)]
        yield columns, np.inf if seen else tolerance
    if seen:
        yield [list(column) for column in zip(*seen[:SEEN], strict=True)], tolerance


def asked_of(ask, tensors: Mapping[str, np.ndarray], one_by_one: bool) -> dict[str, np.ndarray]:
    """Answers to rows, where need be asked one at a time."""
    if not one_by_one:
        return ask(**tensors)
    count = len(next(iter(tensors.values())))
    answers = [ask(**{name: rows[place : place + 1] for name, rows in tensors.items()}) for place in range(count)]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def compare(
    signature: str,
    answers: Mapping[str, np.ndarray],
    right: Mapping[str, tf.Tensor],
    rows: Sequence[int],
    tolerance: float,
    settled: Mapping[str, tf.Tensor],
) -> float:
    """The largest difference of numbers in these rows; see `check_parity` and `DeviceTask.settled`."""
    if set(answers) != set(right):
        raise ParityError(
            f"A file's outputs have their names; {signature} has {', '.join(sorted(answers))} for "
            f"{', '.join(sorted(right))}. Nothing was written."
        )
    if "start" in right and (answers["start"] > answers["end"]).any():
        raise ParityError(
            f"An answer starts before it ends; {signature} has them from {answers['start'].tolist()} to "
            f"{answers['end'].tolist()}. Nothing was written. Report this."
        )
    worst = 0.0
    for name, values in right.items():
        expected, answer = values.numpy()[rows], answers[name]
        same = answer.shape == values.shape and answer.dtype.kind == expected.dtype.kind
        difference = 0.0
        if same and expected.dtype.kind == "f":
            measure = far_vectors if name == "embedding" else far
            difference = measure(answer[rows], expected)
            same = difference <= tolerance  # NaN is neither more nor less than the tolerance: it must fail too
        elif same:
            differs = answer[rows] != expected
            if tolerance >= LOOSE:
                differs &= settled[name].numpy()[rows] if name in settled else False
            same = not differs.any()
        if not same:
            raise ParityError(
                f"A TFLite file answers as its model, to {tolerance}; {name} of {signature} is {answer.tolist()} for "
                f"{values.numpy().tolist()}. Nothing was written. Check that the weights are finite; take a finer "
                "--precision; report this otherwise."
            )
        worst = max(worst, difference)
    return worst


TOKENIZE = "tokenize"
SEEN = 16  # texts of a calibration that are asked again
LOOSE = 0.05  # over it, two labels that are nearly as likely may change places


def strings(texts: Sequence[str]) -> np.ndarray:
    """Texts as LiteRT takes them: UTF-8 bytes [B]."""
    return np.array([text.encode() for text in texts], object)
