"""Several workers of one training: who writes, whether all train the same, and what is said where one is lost."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import kbert
from kbert.checkpoints import digest
from kbert.runs import CONFIG, METRICS, TASK, Run, RunError, flat
from kbert.strategies import is_chief, workers, workers_of

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
LOST += (tf.errors.FailedPreconditionError, tf.errors.InternalError)


class WorkerLost(Exception):
    """Another worker went away, so this one cannot go on; the same commands on all workers do."""


@contextlib.contextmanager
def own_run(run: Run) -> Iterator[Run]:
    """The run for the one that writes it, the chief; for any other worker a private copy, which goes at the end.

    So every worker resumes from the same checkpoint, and no two write a file. Enter before the strategy is made: then
    no worker has begun to write.
    """
    if workers() == 1 or is_chief():
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="kbert-worker-") as folder:
        copy = Path(folder) / "run"
        if (run.folder / TASK).is_file():
            (copy / run.checkpoints.name).mkdir(parents=True)
            for path in (*(run.folder / name for name in (TASK, METRICS, CONFIG)), *run.checkpoints.glob("[!.]*")):
                if path.is_file():
                    shutil.copyfile(path, copy / path.relative_to(run.folder))
        yield Run(copy, is_copy=True)


def agree(strategy: tf.distribute.Strategy, said: dict[str, Any], free: Sequence[str] = ()) -> None:
    """Holds all workers to one data, one recipe and one code.

    Args:
        said: JSON-able, what the run's task.json says.
        free: keys that may differ.

    Raises:
        RunError: on every worker, names what differs between the first worker and another.
    """
    if workers_of(strategy) == 1:
        return
    versions = {"kbert": kbert.__version__, "code": code_digest(), "keras": keras.__version__, "tf": tf.__version__}
    mine = {**{key: value for key, value in flat(said).items() if key not in free}, **versions}
    told = [json.loads(text) for text in _everyone(strategy, mine)]
    for number, other in enumerate(told[1:], 1):
        keys = [key for key in {**told[0], **other} if told[0].get(key) != other.get(key)]
        if keys:
            differs = ", ".join(f"{key} is {other.get(key)!r} there and {told[0].get(key)!r} here" for key in keys)
            raise RunError(
                f"Workers train the same; between worker {number} and worker 0 {differs}. "
                "Start all with the same command, files and version."
            )


def code_digest() -> str:
    """Of the code that trains and that which makes its batches, hexadecimal: checkouts may differ under one version."""
    found = hashlib.sha256()
    for package in ("kbert", "pipelines"):
        folder = Path(find_spec(package).origin).parent
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def as_first(strategy: tf.distribute.Strategy, value: Any) -> Any:
    """What the first worker has of a JSON-able value, for all; where machines compute alike but not to the last bit."""
    if workers_of(strategy) == 1:
        return value
    return json.loads(_everyone(strategy, value)[0])


def _everyone(strategy: tf.distribute.Strategy, value: Any) -> list[bytes]:
    """JSON of what each worker has, in the order of the workers."""
    mine = np.frombuffer(json.dumps(value).encode(), "uint8")
    here = strategy.num_replicas_in_sync // workers_of(strategy)

    @tf.function
    def gathered():
        sizes = strategy.gather(strategy.run(lambda: tf.constant([len(mine)])), axis=0)
        return sizes, strategy.gather(strategy.run(lambda: tf.constant(mine, tf.int32)), axis=0)

    sizes, values = (found.numpy() for found in gathered())
    return [part.astype("uint8").tobytes() for part in np.split(values, np.cumsum(sizes)[:-1])][::here]


def agree_on_start(model: keras.Model, step: int) -> None:
    """Holds all workers to one step and one set of weights, before the first step of a training or of its resume.

    Raises:
        RunError: a worker that read another checkpoint, or another preset under the same name.
    """
    strategy = model.distribute_strategy
    if workers_of(strategy) > 1:
        arrays = ((weight.path, weight.numpy()) for weight in model.weights)
        agree(strategy, {"step": step, "weights": digest({}, arrays)})


def any_of(strategy: tf.distribute.Strategy) -> Callable[[Sequence[bool]], list[bool]]:
    """A function that says for each of some questions whether any worker answers yes; all ask it at the same step."""
    if workers_of(strategy) == 1:
        return list

    @tf.function
    def ask(answers):
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(tf.identity, args=(answers,)), axis=None)

    return lambda answers: (ask(tf.constant(answers, tf.int32)).numpy() > 0).tolist()


@contextlib.contextmanager
def lost_in_a_line(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says what TensorFlow raises in the workers that are left when one goes away.

    Raises:
        WorkerLost: the cause in a line, and the remedy.
    """
    try:
        yield
    except LOST as error:
        if workers_of(strategy) == 1:
            raise
        raise WorkerLost(
            f"a worker was lost ({cause(str(error.message))}); start all of them again with the same commands: they go "
            "on from the last checkpoint"
        ) from error


def cause(message: str) -> str:
    """The line of an error of TensorFlow's that says what happened, among those that say where.

    >>> cause("Graph execution error:\\n\\nDetected at node Sum\\n  Connection reset by peer\\n")
    'Connection reset by peer'
    """
    lines = [" ".join(line.split()) for line in message.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Graph execution error", "Detected at node", "File ", "<"))]
    return (told or lines or ["no cause is known"])[0][:200]
