"""Progress on stderr: of a training, a bar on a terminal and a line now and then elsewhere; of anything else, a bar."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

import keras

from kbert.cli.quiet import quiet

SECONDS_BETWEEN_LINES = 15.0


@contextlib.contextmanager
def bar(total: int | None, told: str, *, shown: bool) -> Iterator[Callable[..., None]]:
    """A bar on stderr while the block runs, also where the block is `quiet`; nothing where it is not shown.

    Args:
        total: where the bar ends; None where nobody knows.
        told: words before it.
        shown: whether there is one.

    Yields:
        A function that moves it on by a number, and where it is given other words shows these.
    """
    if not shown:
        yield lambda number, told=None: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with (
        os.fdopen(os.dup(2), "w") as stderr,
        Progress(console=Console(file=stderr), redirect_stdout=False, redirect_stderr=False, transient=True) as drawn,
    ):
        task = drawn.add_task(told, total=total)
        yield lambda number, told=None: drawn.update(task, advance=number, description=told)


class TrainingBar(keras.callbacks.Callback):
    """The bar of a training on a terminal, and lines above it or without it."""

    bar = None

    def on_train_begin(self, logs=None):
        if sys.stderr.isatty() and not self.bar:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
            told = TextColumn("{task.fields[told]}")
            self.bar = Progress(*columns, told, TimeRemainingColumn(), console=Console(stderr=True))
            self.bar.start()

    def say(self, line: str) -> None:
        """A line above the bar, or just a line."""
        if self.bar:
            self.bar.console.print(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Takes the bar off the terminal."""
        if self.bar:
            self.bar.stop()
            self.bar = None


class Progress(TrainingBar):
    """Epoch, steps, loss, examples a second and time left.

    Args:
        num_examples: in an epoch.
        batch_size: examples in a full step.
        epochs: of all stages; None for those of the fit.
    """

    def __init__(self, num_examples: int, batch_size: int, epochs: int | None = None):
        super().__init__()
        self.num_examples, self.batch_size, self.epochs = num_examples, batch_size, epochs
        self.steps = -(-num_examples // batch_size)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = f"epoch {epoch + 1}/{self.epochs or self.params['epochs']}"
        self.begin = self.said = time.perf_counter()
        if self.bar:
            self.task = self.bar.add_task(self.epoch, total=self.steps, told="")

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        rate = min((batch + 1) * self.batch_size, self.num_examples) / (now - self.begin)
        told = f"loss {logs['loss']:.4f}  {rate:.0f} examples/s"
        if self.bar:
            self.bar.update(self.task, completed=batch + 1, told=told)
        elif now - self.said >= SECONDS_BETWEEN_LINES:
            self.said = now
            left = (self.num_examples - (batch + 1) * self.batch_size) / rate
            self.say(f"{self.epoch}  step {batch + 1}/{self.steps}  {told}  {max(left, 0.0):.0f} s left")

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.begin
        figures = "  ".join(f"{key.replace('val_', 'dev ')} {value:.4f}" for key, value in logs.items())
        self.say(f"{self.epoch}  {seconds:.0f} s  {figures}")

    def on_train_end(self, logs=None):
        self.stop()


class StepProgress(TrainingBar):
    """Steps of a pre-training, loss, real tokens a second and time left; a line for each scoring of held-out text.

    Args:
        total: steps of all phases.
    """

    def __init__(self, total: int):
        super().__init__()
        self.total, self.task, self.quiet = total, None, contextlib.ExitStack()

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.step = self.first = int(self.model.optimizer.iterations.numpy())
        self.begin, self.said = None, time.perf_counter()
        self.tokens = self.seconds = self.seen = 0.0
        if self.bar and self.task is None:
            self.task = self.bar.add_task("pretrain", total=self.total, completed=self.step, told="")
        self.say(f"step {self.step} of {self.total}: the first of a length takes longer")

    def on_train_batch_begin(self, batch, logs=None):
        if self.begin is None:
            self.quiet.enter_context(quiet())  # while it compiles, XLA talks
        self.begun = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.quiet.close()
        now, self.step = time.perf_counter(), self.step + 1
        tokens = logs["tokens"] - (self.seen if logs["tokens"] >= self.seen else 0.0)  # a sum that starts anew
        self.seen = logs["tokens"]
        if self.begin is None:  # the first step compiled
            self.begin, self.said, self.first = now, now, self.step
        elif "val_loss" not in logs:  # a scoring takes its time too
            self.tokens, self.seconds = self.tokens + tokens, self.seconds + now - self.begun
        if "val_loss" in logs:
            self.say(f"step {self.step}  held out: {figures(logs, 'val_')}")
        done = self.step - self.first
        told = figures(logs) + (f"  {self.tokens / self.seconds:,.0f} tokens/s" if self.seconds else "")
        if self.bar:
            self.bar.update(self.task, completed=self.step, told=told)
        elif now - self.said >= SECONDS_BETWEEN_LINES and done:
            self.said = now
            left = (self.total - self.step) * (now - self.begin) / done
            self.say(f"step {self.step}/{self.total}  {told}  {left:,.0f} s left")

    def stop(self):
        self.quiet.close()
        super().stop()


def figures(logs: dict[str, float], prefix: str = "") -> str:
    """Loss and masked accuracy in a few words.

    >>> figures({"val_loss": 2.5, "val_masked_accuracy": 0.25}, "val_")
    'loss 2.5000  masked accuracy 0.250'
    """
    return f"loss {logs[f'{prefix}loss']:.4f}  masked accuracy {logs[f'{prefix}masked_accuracy']:.3f}"
