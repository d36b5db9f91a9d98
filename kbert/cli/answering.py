"""What answers texts: a RUN or a SavedModel, through the same serving function, so that both give the same digits."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pipelines.tasks.texts import PAIR_COLUMNS, TEXT_COLUMN, Texts, read_texts


@dataclass(frozen=True)
class Answerer:
    """Strings in, scores out.

    Args:
        serve: `serving_default`: string tensors [B] by name -> "scores" float [B, C] and more.
        inputs: names of its strings, one or two.
        labels: names of the C classes.
        columns: `text_column` and `pair_column` of the files that it reads.
        owner: what holds the variables of `serve`, which does not.
    """

    serve: Callable[..., dict[str, Any]]
    inputs: list[str]
    labels: list[str]
    columns: dict[str, str | None]
    owner: Any = field(repr=False)

    def answer(self, texts: Texts, batch_size: int) -> np.ndarray:
        """Scores float32 [N, C] of N texts, in their order; texts of like length are asked together.

        Raises:
            ValueError: pairs where single texts are answered, or the other way round.
        """
        columns = [texts.texts] if texts.pairs is None else [texts.texts, texts.pairs]
        if len(columns) != len(self.inputs):
            raise ValueError(f"This model answers for {' and '.join(self.inputs)}; got {len(columns)} texts a line.")
        order = np.argsort([-sum(map(len, row)) for row in zip(*columns, strict=True)], kind="stable")
        scores = np.zeros([len(texts), len(self.labels)], "float32")
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            asked = [[column[place] for place in chosen] for column in columns]
            scores[chosen] = self.ask(asked)["scores"].numpy()
        return scores

    def ask(self, columns: list[list[str]]) -> dict[str, Any]:
        """One call of `serve`."""
        import tensorflow as tf

        return self.serve(**{n: tf.constant(c, tf.string) for n, c in zip(self.inputs, columns, strict=True)})


def open_answerer(folder: Path) -> Answerer:
    """What is in a folder, ready to answer.

    Raises:
        FileNotFoundError: neither a RUN nor a SavedModel.
    """
    if (folder / "saved_model.pb").is_file():
        return open_saved_model(folder)
    if (folder / "task.json").is_file():
        return open_run(folder)
    raise FileNotFoundError(
        f"kbert predict takes a RUN (task.json) or a SavedModel (saved_model.pb); got {folder} with neither."
    )


def open_run(folder: Path) -> Answerer:
    """A RUN, served as its export would be."""
    from export.tasks.classify import TextClassification
    from kbert.cli.trained import open_trained, text_and_pair
    from pipelines import WordPiece

    model, task = open_trained(folder, "kbert predict")
    columns = text_and_pair(task)
    pair = columns["pair_column"] is not None
    serving = TextClassification(
        model.in_float32(), WordPiece.from_spec(model.tokenizer_spec), task["max_length"], pair
    )
    serve = serving.signatures()["serving_default"]
    return Answerer(serve, list(serving.text_names), list(serving.labels), columns, serving)


def open_saved_model(folder: Path) -> Answerer:
    """A SavedModel, asked as TensorFlow Serving would ask it.

    Raises:
        ValueError: it is not one that `kbert export` wrote; says what it has.
    """
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - its operations are in the graph

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures.get("serving_default")
    if serve is None:
        refuse(folder, f"signatures {', '.join(sorted(loaded.signatures)) or 'none'}")
    specs, given = serve.structured_input_signature[1], serve.structured_outputs
    strings = all(spec.dtype == tf.string and spec.shape.rank == 1 for spec in specs.values())
    if len(specs) not in (1, 2) or not strings or not {"classes", "scores"} <= set(given):
        told = ", ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in specs.items())
        refuse(folder, f"inputs {told or 'none'} and outputs {', '.join(sorted(given))}")
    inputs = sorted(specs)
    first, second = PAIR_COLUMNS if len(inputs) == 2 else (TEXT_COLUMN, None)
    answerer = Answerer(serve, inputs, [], {"text_column": first, "pair_column": second}, loaded)
    classes = answerer.ask([[""] for _ in inputs])["classes"].numpy()[0]
    return replace(answerer, labels=[label.decode() for label in classes])


def refuse(folder: Path, told: str) -> NoReturn:
    """Says what a SavedModel that can be asked has, and what this one has."""
    raise ValueError(
        "kbert predict asks a SavedModel's serving_default: one or two inputs of strings [B], outputs classes and "
        f"scores; {folder} has {told}. Write one with kbert export."
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
