"""What two workers pay for adding up their gradients: python -m benchmarks.exchange two --data DIR --scratch DIR.

For each size of model two processes, held to a core and a thread each, meet over loopback and sum tensors of the
shapes of its gradients as training does (`kbert.global_batch.all_sum`); then they make steps of pre-training, 32 rows
of 128 tokens in all. Beside it stands the model of `benchmarks.scaling`: a ring over the link that the same two
processes have when they send each other plain bytes.
"""

import functools
import json
import os
import subprocess
import sys

from benchmarks.scaling import SIZES, Link, exchange_seconds, gradient_bytes, sent_bytes
from benchmarks.worker import BATCH, MAX_LENGTH, Job, say, work
from benchmarks.workers import free_ports

WORKERS = 2
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def two(job: Job) -> None:
    """The link, then each size."""
    found = pair("loopback", str(8 * job.amounts.exchanges))
    link = Link("loopback", found["bytes_per_second"], found["latency"])
    say("link, each way at once", link.bytes_per_second / 1e6, "MB/s", note="plain bytes between the two")
    say("link, to the other", 1e3 * link.latency, "ms", note="half of a round trip")
    for size in job.amounts.exchange_sizes:
        gradients = gradient_bytes(SIZES[size])
        found = pair("exchange_worker", size, job.dtype, str(job.amounts.exchanges))
        modelled = exchange_seconds(gradients, WORKERS, link)
        say(f"{size}, sent by each in a step", sent_bytes(gradients, WORKERS) / 1e6, "MB")
        say(f"{size}, exchange, modelled", 1e3 * modelled, "ms")
        say(f"{size}, exchange", 1e3 * found["exchange"], "ms", note=f"{found['exchange'] / modelled:.1f} x the model")
        say(f"{size}, step", 1e3 * found["step"], "ms", note=f"{BATCH} rows of {MAX_LENGTH} in all")
        say(f"{size}, share of the exchange", 100 * found["exchange"] / found["step"], "% of a step")


def pair(module: str, *words: str) -> dict:
    """What the first of two processes of a module of this folder found.

    Raises:
        subprocess.CalledProcessError: one failed.
    """
    addresses = [f"localhost:{port}" for port in free_ports(WORKERS)]
    cores, processes = sorted(os.sched_getaffinity(0)), []
    for index in range(WORKERS):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.{module}", *words],
                env={**os.environ, **ONE_THREAD, "TF_CONFIG": json.dumps(config)},
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=functools.partial(os.sched_setaffinity, 0, {cores[index % len(cores)]}),
            )
        )
    told = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(told[0].splitlines()[-1])


if __name__ == "__main__":
    work({"two": two}, __doc__)
