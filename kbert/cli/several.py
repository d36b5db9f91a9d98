"""Several trainings of one command: over seeds, or over folds of the training file.

Each is an ordinary RUN in a folder of its own, --out/seed-0 or --out/fold-0; beside them stand summary.json, report.md
with the table of their figures, mean and spread, and for folds out_of_fold.jsonl: an answer for every training example
by the model that has not seen it.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kbert import report
from kbert.cli import finetuning
from kbert.cli.task import Task
from kbert.repeats import chosen, folds, spread
from kbert.runs import REPORT, TASK, Run, RunError
from kbert.whole_files import is_leftover

SUMMARY, OUT_OF_FOLD = "summary.json", "out_of_fold.jsonl"
PART = re.compile("(seed|fold)-[0-9]+")
BATCHES_AT_ONCE = 64


@dataclass(frozen=True)
class Asked:
    """What all trainings share; see `kbert.cli.finetuning.finetune`."""

    task: Task
    source: finetuning.Source
    recipe: Any
    settings: finetuning.Settings
    command: str
    resume: bool


def start(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Makes sure that a folder can hold several runs; with `overwrite` takes those away that it has.

    Raises:
        RunError: it holds something else, or runs that are to be neither resumed nor overwritten.
    """
    if not folder.exists():
        return
    held = list(folder.iterdir()) if folder.is_dir() else [folder]
    for path in held:
        part = PART.fullmatch(path.name) and path.is_dir() and ((path / TASK).is_file() or not any(path.iterdir()))
        if not (part or path.name in (SUMMARY, REPORT, OUT_OF_FOLD) or is_leftover(path)):
            raise RunError(f"Several runs need a new or empty folder; {folder} holds {path.name}. Name another folder.")
    if held and not (resume or overwrite):
        raise RunError(f"Several runs need a new or empty folder; {folder} holds some. Use --resume or --overwrite.")
    for path in held if overwrite else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def over_seeds(asked: Asked, folder: Path, num_seeds: int) -> dict[str, Any]:
    """Trains with the seeds from that of the settings on."""
    first = asked.settings.seed
    trained = {
        f"seed-{seed}": _train(replace(asked, settings=replace(asked.settings, seed=seed)), folder / f"seed-{seed}")
        for seed in range(first, first + num_seeds)
    }
    return _summarize(asked, folder, trained)


def over_folds(asked: Asked, folder: Path, num_folds: int) -> dict[str, Any]:
    """Cross-validates on the training file: each fold is once the dev set, also for the choice of the best epoch."""
    examples = asked.task.read(asked.source.train)
    trained, held_out = {}, []
    for number, (rest, held) in enumerate(folds(examples, num_folds, asked.settings.seed)):
        name = f"fold-{number}"
        trained[name] = _train(asked, folder / name, (chosen(examples, rest), chosen(examples, held)))
        held_out.append((name, held))
    answered = _out_of_fold(asked, folder, examples, held_out)
    return _summarize(asked, folder, trained, {"out_of_fold": str(answered)} if answered else {})


def _train(asked: Asked, folder: Path, examples: tuple | None = None) -> dict[str, Any]:
    begun = asked.resume and (folder / TASK).is_file()
    run = Run.open(folder) if begun else Run.start(folder)
    return finetuning.finetune(
        asked.task,
        run,
        asked.source,
        asked.recipe,
        asked.settings,
        command=asked.command,
        resume=begun,
        examples=examples,
    )


def _summarize(
    asked: Asked, folder: Path, trained: Mapping[str, Mapping], more: Mapping | None = None
) -> dict[str, Any]:
    """Writes summary.json and report.md, and returns the summary."""
    figures = {name: result["dev"] for name, result in trained.items()}
    best = max(trained, key=lambda name: next(iter(trained[name]["best"].values())))
    summary = {"run": str(folder), "runs": figures, "figures": spread(figures), "best": best, **(more or {})}
    names = list(summary["figures"])
    over = ("mean", "spread", "lowest", "highest")
    rows = [
        *([name, trained[name]["best_epoch"], *(row[figure] for figure in names)] for name, row in figures.items()),
        *([key, "", *(summary["figures"][figure][key] for figure in names)] for key in over),
    ]
    told = [
        f"# {asked.task.name}, from {asked.source.model}: {len(trained)} runs",
        f"    {asked.command}",
        "Each run is a folder here, and an ordinary RUN. Figures are those of its dev set at its best epoch; the "
        f"spread is the standard deviation over the runs. The best is {best}.",
        report.markdown(["run", "best epoch", *names], rows),
    ]
    run = Run(folder)
    run.write(REPORT, "\n\n".join(told) + "\n")
    run.write(SUMMARY, json.dumps({**summary, "command": asked.command}, indent=2, ensure_ascii=False) + "\n")
    return summary


def _out_of_fold(asked: Asked, folder: Path, examples: Any, held_out: Sequence[tuple]) -> Path | None:
    """Writes out_of_fold.jsonl, in the order of the examples; None for examples that cannot be asked as they are."""
    found = {}
    for name, held in held_out:
        questions = asked.task.asked_again(chosen(examples, held))
        if questions is None:
            return None
        for place, line in zip(held, _answers(folder / name, questions, asked.settings.batch_size), strict=True):
            found[int(place)] = {"example": int(place) + 1, "fold": name, **line}
    labels, right = getattr(examples, "labels", None), getattr(examples, "label_ids", ())
    for place, line in found.items():
        if labels and isinstance(right[place], int):
            line["right"] = labels[right[place]]
    Run(folder).write(OUT_OF_FOLD, "".join(json.dumps(found[i], ensure_ascii=False) + "\n" for i in sorted(found)))
    return folder / OUT_OF_FOLD


def _answers(folder: Path, questions: Any, batch_size: int) -> Iterator[dict[str, Any]]:
    from kbert.cli.answering import open_run

    answerer = open_run(folder)
    task = answerer.task
    answers = answerer.answers(task.strings(questions), batch_size, batch_size * BATCHES_AT_ONCE, lambda number: None)
    yield from task.lines(questions, answers)


def lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as lines to read."""
    figures = summary["figures"].items()
    return [
        f"{summary['run']}: {len(summary['runs'])} runs, the best is {summary['best']}",
        *(
            f"{name:<12} {row['mean']:.4f} +- {row['spread']:.4f}   {row['lowest']:.4f} to {row['highest']:.4f}"
            for name, row in figures
        ),
        *([f"answers out of fold in {summary['out_of_fold']}"] if "out_of_fold" in summary else []),
    ]
