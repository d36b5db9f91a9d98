"""`kbert few-shot`: a classifier from a few examples a class."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.output import Json, existing, show

Option = typer.Option


def few_shot(
    train: Annotated[Path, Option(help="Labelled texts, as those of kbert finetune; --shots of each label are used.")],
    out: Annotated[Path, Option(help="Folder of the RUN, of task classify.")],
    dev: Annotated[Path | None, Option(help="Labelled texts to score it on.")] = None,
    model: Annotated[str, Option(help="A preset or a RUN; best one whose vectors are good already.")] = "minilm-l6",
    shots: Annotated[int, Option(min=1, help="Examples a label, drawn at random.")] = 8,
    rounds: Annotated[int, Option(min=0, help="Pairs that each is put into; 0 trains the head alone.")] = 10,
    batch_size: Annotated[int, Option(min=2, help="Pairs in a step.")] = 32,
    learning_rate: Annotated[float, Option(help="The highest, after the warm-up.")] = 5e-5,
    max_length: Annotated[int, Option(min=3, help="Most tokens of a text; longer texts are cut.")] = 128,
    seed: Annotated[int, Option(help="Of the examples that are drawn, their pairs and dropout.")] = 0,
    text_column: Annotated[str | None, Option(help="Column of the text; sentence if not named.")] = None,
    label_column: Annotated[str | None, Option(help="Column of the label; label if not named.")] = None,
    dtype: Annotated[Literal["float32", "mixed_bfloat16"], Option(help="What layers compute in.")] = "float32",
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the RUN that is in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Learn labels from 8 to 64 examples each.

    The encoder learns which texts are of one label, then a linear head tells the labels. What it writes is a RUN as
    kbert finetune's.

    \b
    Example:
      kbert few-shot --train train.tsv --shots 8 --model minilm-l6 --out runs/few
    """
    for path, option in ((train, "--train"), (dev, "--dev")):
        if path is not None:
            existing(path, option)

    from kbert.runs import Run

    run = Run.start(out, overwrite=overwrite)

    from kbert.cli.few_shots import FewShots
    from kbert.cli.few_shots import few_shot as learn_few
    from kbert.cli.task import Columns
    from kbert.cli.tasks.classify import Classify

    task = Classify(max_length, Columns(text_column, None, label_column))
    examples = task.read(train)
    asked = task.read(dev, like=examples) if dev else None
    told = {
        "command": shlex.join(["kbert", *sys.argv[1:]]),
        "settings": {"train": str(train), "dev": str(dev) if dev else None},
    }
    settings = FewShots(model, shots, rounds, batch_size, learning_rate, seed, dtype)
    result = learn_few(task, run, examples, asked, settings, told)
    lines = [f"{result['run']} finished: {result['examples']} examples, {result['pairs']} pairs"]
    if dev:
        lines.append("dev   " + "   ".join(f"{name} {value:.4f}" for name, value in result["dev"].items()))
    show(result, lines, as_json)
