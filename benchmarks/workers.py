"""Workers of a pre-training on one core each: python -m benchmarks.workers one|two|more|told --data DIR --scratch DIR.

`kbert pretrain` of BERT-mini on the first 5 MB of `books` with a vocabulary of their own. `one` and `two` make the same
steps of 32 rows of 128 tokens in all, so each of `two` has half as much between two exchanges; in `more` each of two
has 32 rows, as where workers are added to train on more at a time; in `told` besides they tell each other gradients in
bfloat16. Each worker is held to a core of its own and gets
one thread; they meet over loopback. The rate is the command's: real tokens of all workers by the time of the steps,
waiting for data within, without the first step.
"""

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks.stages import kbert
from benchmarks.texts import read_books, write_lines
from benchmarks.worker import BATCH, MAX_LENGTH, Job, say, work

MEGABYTES, VOCABULARY = 5, 8000


def measure(job: Job, count: int, rows: int = BATCH, exchange: str = "float32") -> None:
    """The rate of so many workers, which have so many rows in all."""
    folder = job.scratch / "workers"
    text, vocabulary = folder / "text.txt", folder / "vocab.txt"
    if not vocabulary.is_file():
        write_lines(text, read_books(job.data, min(MEGABYTES, job.amounts.corpus_megabytes or MEGABYTES)))
        kbert("vocab", "--input", text, "--size", min(VOCABULARY, job.amounts.vocabulary), "--out", vocabulary)
    found = train(folder, count, rows, job.amounts.pretraining_steps, job.dtype, exchange)
    say("pre-training", found["tokens_per_second"], "tokens/s", note=f"{rows} rows of {MAX_LENGTH} in all")
    if rows == BATCH:
        say("loss after as many steps", found["loss"], "")


def train(folder: Path, count: int, rows: int, steps: int, dtype: str, exchange: str) -> dict:
    """The result of the first worker."""
    sizes = ("--size", "mini", "--batch-size", rows, "--max-length", MAX_LENGTH, "--steps", steps, "--dtype", dtype)
    sizes += ("--exchange", exchange)
    text = ("--input", folder / "text.txt", "--vocab", folder / "vocab.txt", "--objective", "contiguous", "--packed")
    words = ("pretrain", *text, *sizes, "--log-steps", steps, "--overwrite", "--out", folder / f"run-{count}", "--json")
    processes = []
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for index, told in enumerate(cluster(count)):
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "kbert", *map(str, words)],
                env={**os.environ, **threads, **told},
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=functools.partial(os.sched_setaffinity, 0, {index}),
            )
        )
    told = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(told[0].splitlines()[-1])


def cluster(count: int) -> list[dict[str, str]]:
    """What the environment tells each worker of some that meet over loopback; nothing where there is one."""
    workers = {"worker": [f"localhost:{port}" for port in free_ports(count)]}
    each = [{"cluster": workers, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [{"TF_CONFIG": json.dumps(told)} if count > 1 else {} for told in each]


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


if __name__ == "__main__":
    works = {"one": {"count": 1}, "two": {"count": 2}, "more": {"count": 2, "rows": 2 * BATCH}}
    works["told"] = {**works["more"], "exchange": "bfloat16"}
    work({name: functools.partial(measure, **how) for name, how in works.items()}, __doc__)
