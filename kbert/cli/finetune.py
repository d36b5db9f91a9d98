"""`kbert finetune`: a preset and labelled texts in, a RUN out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.grouping import grouped
from kbert.cli.output import Json, existing, show
from kbert.cli.own_options import options_of
from kbert.cli.strategy_options import (
    RENDEZVOUS,
    RendezvousTimeout,
    Strategy,
    among_workers,
    check_alone,
    training_under,
)
from kbert.cli.tasks import TASKS, TaskOptions
from kbert.cli.training_options import RepeatOptions, TrainingOptions

Option = typer.Option
TaskName = Literal[tuple(TASKS)]


@grouped
def finetune(
    *,
    task: Annotated[TaskName, Option(help="What is learned.")],
    train: Annotated[Path, Option(help="Labelled texts: .tsv, .csv or .jsonl, also .gz and .xz; or the task's own.")],
    dev: Annotated[Path | None, Option(help="Labelled texts that decide the best epoch.")] = None,
    model: Annotated[str, Option(help="minilm-l6, a folder of weights, a RUN, hf://..., kaggle://..., or a size.")],
    out: Annotated[Path, Option(help="Folder of the RUN.")],
    training: TrainingOptions,
    repeats: RepeatOptions,
    specific: TaskOptions,
    batch_size: Annotated[int, Option(min=1, help="Examples in a step.")] = 32,
    max_length: Annotated[
        int | None, Option(min=3, help="Most tokens of a row; longer texts are cut. Else 384 for qa, 128 for the rest.")
    ] = None,
    seed: Annotated[int, Option(help="Of new weights, dropout and the order of the examples.")] = 0,
    text_column: Annotated[str | None, Option(help="Column of the text; sentence if not named.")] = None,
    pair_column: Annotated[str | None, Option(help="Column of the second text of a pair.")] = None,
    label_column: Annotated[str | None, Option(help="Column of the label; label if not named.")] = None,
    labels: Annotated[str | None, Option(help="Labels in their order, with commas; else those of --train.")] = None,
    class_weight: Annotated[
        str | None,
        Option(
            metavar="balanced|LABEL=W,...",
            help="What an example counts by its label. balanced: rare labels count more; else 1 where not named.",
        ),
    ] = None,
    dtype: Annotated[Literal["float32", "mixed_bfloat16"], Option(help="What layers compute in.")] = "float32",
    strategy: Strategy = "auto",
    rendezvous_timeout: RendezvousTimeout = RENDEZVOUS,
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
    repeats.check(dev)
    options = options_of(TASKS, task, specific, "--task")
    recipe = training.recipe()

    from kbert.runs import TASK, Run

    several = repeats.seeds or repeats.folds
    if not several:
        # A scheduler of several workers starts, and starts again, with one command.
        resume = resume and ((out / TASK).is_file() or not among_workers())
        run = Run.open(out) if resume else Run.start(out, overwrite=overwrite)  # before anything slow

    from kbert.cli import finetuning
    from kbert.cli import several as runs
    from kbert.cli.task import Columns

    columns = Columns(text_column, pair_column, label_column)
    asked = TASKS[task](max_length, columns, options, None if labels is None else names(labels))
    source = finetuning.Source(train, dev, model, vocabulary and str(vocabulary), lowercase)
    augment = {"augment": repeats.augment, "augment_share": repeats.augment_share}
    settings = finetuning.Settings(batch_size, seed, dtype, class_weight, **augment)
    command = shlex.join(["kbert", *sys.argv[1:]])
    if several:
        check_alone(strategy)
        runs.start(out, resume=resume, overwrite=overwrite)
        all_of_them = runs.over_seeds if repeats.seeds else runs.over_folds
        summary = all_of_them(runs.Asked(asked, source, recipe, settings, command, resume), out, several)
        show(summary, runs.lines(summary), as_json)
        return
    with training_under(strategy, run, batch_size, rendezvous_timeout) as own:
        result = finetuning.finetune(asked, own, source, recipe, settings, command=command, resume=resume)
    result["run"] = str(out)
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
