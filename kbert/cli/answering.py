"""What answers texts: a RUN through `pipelines`, or a SavedModel through its own strings; both give [N, C] scores."""

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.tasks import PAIR_COLUMNS, TEXT_COLUMN, Texts, read_texts


class RunAnswerer:
    """A RUN: the pipeline that trained it, and its model."""

    def __init__(self, folder: Path, batch_size: int):
        from kbert.cli.trained import open_trained, text_and_pair

        self.model, self.task = open_trained(folder, "kbert predict")
        self.labels, self.columns, self.batch_size = list(self.model.labels), text_and_pair(self.task), batch_size

    def answer(self, texts: Texts) -> np.ndarray:
        """Scores [N, C] of N texts, in their order."""
        from kbert.evaluation import softmax
        from pipelines.batches import texts as text_batches

        batches, back = text_batches(
            texts.texts,
            self.model.tokenizer_spec,
            batch_size=self.batch_size,
            max_length=self.task["max_length"],
            pairs=texts.pairs,
        )
        return softmax(self.model.predict(batches, verbose=0)[back])


class SavedModelAnswerer:
    """A SavedModel: strings in, scores out, as TensorFlow Serving would ask it."""

    def __init__(self, folder: Path, batch_size: int):
        import tensorflow as tf
        import tensorflow_text  # noqa: F401 - its operations are in the graph

        self.loaded = tf.saved_model.load(str(folder))  # kept: the signature does not own its variables
        self.serve, self.batch_size = self.loaded.signatures["serving_default"], batch_size
        self.inputs = sorted(self.serve.structured_input_signature[1])
        pair = len(self.inputs) == 2
        self.columns = dict(zip(("text_column", "pair_column"), PAIR_COLUMNS if pair else (TEXT_COLUMN,), strict=False))
        first = self.ask([[""] for _ in self.inputs])
        self.labels = [label.decode() for label in first["classes"].numpy()[0]]

    def ask(self, columns: list) -> dict[str, Any]:
        """One call of `serving_default`."""
        import tensorflow as tf

        return self.serve(**{name: tf.constant(c, tf.string) for name, c in zip(self.inputs, columns, strict=True)})

    def answer(self, texts: Texts) -> np.ndarray:
        """Scores [N, C] of N texts, in their order; texts of like length are asked together."""
        columns = [texts.texts] if texts.pairs is None else [texts.texts, texts.pairs]
        if len(columns) != len(self.inputs):
            raise ValueError(f"This SavedModel takes {' and '.join(self.inputs)}; got {len(columns)} texts a line.")
        order = np.argsort([-sum(map(len, row)) for row in zip(*columns, strict=True)], kind="stable")
        scores = np.zeros([len(texts), len(self.labels)], "float32")
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            scores[chosen] = self.ask([[column[i] for i in chosen] for column in columns])["scores"].numpy()
        return scores


def open_answerer(folder: Path, batch_size: int) -> RunAnswerer | SavedModelAnswerer:
    """What is in a folder, ready to answer.

    Raises:
        FileNotFoundError: neither a RUN nor a SavedModel.
    """
    if (folder / "saved_model.pb").is_file():
        return SavedModelAnswerer(folder, batch_size)
    if (folder / "task.json").is_file():
        return RunAnswerer(folder, batch_size)
    raise FileNotFoundError(
        f"kbert predict takes a RUN (task.json) or a SavedModel (saved_model.pb); got {folder} with neither."
    )


def read(source, columns: dict[str, str | None]) -> Texts:
    """Texts of a file or of a stream; where pairs are asked for and lines have one column, a tab parts them.

    Raises:
        ValueError: a line without a tab; names the line.
    """
    texts = read_texts(source, **columns)
    if columns.get("pair_column") is None or texts.pairs is not None:
        return texts
    rows = [text.split("\t", 1) for text in texts.texts]
    for number, row in enumerate(rows, start=1):
        if len(row) == 1:
            raise ValueError(f"Line {number}: a pair has a tab between its two texts; got {row[0]!r}.")
    return Texts(tuple(row[0] for row in rows), tuple(row[1] for row in rows))
