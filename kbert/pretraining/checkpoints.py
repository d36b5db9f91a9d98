"""Checkpoints by step, checkpoints/step-00000300.safetensors: a resume starts from the newest that is whole."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kbert import checkpoints
from kbert.checkpoints import DamagedCheckpoint
from kbert.runs import Run

NAME = "step-{:08d}.safetensors"


@dataclass(frozen=True)
class StepCheckpoints:
    """The checkpoints of a run.

    Args:
        run: where.
        keep: how many; an older one goes when a new one is whole and on the disk.
    """

    run: Run
    keep: int = 2

    def path(self, step: int) -> Path:
        return self.run.checkpoints / NAME.format(step)

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, ascending."""
        found = (re.fullmatch(r"step-(\d{8,})\.safetensors", path.name) for path in self.run.checkpoints.glob("step-*"))
        return sorted(int(match[1]) for match in found if match)

    def save(self, model: keras.Model, state: dict[str, Any]) -> None:
        """Writes the checkpoint of a step, then takes away those that are too many; nothing in a copy of a run.

        Args:
            model: compiled, its optimizer built.
            state: JSON-able, with "step".

        Raises:
            OSError: no room, or no right to write; says which checkpoint stands. Nothing half-written is left.
        """
        if self.run.is_copy:
            return
        step = state["step"]
        try:
            checkpoints.save(self.path(step), model, state, with_optimizer=True)
        except OSError as error:
            if error.errno is None:
                raise
            said = f"{error.strerror}, so step {step} has no checkpoint; {self.told(step)}"
            raise OSError(error.errno, said, error.filename or str(self.path(step))) from error
        stays = [found for found in self.steps() if found <= step][-self.keep :]
        for other in set(self.steps()) - set(stays):  # also those after it, which a resume had passed over
            self.path(other).unlink(missing_ok=True)

    def restore(self, model: keras.Model) -> dict[str, Any] | None:
        """Reads the newest checkpoint that is whole into a model and its optimizer; None where there is none.

        Returns:
            What `save` was given as state.

        Raises:
            ValueError: a checkpoint of another model.

        Warns:
            UserWarning: one is damaged, and passed over for the one before it.
        """
        steps = self.steps()
        for place, step in reversed(list(enumerate(steps))):
            try:
                return checkpoints.restore(self.path(step), model, with_optimizer=True)
            except DamagedCheckpoint:
                before = f"that of step {steps[place - 1]}" if place else "the start, since there is no other"
                warnings.warn(f"{self.path(step)} is damaged and passed over for {before}.", stacklevel=2)
        return None

    def told(self, limit: int | None = None) -> str:
        """Which checkpoint a resume would start from, as the end of a message: the newest, up to a step."""
        steps = [step for step in self.steps() if limit is None or step <= limit]
        return f"the last checkpoint is {self.path(steps[-1])}" if steps else "there is no checkpoint yet"
