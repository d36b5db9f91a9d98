"""Several processes that make shards, one each at a time.

They are started anew ("spawn": TensorFlow does not survive a fork) and have a pipe each, so that one that is killed
leaves no lock behind; they end when the pipe does, which is also what they see of this process when it is killed.
"""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

import tensorflow as tf

from pipelines.manifest import Shard, unfinished_name
from pipelines.shards import Preparation, ShardMaker

MORE, MADE, REFUSED, FAILED = "more", "made", "refused", "failed"  # what a process has to say


def make(
    preparation: Preparation, folder: Path, names: list[str], processes: int, say: Callable[[int, int, int], None]
) -> Iterator[tuple[str, Shard, Path]]:
    """As `preparing.prepare`; hands over each shard when it is whole, with the file that holds it.

    Raises:
        ValueError: what a process could not do because of the corpus or a file.
        ChildProcessError: a process was ended.
        RuntimeError: a process failed by a defect; its traceback.
    """
    count = min(processes, len(names))
    threads = max(1, (os.cpu_count() or 1) // count)
    todo, at_work, started = list(names), {}, []
    try:
        for _ in range(count):
            here, there = multiprocessing.Pipe()
            arguments = (there, preparation, threads)
            process = multiprocessing.get_context("spawn").Process(target=_start, args=arguments, daemon=True)
            process.start()
            there.close()  # the child has its own; so the end of the child is the end of the pipe
            started.append((process, here))
            at_work[here] = (process, _next(here, folder, todo))
        while at_work:
            for here in wait(list(at_work)):
                process, (name, file) = at_work[here]
                try:
                    what, told = here.recv()
                except (EOFError, ConnectionResetError):
                    raise _ended(process, name) from None
                if what == MORE:
                    say(0, *told)
                elif what == MADE:
                    yield name, told, file
                    del at_work[here]
                    if todo:
                        at_work[here] = (process, _next(here, folder, todo))
                else:
                    raise (ValueError if what == REFUSED else RuntimeError)(told)
    finally:
        for process, here in started:
            here.close()
            process.terminate()
        for process, _ in started:
            process.join()
        for path in (file for _, (_, file) in at_work.values()):
            path.unlink(missing_ok=True)


def _next(here: Connection, folder: Path, todo: list[str]) -> tuple[str, Path]:
    """Gives a process its next shard."""
    name = todo.pop(0)
    file = unfinished_name(folder / name)
    here.send((name, file))
    return name, file


def _ended(process: multiprocessing.Process, name: str) -> ChildProcessError:
    process.join(5)
    return ChildProcessError(
        f"a process makes its shard to the end; that of {name} was ended (exit code {process.exitcode}). If memory ran "
        "out, use fewer processes. Whole shards are kept: the same command goes on."
    )


def _start(there: Connection, preparation: Preparation, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt goes to all; the one who started this one tells
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    serve(there, preparation)


def serve(there: Connection, preparation: Preparation) -> None:
    """What a process does: makes the shards that come through the pipe until it ends."""
    try:
        maker = None
        while True:
            name, file = there.recv()
            try:
                maker = maker or ShardMaker(preparation)
                shard = maker.make(name, file, lambda records, tokens: there.send((MORE, (records, tokens))))
            except ConnectionError:
                return None
            except (ValueError, OSError, tf.errors.OpError) as error:
                return there.send((REFUSED, str(error) or type(error).__name__))
            except Exception:
                return there.send((FAILED, traceback.format_exc()))
            there.send((MADE, shard))
    except (EOFError, ConnectionError):
        return None  # nobody is there any more
