"""Training: `model.fit` over any tf.data.Dataset, with a run directory that can be resumed.

finetune() compiles, fits with the callbacks of `kbert.watching`, and leaves the best epoch's weights in the model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kbert import checkpoints
from kbert.class_weights import weigh
from kbert.freezing import Stage, freeze_weights, layer_rates, stages
from kbert.lora import add_lora, has_lora, merge_lora
from kbert.optimizer import adamw
from kbert.recipe import Recipe
from kbert.runs import Run
from kbert.watching import Checkpoints, DevScores, MetricsFile, StopOnNaN, out_of_patience
from kbert.workers import agree_on_start

LINES_AN_EPOCH = 50  # of metrics.jsonl, at most: a smooth curve in a small file


def finetune(
    model: keras.Model,
    train,
    dev,
    run: Run | str,
    recipe: Recipe = Recipe(),  # noqa: B008, it is frozen
    *,
    class_weight: Mapping[int, float] | None = None,
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
        recipe: rates and lengths, and what of the model is trained.
        class_weight: class -> what an example of it counts; None for 1. Labels are int of any shape.
        resume: go on after the last epoch that was finished, or start where none was; the bits are those of a run
            that was never stopped.
        callbacks: any of Keras'. One that stops the training stops all of it, further stages too.

    Returns:
        {"epochs", "steps", "best_epoch", "best": figure of the dev set}.

    Raises:
        TrainingDiverged: the loss is no longer finite; names the step.
        RunError: the folder is in use, and `resume` is False.
        ValueError: a recipe that does not fit the model.
    """
    run = run if isinstance(run, Run) else Run.start(run) if not resume else Run(run)
    best = check(recipe, model)
    batches = train if callable(train) else lambda epochs: train
    if class_weight is not None:
        batches = weigh(batches, class_weight, len(getattr(model, "labels", None) or ()))
    steps = length(batches(range(1)))
    learned = [weight for weight in model.weights if weight.trainable]
    if recipe.lora and not has_lora(model):
        add_lora(model, recipe.lora, recipe.lora_alpha)
    resumed = resume and run.last_checkpoint.is_file()
    state: dict[str, Any] = checkpoints.state(run.last_checkpoint) if resumed else {"epoch": 0, "best": None}
    agree_on_start(model, state["epoch"])
    run.forget_metrics_after(state["epoch"])
    keep = Checkpoints(run, state, f"val_{best}")
    for stage in _stages(recipe, model):
        done = keep.state["epoch"]
        if stage.end < done:
            continue  # what it left is in the checkpoint
        _compile(model, recipe, stage, steps)
        if resumed and stage.begin < done <= stage.end:
            checkpoints.restore(run.last_checkpoint, model, with_optimizer=True)
        if done == stage.end or out_of_patience(keep.state, recipe.patience):
            continue
        keep.begin, keep.patience, keep.min_delta = stage.begin, None, recipe.min_delta
        if stage.end == recipe.all_epochs:
            keep.patience = recipe.patience
        model.fit(
            batches(range(done, stage.end)),
            steps_per_epoch=steps if callable(train) else None,
            initial_epoch=done,
            epochs=stage.end,
            callbacks=[*_watch(run, dev, keep, steps), *callbacks],
            shuffle=False,
            verbose=0,
        )
        if keep.state["epoch"] < stage.end:
            break
    kept = checkpoints.restore(run.best_checkpoint, model, with_optimizer=False)
    _as_it_was(model, learned, recipe)
    return {
        "epochs": keep.state["epoch"],
        "steps": keep.state["epoch"] * steps,
        "best_epoch": kept["epoch"],
        "best": {best: kept["score"]},
    }


def check(recipe: Recipe, model: keras.Model) -> str:
    """The figure that decides the best epoch, once it is known that a recipe fits a model.

    Raises:
        ValueError: a figure, a number of blocks or a loss that the model does not have.
    """
    blocks = model.config.num_hidden_layers
    if isinstance(recipe.freeze, int) and recipe.freeze > blocks:
        raise ValueError(
            f"freeze is at most the model's {blocks} blocks; got {recipe.freeze}. Lower it, or freeze all."
        )
    if recipe.label_smoothing:
        model.smoothed_loss(recipe.label_smoothing)
    return recipe.figure(model)


def _stages(recipe: Recipe, model: keras.Model) -> list[Stage]:
    return stages(recipe.stages, recipe.epochs, model.config.num_hidden_layers, recipe.freeze)


def _compile(model: keras.Model, recipe: Recipe, stage: Stage, steps: int) -> None:
    """The model for a stage: what learns in it, and an optimizer with its moments and its own warm-up."""
    if recipe.chooses_weights:
        freeze_weights(model, stage.freeze)
    factors = layer_rates(model, recipe.layer_decay, recipe.head_factor(stage.name))
    total = steps * (stage.end - stage.begin)
    rates = (recipe.learning_rate, total, recipe.warmup, recipe.weight_decay, recipe.clip_norm)
    loss = {"loss": model.smoothed_loss(recipe.label_smoothing)} if recipe.label_smoothing else {}
    model.compile(adamw(*rates, factors=factors, exchange=recipe.exchange), **loss)
    model.optimizer.build(model.trainable_variables)


def _watch(run: Run, dev, keep: Checkpoints, steps: int) -> list[keras.callbacks.Callback]:
    """The callbacks of a fit, in the order in which they add to its logs and read them."""
    before, every = keep.state["epoch"] * steps, max(1, steps // LINES_AN_EPOCH)
    score: Callable = dev if callable(dev) else lambda model: model.scores(dev)
    return [
        StopOnNaN(before),
        DevScores(score),
        MetricsFile(run, every, before),
        keep,
        keras.callbacks.TensorBoard(run.logs, update_freq=every, write_graph=False),
    ]


def _as_it_was(model: keras.Model, learned: list, recipe: Recipe) -> None:
    """An ordinary model again: low-rank updates merged, and what could be trained before can be trained."""
    if recipe.lora:
        merge_lora(model)
    for weight in learned:
        weight.trainable = True
    if recipe.chooses_weights:  # functions that were traced with what is gone
        model.train_function = model.test_function = model.predict_function = None


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
