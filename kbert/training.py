"""Training: `model.fit` over any tf.data.Dataset, with a run directory that can be resumed.

finetune() compiles, fits with the callbacks of `kbert.watching`, and leaves the best epoch's weights in the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kbert import checkpoints
from kbert.optimizer import adamw
from kbert.runs import Run
from kbert.watching import Checkpoints, DevScores, MetricsFile, StopOnNaN

LINES_AN_EPOCH = 50  # of metrics.jsonl, at most: a smooth curve in a small file


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned; the numbers are those of Devlin et al. 2019, appendix A.3.

    Args:
        epochs: passes over the training set.
        learning_rate: the highest, after the warm-up.
        warmup: share of all steps over which the rate rises.
        weight_decay: decoupled; none for norms and biases.
        clip_norm: largest norm of all gradients together.
        best: which figure of the dev set decides the best epoch, highest first: one of the model's `figures`; None for
            the first of them.

    >>> Recipe(epochs=0)
    Traceback (most recent call last):
    ValueError: epochs is 1 or more; got 0.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    best: str | None = None

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(f"epochs is 1 or more; got {self.epochs}.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is above 0; got {self.learning_rate}.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps, from 0 to below 1; got {self.warmup}.")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is 0 or more; got {self.weight_decay}.")

    def figure(self, model) -> str:
        """The figure of the dev set that decides the best epoch of a model.

        Raises:
            ValueError: the model has none of that name.
        """
        best = self.best or model.figures[0]
        if best not in model.figures:
            raise ValueError(f"best is {' or '.join(model.figures)} for {model.task}; got {best}.")
        return best


def finetune(
    model: keras.Model,
    train,
    dev,
    run: Run | str,
    recipe: Recipe = Recipe(),
    *,
    class_weight: dict[int, float] | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Fine-tunes a model, and leaves in it the weights of the epoch that did best on `dev`.

    Args:
        model: a `kbert.Classifier` or another task's, not yet compiled.
        train: a function that gives the batches (inputs, labels) of a range of epochs as one tf.data.Dataset, all
            epochs of one length: a resume then asks for those that are left. Or a dataset, one epoch an iteration: a
            resume starts it anew, which is exact where all its iterations are alike.
        dev: a tf.data.Dataset of (inputs, labels) in any order, for `model.scores`; or a function of the model that
            gives its figures, where they need more than batches.
        run: folder for checkpoints/, logs/ and metrics.jsonl, new or empty; or a `Run`, used as it is.
        recipe: rates and lengths.
        class_weight: class -> what an example of it counts; None for 1.
        resume: go on after the last epoch that was finished, or start where none was; the bits are those of a run
            that was never stopped.
        callbacks: any of Keras'.

    Returns:
        {"epochs", "steps", "best_epoch", "best": figure of the dev set}.

    Raises:
        TrainingDiverged: the loss is no longer finite; names the step.
        RunError: the folder is in use, and `resume` is False.
    """
    run = run if isinstance(run, Run) else Run.start(run) if not resume else Run(run)
    ranged, best = callable(train), recipe.figure(model)
    steps = length(train(range(1)) if ranged else train)
    model.compile(
        adamw(recipe.learning_rate, steps * recipe.epochs, recipe.warmup, recipe.weight_decay, recipe.clip_norm)
    )
    model.optimizer.build(model.trainable_variables)
    state: dict[str, Any] = {"epoch": 0, "best": None}
    if resume and run.last_checkpoint.is_file():
        state = checkpoints.restore(run.last_checkpoint, model, with_optimizer=True)
    run.forget_metrics_after(state["epoch"])
    done = state["epoch"]
    keep = Checkpoints(run, state, f"val_{best}")
    watch = [
        StopOnNaN(done * steps),
        DevScores(dev if callable(dev) else lambda model: model.scores(dev)),
        MetricsFile(run, max(1, steps // LINES_AN_EPOCH), done * steps),
        keep,
        keras.callbacks.TensorBoard(run.logs, update_freq=max(1, steps // LINES_AN_EPOCH), write_graph=False),
    ]
    if done < recipe.epochs:
        model.fit(
            train(range(done, recipe.epochs)) if ranged else train,
            steps_per_epoch=steps if ranged else None,
            initial_epoch=done,
            epochs=recipe.epochs,
            class_weight=class_weight,
            callbacks=[*watch, *callbacks],
            shuffle=False,
            verbose=0,
        )
    kept = checkpoints.restore(run.best_checkpoint, model, with_optimizer=False)
    return {
        "epochs": keep.state["epoch"],
        "steps": keep.state["epoch"] * steps,
        "best_epoch": kept["epoch"],
        "best": {best: kept["score"]},
    }


def length(dataset) -> int:
    """Batches in a dataset, counted where it does not know.

    Raises:
        ValueError: it has none, or has no end.
    """
    known = int(dataset.cardinality())
    if known == -1:
        raise ValueError("An epoch has an end; got a dataset that repeats forever. Use take(steps).")
    known = known if known >= 0 else sum(1 for _ in dataset)
    if not known:
        raise ValueError("Training needs at least one batch; got an empty dataset.")
    return known
