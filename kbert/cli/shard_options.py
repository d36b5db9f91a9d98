"""The options that say how the workers of a training share what it reads, and what stands behind them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

Shards = Annotated[
    Literal["batch", "file"],
    typer.Option(
        "--shards",
        help="How several workers share what is read. batch: each reads all and computes its rows of every batch; any "
        "number of workers goes on with the run. file: each reads files of its own, dealt out by size and seed, and "
        "makes its part of every batch; a resume needs as many workers.",
    ),
]
DataService = Annotated[
    str | None,
    typer.Option(
        "--data-service",
        metavar="grpc://HOST:PORT",
        help="Read --records of `kbert prepare` through `kbert data-service`: in one order, however many workers it "
        "has, so that a resume is exact. The files lie under the same names there.",
    ),
]


@dataclass(frozen=True)
class Sharing:
    """How this worker takes part in the reading; asked within the scope of the strategy.

    Args:
        shards: "batch" or "file".
        service: a `pipelines.data_service.Service`, or None.
    """

    shards: str = "batch"
    service: Any = None

    @property
    def parts(self) -> int:
        """How many workers read files of their own; 1 where all read all."""
        import tensorflow as tf

        from kbert.strategies import workers_of

        return workers_of(tf.distribute.get_strategy()) if self.shards == "file" else 1

    @property
    def part(self) -> int:
        """Which of the parts is this worker's."""
        import tensorflow as tf

        from kbert.replica_batches import worker_of

        return worker_of(tf.distribute.get_strategy()) if self.parts > 1 else 0

    def settings(self) -> dict[str, Any]:
        """As task.json says them: only what a run cannot go on without."""
        said = {"shards": self.shards, "shard_workers": self.parts} if self.shards == "file" else {}
        return {**said, **({"data_service": True} if self.service else {})}

    def check(self, batch_sizes: Sequence[int], then: dict[str, Any]) -> None:
        """Holds a run to what its parts need.

        Args:
            batch_sizes: of the phases.
            then: settings of the run that is resumed, or nothing.

        Raises:
            ValueError: another number of workers than the run was begun with, or one that no batch can be shared by.
        """
        parts = self.parts
        if self.shards == "file" and then.get("shard_workers", parts) != parts:
            raise ValueError(
                f"with --shards file a run goes on with as many workers as it was begun with, {then['shard_workers']}; "
                f"got {parts}. Start as many, or begin a run with --shards batch, which any number goes on with."
            )
        if uneven := [size for size in batch_sizes if size % parts]:
            raise ValueError(
                f"with --shards file the batch size is a multiple of the workers, {parts}; got {uneven[0]}. "
                "Change --batch-size, or use --shards batch."
            )


@contextlib.contextmanager
def lost_service_ends(service) -> Iterator[None]:
    """Ends the command with the code of a lost worker where the tf.data service is away, and in one line.

    Args:
        service: a `pipelines.data_service.Service`, or None.

    Raises:
        Ended: the service is lost; the exit code asks for another try.
    """
    from kbert.cli.errors import Ended
    from kbert.cli.quiet import quiet_native
    from kbert.cli.strategy_options import RETRY

    try:
        with quiet_native() if service else contextlib.nullcontext():  # each second it would say that nobody is there
            yield
    except (ValueError, OSError) as error:
        if service is None or not service.lost:
            raise
        raise Ended(str(error), RETRY) from error
