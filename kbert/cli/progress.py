"""Progress on stderr: of a training, a bar on a terminal and a line now and then elsewhere; of anything else, a bar."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import keras

SECONDS_BETWEEN_LINES = 15.0


@contextlib.contextmanager
def bar(total: int, told: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while the block runs, and the function that moves it on; nothing where it is not shown."""
    if not shown:
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), redirect_stdout=False, transient=True) as drawn:
        task = drawn.add_task(told, total=total)
        yield lambda number: drawn.update(task, advance=number)


class Progress(keras.callbacks.Callback):
    """Epoch, steps, loss, examples a second and time left.

    Args:
        num_examples: in an epoch.
        batch_size: examples in a full step.
    """

    def __init__(self, num_examples: int, batch_size: int):
        super().__init__()
        self.num_examples, self.batch_size = num_examples, batch_size
        self.steps = -(-num_examples // batch_size)
        self.bar = None

    def on_train_begin(self, logs=None):
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
            told = TextColumn("{task.fields[told]}")
            self.bar = Progress(*columns, told, TimeRemainingColumn(), console=Console(stderr=True))
            self.bar.start()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = f"epoch {epoch + 1}/{self.params['epochs']}"
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
