"""`kbert finetune`: a preset and labelled texts in, a RUN out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.grouping import grouped
from kbert.cli.output import Json, existing, show
from kbert.cli.tasks import TASKS, TaskOptions, options_of

Option = typer.Option
TaskName = Literal[tuple(TASKS)]


@grouped
def finetune(
    task: Annotated[TaskName, Option(help="What is learned.")],
    train: Annotated[Path, Option(help="Labelled texts: .tsv, .csv or .jsonl, also .gz and .xz; or the task's own.")],
    dev: Annotated[Path, Option(help="Labelled texts that decide the best epoch.")],
    model: Annotated[str, Option(help="minilm-l6, a folder of weights, a RUN, hf://..., kaggle://..., or a size.")],
    out: Annotated[Path, Option(help="Folder of the RUN.")],
    specific: TaskOptions,
    epochs: Annotated[int, Option(min=1, help="Passes over the training file.")] = 3,
    batch_size: Annotated[int, Option(min=1, help="Examples in a step.")] = 32,
    learning_rate: Annotated[float, Option(help="The highest, after the warm-up.")] = 5e-5,
    warmup: Annotated[float, Option(help="Share of the steps over which the rate rises.")] = 0.1,
    weight_decay: Annotated[float, Option(help="Decoupled; none for norms and biases.")] = 0.01,
    max_length: Annotated[int, Option(min=3, help="Most tokens of a row; longer texts are cut.")] = 128,
    seed: Annotated[int, Option(help="Of new weights, dropout and the order of the examples.")] = 0,
    text_column: Annotated[str | None, Option(help="Column of the text; sentence if not named.")] = None,
    pair_column: Annotated[str | None, Option(help="Column of the second text of a pair.")] = None,
    label_column: Annotated[str | None, Option(help="Column of the label; label if not named.")] = None,
    labels: Annotated[str | None, Option(help="Labels in their order, with commas; else those of --train.")] = None,
    class_weight: Annotated[Literal["balanced"] | None, Option(help="balanced: rare labels count more.")] = None,
    best: Annotated[
        str | None,
        Option(help="Figure of the dev set that decides the best epoch, e.g. macro_f1; else the task's first."),
    ] = None,
    dtype: Annotated[Literal["float32", "mixed_bfloat16"], Option(help="What layers compute in.")] = "float32",
    vocabulary: Annotated[Path | None, Option(help="vocab.txt, where the model has none.")] = None,
    lowercase: Annotated[bool | None, Option("--lowercase/--cased", help="Where the model does not say.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on after the last finished epoch of --out.")] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the RUN that is in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on labelled texts.

    \b
    Example:
      kbert finetune --task classify --train train.tsv --dev dev.tsv --model minilm-l6 --out runs/first
    """
    from kbert.cli.errors import WrongUse

    if resume and overwrite:
        raise WrongUse("--resume and --overwrite exclude each other.")
    if Path(model).resolve() == out.resolve():
        raise WrongUse(f"--model and --out name different folders; both are {out}.")
    preset = Path(model) if Path(model).exists() else None  # else a name or an address
    for path, option in ((train, "--train"), (dev, "--dev"), (vocabulary, "--vocabulary"), (preset, "--model")):
        if path is not None and existing(path, option).resolve().is_relative_to(out.resolve()):
            raise WrongUse(f"{option} stands outside of --out, which is the RUN's own; got {path} in {out}.")
    options = options_of(TASKS[task], specific)

    from kbert.runs import Run

    run = Run.open(out) if resume else Run.start(out, overwrite=overwrite)  # before anything slow

    from kbert.cli import finetuning
    from kbert.cli.task import Columns
    from kbert.training import Recipe

    columns = Columns(text_column, pair_column, label_column)
    asked = TASKS[task](max_length, columns, options, None if labels is None else names(labels))
    result = finetuning.finetune(
        asked,
        run,
        finetuning.Source(train, dev, model, vocabulary and str(vocabulary), lowercase),
        Recipe(epochs, learning_rate, warmup, weight_decay, best=best),
        finetuning.Settings(batch_size, seed, dtype, class_weight),
        command=shlex.join(["kbert", *sys.argv[1:]]),
        resume=resume,
    )
    show(result, finetuning.lines(result), as_json)


def names(labels: str) -> list[str]:
    """The labels of --labels, without the spaces around them.

    >>> names("cats, dogs")
    ['cats', 'dogs']
    >>> names("cats,,cats")
    Traceback (most recent call last):
    ValueError: --labels names each label once, with commas between them; got 'cats,,cats'.
    """
    found = [label.strip() for label in labels.split(",")]
    if not all(found) or len(set(found)) < len(found):
        raise ValueError(f"--labels names each label once, with commas between them; got {labels!r}.")
    return found
