"""The run directory: one folder with everything of one training, that moves to another machine as it is.

task.json       what was asked: task, labels, lengths, columns, settings
config.json, model.safetensors, vocab.txt, tokenizer_config.json   the finished model, in Hugging Face's layout
checkpoints/    all that a resume needs: last.safetensors and best.safetensors, or step-00000300.safetensors
logs/           TensorBoard
metrics.jsonl   a line every few steps and one an epoch or an evaluation
report.md       and its pictures
input.txt       standard input, where that was the text
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kbert.whole_files import beside, is_leftover, named

TASK, METRICS, CONFIG, REPORT, INPUT = "task.json", "metrics.jsonl", "config.json", "report.md", "input.txt"
# What a new run takes away of an old one before its task.json is replaced: first what says that the run is finished.
REPLACED = (
    *(CONFIG, "checkpoints", "model.safetensors", "vocab.txt", "tokenizer_config.json", "logs", METRICS),
    *(REPORT, "learning_curve.png", "confusion_matrix.png", INPUT),
    *("modules.json", "1_Pooling", "sentence_bert_config.json"),  # by which sentence-transformers opens an embedder
)


class RunError(ValueError):
    """A run directory that cannot be used as asked."""


@dataclass(frozen=True)
class Run:
    """The paths of a run, and reading and writing its small files. Made by `start` or `open`.

    Args:
        folder: where.
        is_copy: it is that of a worker beside the one that writes the run, and goes when the worker ends.
    """

    folder: Path
    is_copy: bool = False

    @classmethod
    def start(cls, folder: Path | str, *, overwrite: bool = False) -> "Run":
        """A new run in a folder that is not there or is empty, or that `begin` will replace; nothing is changed yet.

        Raises:
            RunError: the folder holds something, and `overwrite` is False or it holds no run of ours.
        """
        folder = Path(folder)
        held = folder.iterdir() if folder.is_dir() else filter(Path.exists, [folder])
        if any(path.name != INPUT and not is_leftover(path) for path in held):
            if not overwrite:
                raise RunError(f"A run needs a new or empty folder; {folder} holds files. Use --resume or --overwrite.")
            if not (folder / TASK).is_file():
                raise RunError(f"Only a run is overwritten; {folder} holds no {TASK}. Empty it or name another folder.")
        return cls(folder)

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """The run in a folder.

        Raises:
            FileNotFoundError: it holds none.
        """
        folder = Path(folder)
        if not (folder / TASK).is_file():
            raise FileNotFoundError(
                f"A run is a folder with {TASK}, written by kbert finetune or pretrain; got {folder}."
            )
        return cls(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out of the folder, which is made; what killed ones left half-written is taken away.

        A folder that was made here and in which nothing was written, since the text was refused say, goes again.

        Raises:
            RunError: another process is at work there.
        """
        made = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"One process at a time trains in a run; another is at work in {self.folder}.") from None
            except OSError:
                pass  # a file system without locks
            for path in filter(is_leftover, (*self.folder.glob(".*"), *self.checkpoints.glob(".*"))):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            yield
        finally:
            os.close(opened)
            if made and self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        return self.checkpoints / "last.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        return self.checkpoints / "best.safetensors"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def finished(self) -> bool:
        """Whether the trained model stands under its final name."""
        return (self.folder / CONFIG).is_file()  # the last that is written

    @property
    def task(self) -> dict[str, Any]:
        """What task.json says.

        Raises:
            RunError: it is no JSON object.
        """
        return self.task_with()

    def task_with(self, *keys: str) -> dict[str, Any]:
        """What task.json says, with at least these keys.

        Raises:
            RunError: it is no JSON object, or lacks some of the keys; names the file and them.
        """
        path = self.folder / TASK
        remedy = "Take the file from a copy of the run, or train again with --overwrite."
        try:
            task = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise RunError(f"{path} holds one JSON object; got what is not JSON ({error}). {remedy}") from error
        if not isinstance(task, dict):
            raise RunError(f"{path} holds one JSON object; got {type(task).__name__}. {remedy}")
        if missing := [key for key in keys if key not in task]:
            raise RunError(f"{path} says {', '.join(keys)}; it lacks {', '.join(missing)}. {remedy}")
        return task

    def write(self, name: str, text: str) -> None:
        """A text file of the run, whole or not at all."""
        with beside(self.folder / name) as unfinished:
            unfinished.write_text(text, "utf-8")

    def begin(self, task: dict[str, Any], keep: tuple[str, ...] = ()) -> None:
        """Makes the folder, without the files of an earlier run, and writes task.json.

        Files that are not a run's are left alone, and those named by `keep`, which belong to the new run.
        """
        if (self.folder / TASK).is_file():
            for path in (self.folder / name for name in REPLACED if name not in keep):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        self.write_task(task)

    def write_task(self, task: dict[str, Any]) -> None:
        """task.json: what `check_same` holds a resume to."""
        self.write(TASK, json.dumps(task, indent=2, ensure_ascii=False) + "\n")

    def check_same(self, task: dict[str, Any], free: tuple[str, ...] = ()) -> None:
        """Holds a resume to what the run was started with.

        Args:
            task: as now asked, with the nested dict "settings".
            free: keys that may differ.

        Raises:
            RunError: names every setting that differs, with both values.
        """
        then, now = flat(self.task), flat(json.loads(json.dumps(task)))
        keys = [key for key in {**then, **now} if key not in free and then.get(key) != now.get(key)]
        if keys:
            told = ", ".join(f"{key} was {then.get(key)!r} and is {now.get(key)!r}" for key in keys)
            raise RunError(
                f"--resume continues with the settings of {self.folder / TASK}; {told}. "
                "Ask for the same, name another folder, or start anew with --overwrite."
            )

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line cut short by a kill is left out."""
        path = self.folder / METRICS
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def add_metrics(self, line: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with named(self.folder / METRICS), (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def forget_metrics_after(self, done: int, by: str = "epoch") -> None:
        """Drops the lines of epochs, or by "step", that a resume does again (both count from 1)."""
        kept = [line for line in self.metrics() if line[by] <= done]
        self.write(METRICS, "".join(json.dumps(line) + "\n" for line in kept))


def flat(task: dict[str, Any]) -> dict[str, Any]:
    """The keys of task.json with those of "settings" beside them.

    >>> flat({"task": "classify", "settings": {"epochs": 3}})
    {'task': 'classify', 'epochs': 3}
    """
    return {**{key: value for key, value in task.items() if key != "settings"}, **task.get("settings", {})}
