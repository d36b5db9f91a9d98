"""`--format saved_model`: a folder that takes strings, for TensorFlow and TensorFlow Serving."""

from dataclasses import dataclass
from typing import Annotated

import typer

from kbert.cli.errors import WrongUse
from kbert.cli.format import Format


@dataclass(frozen=True)
class SavedModelOptions:
    """What `--format saved_model` asks beside what all formats do."""

    top_k: Annotated[int | None, typer.Option(min=1, help="Of a pre-trained RUN: answers a mask, else 5.")] = None


class SavedModel(Format):
    """See `export.saved_model`."""

    name = "saved_model"
    Options = SavedModelOptions

    def write(self, asked):
        task, top_k = asked.task, self.options.top_k
        if top_k and task.name != "pretrain":
            raise WrongUse(
                f"--top-k is for a RUN of kbert pretrain, whose masks are filled; {asked.run} is one of {task.name}."
            )

        import export as exporters

        settings = {**task.serving(), **({"top_k": top_k} if top_k else {})}
        given = {"max_length": asked.max_length, "overwrite": asked.overwrite}
        exporters.saved_model(asked.model, asked.out, **given, **settings)
        return {"max_length": asked.max_length}

    def lines(self, result):
        return [f"{super().lines(result)[0]}, texts of up to {result['max_length']} tokens"]
