"""`--format saved_model`: a folder that takes strings, for TensorFlow and TensorFlow Serving."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from kbert.cli.card_options import CardOptions, card_of
from kbert.cli.errors import WrongUse
from kbert.cli.format import Format


@dataclass(frozen=True)
class SavedModelOptions(CardOptions):
    """What `--format saved_model` asks beside what all formats do."""

    top_k: Annotated[int | None, typer.Option(min=1, help="Of a pre-trained RUN: answers a mask, else 5.")] = None
    precision: Annotated[
        Literal["float32", "float16", "int8", "int8-full"],
        typer.Option(help="Of the weights in the file: saved_model has float32, and int8 for a quarter of the size."),
    ] = "float32"
    versions: Annotated[
        bool, typer.Option("--versions", help="Write OUT/1, or the number after the last one that is there.")
    ] = False
    signature_batching: Annotated[
        bool, typer.Option("--signature-batching", help="Put requests together inside the graph.")
    ] = False


class SavedModel(Format):
    """See `export.saved_model`."""

    name = "saved_model"
    Options = SavedModelOptions

    def path(self, out):
        if not self.options.versions:
            return out
        from export.tf_serving import next_version

        return next_version(out)

    def check(self, run, out):
        if self.options.precision not in ("float32", "int8"):
            raise WrongUse(f"--format saved_model has --precision float32 or int8; got {self.options.precision}.")

    def write(self, asked):
        task, options = asked.task, self.options
        if options.top_k and task.name != "pretrain":
            raise WrongUse(
                f"--top-k is for a RUN of kbert pretrain, whose masks are filled; {asked.run} is one of {task.name}."
            )

        import export as exporters

        settings = {**task.serving(), **({"top_k": options.top_k} if options.top_k else {})}
        exporters.saved_model(
            asked.model,
            asked.out,
            max_length=asked.max_length,
            overwrite=asked.overwrite,
            precision=options.precision,
            signature_batching=options.signature_batching,
            card=card_of(asked, options),
            **settings,
        )
        return {"max_length": asked.max_length, "precision": options.precision}

    def lines(self, result):
        return [f"{super().lines(result)[0]}, texts of up to {result['max_length']} tokens"]
