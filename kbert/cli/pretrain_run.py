"""What `kbert pretrain` does: text or records -> batches -> training -> a RUN with its report."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kbert
from kbert.cli.errors import Ended
from kbert.cli.pretrain_text import RawText, Records, digest
from kbert.cli.progress import StepProgress
from kbert.cli.reading import say
from kbert.cli.shard_options import Sharing
from kbert.cli.stopping import StopSignals
from kbert.pretraining.report import told, waited, write_report
from kbert.pretraining.stepwise import Stopped
from kbert.pretraining.training import PretrainingRecipe
from kbert.pretraining.training import pretrain as train_model
from kbert.runs import Run
from kbert.saving import save_preset
from kbert.workers import agree
from pipelines.pretraining_data import PretrainingData

# In a resume: where files lie, what they hold is compared; what is written when; what says nothing of the training.
FREE_TO_DIFFER = (
    *("input", "records", "vocab", "word_vectors"),
    *("checkpoint_steps", "checkpoint_minutes", "keep", "spike", "evaluate_steps", "log_steps"),
    *("command", "corpus", "result", "kbert_version"),
)
OF_THE_MODEL = ("lowercase", "recompute", "seed", "dropout", "initializer_range")  # said as they are
OWN = ("command", "input", "records", "vocab", "word_vectors")  # of each worker: where its files lie


@dataclass(frozen=True)
class Start:
    """The model that training begins with.

    Args:
        size: of random weights; None with `init`.
        init: a preset; None with `size`.
        vocab: vocab.txt; None for the preset's.
        lowercase: None for what the vocabulary's folder says.
        word_vectors: a file of them for the token table, or None.
        attention: "random", or "neighbours" for `kbert.pretraining.neighbour_start`.
        dtype, recompute, seed, dropout, initializer_range: of the model.
    """

    size: str | None
    init: str | None
    vocab: Path | None
    lowercase: bool | None
    word_vectors: Path | None
    dtype: str
    recompute: bool
    seed: int
    dropout: float | None = None
    attention: str = "random"
    initializer_range: float | None = None

    def model(self, next_sentence: bool, parts: int = 1) -> keras.Model:
        """The model, with its word vectors; says on stderr what was new and what was found.

        Args:
            next_sentence, parts: as in `kbert.Pretrainer`.
        """
        model = kbert.Pretrainer.from_preset(
            self.init or self.size,
            vocabulary=self.vocab and str(self.vocab),
            lowercase=self.lowercase,
            seed=self.seed,
            dtype=self.dtype,
            next_sentence=next_sentence,
            recompute=self.recompute,
            dropout=self.dropout,
            initializer_range=self.initializer_range,
            parts=parts,
        )
        if self.init and model.new_weights:
            say(f"new weights, which {self.init} does not have: {', '.join(model.new_weights)}")
        if self.attention == "neighbours":
            from kbert.pretraining.neighbour_start import start_at_neighbours

            start_at_neighbours(model, self.seed)
        if self.word_vectors:
            from kbert.pretraining.word_vectors import apply

            found = apply(model, self.word_vectors)
            say(f"word vectors: {found.found:,} words of the vocabulary found, {found.missing:,} not")
        return model

    def settings(self) -> dict[str, Any]:
        """As task.json says them; of files also what they hold."""
        files = {"vocab_digest": self.vocab, "word_vectors_digest": self.word_vectors}
        said = {name: None if value is None else str(value) for name, value in asdict(self).items()}
        said |= {name: getattr(self, name) for name in OF_THE_MODEL}
        return {**said, **{name: None if path is None else digest(path) for name, path in files.items()}}


def pretrain(
    run: Run,
    recipe: PretrainingRecipe,
    data: PretrainingData,
    start: Start,
    text: RawText | Records,
    sharing: Sharing,
    *,
    command: str,
    resume: bool,
) -> dict[str, Any]:
    """Trains, writes the RUN, and returns the figures.

    Args:
        run: started, or opened where `resume`.
        recipe: its phases may have other lengths than `data`.
        data: how text becomes rows.
        sharing: of the reading, between workers.

    Raises:
        Ended: a signal came; a checkpoint was saved.
        ValueError, FileNotFoundError, OSError: what the text, the preset, the training and the disk have to say.
        RunError: a resume with other settings, or with other text.
    """
    task = {
        "task": "pretrain",
        "max_length": max(phase.max_length for phase in recipe.phases),
        "kbert_version": kbert.__version__,
        "command": command,
        "settings": {
            **start.settings(),
            **asdict(data),
            **text.settings(data),
            **asked(recipe),
            **sharing.settings(),
        },
    }
    then = run.task_with("settings")["settings"] if resume else {}
    sharing.check([phase.batch_size for phase in recipe.phases], then)
    if resume:
        run.check_same(task, FREE_TO_DIFFER)
        if run.finished:
            return {"out": str(run.folder), "already_finished": True, **run.task_with("result")["result"]}
    with warnings_in_a_line():
        model = start.model(data.pairs, sharing.parts)
        batches, held_out = text.batches(model.tokenizer_spec, data, recipe.phases, sharing)
        for make in batches:
            make(None)  # a wrong setting is told before anything is written
        agree(model.distribute_strategy, task, OWN)
        with run.locked():
            if resume:
                task["corpus"] = run.task.get("corpus", {})
            else:
                task["corpus"] = text.survey(model.tokenizer_spec, data)
                run.begin(task, keep=text.kept)
            result = fit(model, batches, run, recipe, held_out)
            write_report(run, task, result)
            run.write_task({**task, "result": result})
            arrays = {name: np.asarray(weight) for name, weight in model.named_weights().items()}
            save_preset(run.folder, model.config, arrays, model.tokenizer, overwrite=True)
    return {"out": str(run.folder), "already_finished": False, **result}


def fit(model, batches: Sequence[Callable], run: Run, recipe: PretrainingRecipe, held_out: Sequence) -> dict[str, Any]:
    """`kbert.pretrain` with a bar, that ends in good order at a signal."""
    progress = StepProgress(recipe.steps)
    with StopSignals() as signals:
        try:
            return train_model(
                model,
                batches,
                run,
                recipe,
                held_out=held_out,
                resume=True,
                callbacks=[progress],
                stop=signals.asked,
            )
        except Stopped as stopped:
            words = f"stopped after step {stopped.step} of {recipe.steps}, with a checkpoint"
            raise Ended(f"{words}; the same command goes on from there.", signals.exit_code) from None
        finally:
            progress.stop()


def asked(recipe: PretrainingRecipe) -> dict[str, Any]:
    """A recipe as task.json says it, in the names of the options."""
    said = {**asdict(recipe), "learning_rate": recipe.rate}
    first, *longer = said.pop("phases")
    said |= {"steps": first["steps"], "batch_size": first["batch_size"]}
    for phase in longer:
        said |= {"long_steps": phase["steps"], "long_batch_size": phase["batch_size"]}
        said["long_length"] = phase["max_length"]
    return said


@contextlib.contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Warnings of ours without the line of code that Python shows under them."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(f"kbert: {message}")
        yield


def lines(result: dict[str, Any]) -> list[str]:
    """The result as lines to read."""
    done = "was finished before" if result["already_finished"] else "finished"
    rate = f"{result['tokens_per_second']:,.0f} tokens/s{waited(result)}"
    return [f"{result['out']} {done}: {result['steps']:,} steps, {result['tokens']:,} tokens, {rate}", told(result)]
