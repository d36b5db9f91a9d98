"""Task: what the commands finetune, evaluate, predict and export must know of a task; each is a file in cli/tasks.

Light to import: the command line's `--help` reads the options of all tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

PAIR_COLUMNS = ("sentence1", "sentence2")  # of a SavedModel that answers for pairs


@dataclass(frozen=True)
class Columns:
    """Where texts and labels stand in a file, as named on the command line; None for the task's own names."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class NoOptions:
    """For a task that has none of its own."""


class Task:
    """A task, with the columns of its files and its options. A new task is a file that overrides what differs.

    Examples are what `read` gives: they have a length, `labels`, where there are such, and `columns`, the names of the
    columns that their texts were read from.

    Args:
        max_length: most tokens of a row; None for the task's usual length.
        columns: of its files.
        options: an instance of `Options`.
        labels: in the order of their ids; None for those of the training file.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions  # a frozen dataclass of Annotated typer options, each with a default
    kept: ClassVar[tuple[str, ...]] = ()  # options that are arguments of the model
    usual_length: ClassVar[int] = 128  # most tokens of a row, where nothing is said

    def __init__(
        self,
        max_length: int | None = None,
        columns: Columns = Columns(),
        options: Any = None,
        labels: Sequence[str] | None = None,
    ):
        self.max_length = max_length or self.usual_length
        self.columns, self.labels = columns, labels
        self.options = self.Options() if options is None else options

    @classmethod
    def of_run(cls, said: Mapping[str, Any]) -> Task:
        """The task as the task.json of a RUN, or of a SavedModel, tells it; what it does not tell is by default."""
        of_pairs = PAIR_COLUMNS if list(said.get("inputs", ())) == ["text_a", "text_b"] else ()
        text, pair = [*(said.get("text_columns") or of_pairs), None, None][:2]
        known = said.get("options") or {}
        options = {field.name: known[field.name] for field in fields(cls.Options) if field.name in known}
        columns = Columns(text, pair, said.get("label_column"))
        return cls(said["max_length"], columns, cls.Options(**options), said.get("labels"))

    def text_names(self) -> dict[str, str]:
        """The columns of the texts that were named, as arguments of the readers of `pipelines.tasks`."""
        named = {"text_column": self.columns.text, "pair_column": self.columns.pair}
        return {name: column for name, column in named.items() if column}

    def label_name(self) -> dict[str, str]:
        """The column of the label, where it was named, as an argument of these readers."""
        return {"label_column": self.columns.label} if self.columns.label else {}

    # A file -> examples -> batches -> a model

    def read(self, paths, like: Any = None) -> Any:
        """Labelled files -> examples.

        Args:
            paths: of the files.
            like: the training examples, or None: what labels there may be.
        """
        raise NotImplementedError

    def model_class(self) -> type:
        """The class of its models."""
        raise NotImplementedError

    def model(self, preset: str, examples: Any = None, **common: Any) -> Any:
        """A model from a preset, for these training examples; None for a finished RUN, which knows its labels."""
        kept = {name: getattr(self.options, name) for name in self.kept} if examples is not None else {}
        if self.model_class().labelled and examples is not None:
            kept["labels"] = examples.labels
        return self.model_class().from_preset(preset, **kept, **common)

    def batches(self, examples: Any, spec: Mapping[str, Any], batch_size: int, *, seed=None, epochs=None) -> Any:
        """Examples -> tf.data.Dataset of what `model.fit` takes, in the files' order where there is no seed."""
        raise NotImplementedError

    def balanced(self, examples: Any) -> dict[int, float]:
        """Class -> weight, so that all classes count the same and an example counts 1 on average."""
        raise ValueError(f"--class-weight is for tasks with one label each; {self.name} has none.")

    # How good answers are

    def scores(self, model: Any, examples: Any, batch_size: int) -> dict[str, Any]:
        """Figures of the model's answers: floats, and details in lists and dicts."""
        return model.scores(self.batches(examples, model.tokenizer_spec, batch_size))

    def table(self, scores: Mapping[str, Any]) -> list[str]:
        """The scores as lines to read."""
        return ["   ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))]

    def after_training(self, model: Any, dev: Any, batch_size: int) -> None:
        """What is chosen on the dev set once the weights are: thresholds, say. They are settings of the model."""

    def sections(self, run: Any, model: Any, dev: Any, scores: Mapping[str, Any], batch_size: int) -> list[str]:
        """Parts of report.md in Markdown; pictures are written into the run."""
        return []

    def write_answers(self, folder: Path, model: Any, examples: Any, batch_size: int) -> list[Path]:
        """Files of answers that others score, for `kbert evaluate --out`; returns them."""
        raise ValueError(f"--out is for tasks whose answers go into files that others score; {self.name} has none.")

    # Strings -> answers

    def serving(self) -> dict[str, Any]:
        """Arguments of the task's class in `export.tasks`, beside the model, its tokenizer and the length."""
        return {}

    def questions(self, source: Any) -> Any:
        """What is asked: of a file or an open stream. It has a length."""
        raise NotImplementedError

    def asked_again(self, examples: Any) -> Any:
        """Labelled examples as the questions that `strings` takes; None where they are of another kind."""
        return examples if any(hasattr(examples, name) for name in ("pairs", "choices", "contexts")) else None

    def strings(self, questions: Any) -> dict[str, Sequence]:
        """Questions -> strings of `serving_default` by name, one each a question."""
        raise NotImplementedError

    def lines(self, questions: Any, answers: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """A JSON-able dict a question; an answer has a question's row of each output of `serving_default`."""
        raise NotImplementedError

    def facts(self, examples: Any) -> dict[str, Any]:
        """What task.json says of the task: enough for `of_run`."""
        return {
            "task": self.name,
            "labels": list(getattr(examples, "labels", None) or ()),
            "max_length": self.max_length,
            "text_columns": list(getattr(examples, "columns", ())),
            "label_column": self.columns.label,
            "options": asdict(self.options),
        }


def digest(examples: Any) -> str:
    """16 hexadecimal digits that differ where examples differ, in anything or in their order."""
    parts = [getattr(examples, field.name) for field in fields(examples)]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
