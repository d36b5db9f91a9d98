"""TFLite files on servers and desktops: strings -> answers through LiteRT, in a process without Keras.

B texts, T tokens of a row.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export.litert_answers import READERS
from export.litert_files import open_interpreter, read_about, read_file

ID_TENSORS = ("input_word_ids", "input_mask", "input_type_ids")


class LitertRunner:
    """Answers of a TFLite file that `kbert export` wrote: those of the SavedModel of the same model, by the same names.

    A batch is asked at the shortest length that its longest text fits; texts of like length share a batch. Answers do
    not hang on the batch. One object is for one thread at a time.

    Args:
        path: of the file.
        threads: of the interpreter; None leaves it to LiteRT.
        batch_size: texts at once.

    Attributes:
        task, labels, inputs, max_length: as the file says.

    Example:
        runner = export.litert_runner("film.tflite", threads=2)
        runner(["what a film", "a bore"])["label"]

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that another tool wrote.
    """

    def __init__(self, path: str | Path, threads: int | None = None, batch_size: int = 32):
        if batch_size < 1 or (threads is not None and threads < 1):
            raise ValueError(f"threads and batch_size are 1 at least; got {threads} and {batch_size}.")
        self.about = read_about(path)
        self.task, self.labels, self.inputs = (self.about[name] for name in ("task", "labels", "inputs"))
        self.lengths, self.max_length = sorted(self.about["lengths"]), max(self.about["lengths"])
        self.batch_size = batch_size
        self._read = READERS[self.task]
        interpreter = open_interpreter(path, threads)
        several, takes_text = len(self.lengths) > 1, self.about["input"] == "text"
        name = "from_ids" if takes_text else "serving_default"
        self._answer = {
            length: interpreter.get_signature_runner(f"{name}_{length}" if several else name) for length in self.lengths
        }
        if takes_text:
            self._tokenize = interpreter.get_signature_runner("tokenize")
        else:
            from export.litert_rows import exact_tokenizer  # it needs TensorFlow

            self._tokenize = exact_tokenizer(read_file(path, "vocab.txt").removesuffix("\n").split("\n"), self.about)
        self._at_once = None if takes_text else 1  # MediaPipe's files have rows of one text

    def __call__(self, *columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Answers to any number of texts: a list of strings for each of `inputs` -> arrays [texts, ...] by name.

        Raises:
            ValueError: another number of lists, or lists of other lengths.
        """
        if len(columns) != len(self.inputs) or len({len(column) for column in columns}) > 1:
            given = ", ".join(str(len(column)) for column in columns)
            raise ValueError(
                f"This file takes {' and '.join(self.inputs)}, lists of equal length; got {given} strings."
            )
        order = np.argsort([-sum(map(len, row)) for row in zip(*columns, strict=True)], kind="stable")
        parts = [
            self.serve([[column[place] for place in order[start : start + self.batch_size]] for column in columns])
            for start in range(0, max(len(order), 1), self.batch_size)
        ]
        back = np.argsort(order, kind="stable")
        return {name: joined([part[name] for part in parts])[back] for name in parts[0]}

    def serve(self, columns: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """Answers to one batch: a list of strings for each of `inputs` -> arrays [B, ...] by name."""
        if not len(columns[0]):
            one = self.serve([[""] for _ in columns])
            return {name: values[:0] for name, values in one.items()}
        texts = {
            name: np.array([text.encode("utf-8", "replace") for text in column], object)
            for name, column in zip(self.inputs, columns, strict=True)
        }
        rows = self._tokenize(**texts)
        longest = int(rows["input_mask"].sum(1).max())
        length = next(length for length in self.lengths if length >= longest)
        ids = {name: np.ascontiguousarray(rows[name][:, :length]) for name in ID_TENSORS}
        said = asked(self._answer[length], ids, self._at_once)
        return self._read(said, rows, list(texts.values()), self.about)


def litert_runner(path: str | Path, threads: int | None = None, batch_size: int = 32) -> LitertRunner:
    """See `LitertRunner`."""
    return LitertRunner(path, threads, batch_size)


def asked(answer, ids: Mapping[str, np.ndarray], at_once: int | None) -> dict[str, np.ndarray]:
    """Answers of a signature to rows [B, T], so many at once."""
    count = len(ids["input_word_ids"])
    step = at_once or count
    parts = [
        answer(**{name: rows[start : start + step] for name, rows in ids.items()}) for start in range(0, count, step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of batches [B, ...] as one; where they differ in width, padded with "" or -1."""
    if parts[0].ndim < 2 or len({part.shape[1] for part in parts}) == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            np.pad(part, [(0, 0), (0, width - part.shape[1])], constant_values=b"" if part.dtype == object else -1)
            for part in parts
        ]
    )
