"""What answers texts: a RUN, a SavedModel or a TFLite file; the first two by one function, to the same digits."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from kbert.cli.task import Columns, Task
from kbert.cli.tasks import named
from pipelines.tasks.texts import Texts, read_texts

LENGTHS = (16, 32, 64, 128, 256)  # of rows that LiteRT runs, up to the longest


@dataclass(frozen=True)
class Answerer:
    """Strings in, answers out.

    Args:
        task: of what answers.
        serve: a list of B strings for each of `inputs` -> arrays [B, ...] by name.
        inputs: names of its strings.
        labels: names of the classes, where it has such.
    """

    task: Task
    serve: Callable[[Sequence[Sequence]], dict[str, np.ndarray]] = field(repr=False)
    inputs: tuple[str, ...]
    labels: tuple[str, ...]

    def answers(
        self, strings: Mapping[str, Sequence], batch_size: int, at_once: int, advance: Callable[[int], None]
    ) -> Iterator[dict[str, np.ndarray]]:
        """A question's row of each output, in the order of the questions; texts of like length are asked together.

        Args:
            strings: name of an input -> a string a question, or a list of strings.
            batch_size: questions of a call.
            at_once: questions that are sorted by length together.
            advance: told how many were answered.

        Raises:
            ValueError: pairs where single texts are answered, or the other way round.
        """
        if set(strings) != set(self.inputs):
            raise ValueError(f"This model answers for {' and '.join(self.inputs)}; got {' and '.join(strings)}.")
        columns = [strings[name] for name in self.inputs]
        for start in range(0, len(columns[0]), at_once):
            part = [column[start : start + at_once] for column in columns]
            yield from self._answered(part, batch_size)
            advance(len(part[0]))

    def _answered(self, columns: list[Sequence], batch_size: int) -> list[dict[str, np.ndarray]]:
        lengths = [
            sum(len(value) if isinstance(value, str) else sum(map(len, value)) for value in row)
            for row in zip(*columns, strict=True)
        ]
        order = np.argsort([-length for length in lengths], kind="stable")
        found: list[dict[str, np.ndarray]] = [{}] * len(order)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            rows = self.serve([[column[place] for place in chosen] for column in columns])
            for row, place in enumerate(chosen):
                found[place] = {name: value[row] for name, value in rows.items()}
        return found


def open_answerer(source: Path, engine: str | None = None, threads: int | None = None) -> Answerer:
    """What is in a folder or a file, ready to answer.

    Args:
        source: a RUN, a SavedModel, a folder of versions of one, of which the last is asked, or a TFLite file.
        engine: "tensorflow" or "litert", of a RUN; None for that of the file.
        threads: of LiteRT.

    Raises:
        FileNotFoundError: none of them.
        ValueError: an engine that does not run it.
    """
    if source.is_file():
        if engine == "tensorflow":
            raise ValueError(f"TensorFlow runs a RUN or a SavedModel; {source} is a file. Leave out --engine.")
        return open_tflite(source, threads)
    source = last_version(source)
    if (source / "saved_model.pb").is_file():
        if engine == "litert":
            raise ValueError(f"LiteRT runs a RUN or a TFLite file; {source} is a SavedModel. Give it the RUN.")
        return open_saved_model(source)
    if (source / "task.json").is_file():
        return open_converted(source, threads) if engine == "litert" else open_run(source)
    raise FileNotFoundError(
        "kbert predict takes a RUN (task.json) or a SavedModel (saved_model.pb), or a TFLite file; "
        f"got {source} with neither."
    )


def last_version(folder: Path) -> Path:
    """The last of the versions that a folder of TensorFlow Serving holds; where it holds none, the folder itself.

    >>> last_version(Path("no/such/folder")).as_posix()
    'no/such/folder'
    """
    versions = [path.parent for path in folder.glob("*/saved_model.pb") if path.parent.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name), default=folder)


def open_tflite(file: Path, threads: int | None = None) -> Answerer:
    """A TFLite file, run by LiteRT; no Keras is needed."""
    from export.litert import litert_runner

    runner = litert_runner(file, threads)
    task = named(runner.task, str(file)).of_run(runner.about)
    return Answerer(task, runner.serve, tuple(runner.inputs), tuple(runner.labels))


def open_converted(folder: Path, threads: int | None = None) -> Answerer:
    """A RUN, run by LiteRT: as the float32 file that `kbert export --format tflite` makes of it."""
    import export as exporters
    from kbert.cli.trained import open_trained

    task, model = open_trained(folder, "kbert predict --engine litert")
    with tempfile.TemporaryDirectory() as scratch:
        lengths = row_lengths(task.max_length)
        file = exporters.tflite(model, Path(scratch) / "run.tflite", lengths=lengths, **task.serving())
        return replace(open_tflite(file, threads), task=task)


def row_lengths(max_length: int) -> list[int]:
    """Tokens of a TFLite file's rows, where texts of any length are asked: the shorter ones take less time.

    >>> row_lengths(100)
    [16, 32, 64, 100]
    """
    return [length for length in LENGTHS if length < max_length] + [max_length]


def by_tensorflow(serve: Callable[..., dict[str, Any]], inputs: Sequence[str], owner: Any) -> Callable:
    """A signature as `Answerer.serve`.

    Args:
        serve: string tensors [B, ...] by name -> tensors [B, ...] by name.
        inputs: their names.
        owner: what holds the variables of `serve`, which does not.
    """
    import tensorflow as tf

    def served(columns: Sequence[Sequence], owner=owner) -> dict[str, np.ndarray]:
        outputs = serve(**{name: tf.constant(c, tf.string) for name, c in zip(inputs, columns, strict=True)})
        return {name: value.numpy() for name, value in outputs.items()}

    return served


def open_run(folder: Path) -> Answerer:
    """A RUN, served as its export would be."""
    from export.saved_model import serving_of
    from kbert.cli.trained import open_trained

    task, model = open_trained(folder, "kbert predict", pretrained=True)
    serving = serving_of(model.in_float32(), task.max_length, **task.serving())
    serve = serving.signatures()["serving_default"]
    return Answerer(task, by_tensorflow(serve, tuple(serving.inputs), serving), tuple(serving.inputs), serving.labels)


def open_saved_model(folder: Path) -> Answerer:
    """A SavedModel, asked as TensorFlow Serving would ask it.

    Raises:
        ValueError: it is not one that `kbert export` wrote; says what it has.
    """
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - its operations are in the graph

    loaded = tf.saved_model.load(str(folder))
    serve, about = loaded.signatures.get("serving_default"), folder / "assets" / "task.json"
    if serve is None:
        refuse(folder, f"signatures {', '.join(sorted(loaded.signatures)) or 'none'}")
    specs = serve.structured_input_signature[1]
    if not about.is_file():
        told = ", ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in specs.items())
        refuse(folder, f"inputs {told or 'none'} and no {about.relative_to(folder)}")
    said = json.loads(about.read_text("utf-8"))
    task = named(said["task"], str(about)).of_run(said)
    inputs = tuple(said["inputs"])
    return Answerer(task, by_tensorflow(serve, inputs, loaded), inputs, tuple(said["labels"]))


def refuse(folder: Path, told: str) -> NoReturn:
    """Says what a SavedModel that can be asked has, and what this one has."""
    raise ValueError(
        "kbert predict asks a SavedModel's serving_default, whose strings its assets/task.json names; "
        f"{folder} has {told}. Write one with kbert export."
    )


def renamed(columns: Columns, text: str | None, pair: str | None) -> Columns:
    """Columns with those that the command line names in place of the training's."""
    return replace(columns, text=text or columns.text, pair=pair or columns.pair)


def read(source, **columns: str) -> Texts:
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
