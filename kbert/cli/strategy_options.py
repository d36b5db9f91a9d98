"""The option that says which devices and machines train, and what stands around such a training."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Annotated, Literal

import typer

StrategyName = Literal["auto", "one", "mirrored", "multiworker", "tpu"]
Strategy = Annotated[
    StrategyName,
    typer.Option(
        "--strategy",
        help="What trains: one device; all of this machine (mirrored); the workers of TF_CONFIG or Slurm; a TPU. "
        "auto: several workers or GPUs where there are, else one.",
    ),
]
Exchange = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(help="Numbers in which replicas tell each other gradients; bfloat16 is half the bytes, three digits."),
]
RendezvousTimeout = Annotated[
    int, typer.Option(min=1, metavar="SECONDS", help="In which all workers must have come, else those that have end.")
]
RENDEZVOUS = 600  # as kbert.strategies has it, which would load TensorFlow
RETRY = 138  # an exit code that Kubeflow reads as one to try again; below 128 it would give up


@contextlib.contextmanager
def training_under(name: StrategyName, run, batch_size: int, rendezvous_timeout: int) -> Iterator:
    """The strategy's scope; gives the run that this worker writes, see `kbert.workers.own_run`.

    Raises:
        Ended: another worker was lost; the exit code asks for another try.
    """
    from kbert.cli.errors import Ended
    from kbert.cli.reading import say
    from kbert.strategies import strategy, told, workers
    from kbert.workers import LOST, WorkerLost, lost_in_a_line, own_run

    together = name == "multiworker" or name == "auto" and workers() > 1
    with own_run(run) if together else contextlib.nullcontext(run) as own:
        try:
            chosen = met(name, rendezvous_timeout) if together else strategy(name)
        except LOST as error:
            raise Ended(f"not all workers came: {str(error).splitlines()[0]}; start all of them.", RETRY) from error
        if chosen.num_replicas_in_sync > 1 or name not in ("auto", "one"):
            say(told(chosen, batch_size))
        try:
            with lost_in_a_line(chosen), chosen.scope():
                yield own
        except WorkerLost as lost:
            raise Ended(f"{lost}.", RETRY) from lost


def met(name: StrategyName, rendezvous_timeout: int):
    """The strategy, once all workers have come; Ctrl-C ends the waiting.

    TensorFlow waits with Python locked, so only what the system does at a signal happens; and it takes SIGTERM for
    notices that nobody reads, which is undone.
    """
    from kbert.strategies import strategy

    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return strategy(name, rendezvous_timeout=rendezvous_timeout)
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def among_workers() -> bool:
    """Whether something has started this process as one of several; told without loading TensorFlow."""
    return "TF_CONFIG" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def check_alone(name: StrategyName) -> None:
    """Holds several trainings of one command to one device.

    Raises:
        WrongUse: several devices or workers were asked for, or TF_CONFIG or Slurm speak of them.
    """
    from kbert.cli.errors import WrongUse
    from kbert.strategies import workers

    if name not in ("auto", "one") or workers() > 1:
        raise WrongUse("--seeds and --folds train on one device; start them without --strategy and TF_CONFIG.")
