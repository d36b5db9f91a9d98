"""Two workers of a pre-training, each killed with SIGKILL again and again: python -m benchmarks.worker_kills kills ...

`kbert pretrain` of 200 steps (BERT-tiny, a checkpoint every 7 steps) by two workers over loopback runs once to its end.
Then, in another folder, one of the two is killed at a random moment, worker 0 and worker 1 by turns, 10 times each:
while they start, between two checkpoints, while a checkpoint is being written. The other has to end by itself with the
exit code that asks for another try and a line that says why; then both start again with the same command. What is
compared: model.safetensors bit for bit, and metrics.jsonl but for what a clock said.
"""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pretraining_kills import CHECKPOINT_STEPS, PATIENCE, Command, Moment, command_of, moments, say_same
from benchmarks.worker import Job, say, work
from benchmarks.workers import cluster

RETRY = 138  # the exit code of a worker that is left
RENDEZVOUS = 30  # seconds that a worker waits for one that was killed before they met


@dataclass
class Survivors:
    """What the worker that was left did, over all kills.

    Args:
        seconds: from each kill to the end of the other.
        right: how many ended with `RETRY` and a line.
    """

    seconds: list[float] = field(default_factory=list)
    right: int = 0


class Pair(Command):
    """`kbert pretrain` by two workers; the first one is what `Command` watches."""

    def start(self) -> subprocess.Popen:
        self.processes = []
        for index, told in enumerate(cluster(2)):
            with self.log(index).open("wb") as log:
                self.processes.append(
                    subprocess.Popen(self.command, env={**os.environ, **told}, stdout=subprocess.DEVNULL, stderr=log)
                )
        return self.processes[0]

    def log(self, worker: int) -> Path:
        """What a worker of the last start wrote to stderr."""
        return self.run.with_name(f"{self.run.name}.{worker}.log")

    def told(self) -> str:
        return "\n".join(self.log(worker).read_text("utf-8", "replace") for worker in (0, 1))

    def kill_one(self, worker: int, moment: Moment, span: float, seen: Survivors) -> bool:
        """Starts both, kills one at a moment, waits for the other; False where the run was done before."""
        first = self.start()
        if not self.wait(first, self._moment(moment, span, first.pid)):
            self.processes[1].wait(PATIENCE)
            return False
        began = time.monotonic()
        self.processes[worker].kill()
        self.processes[worker].wait()
        code = self.processes[1 - worker].wait(PATIENCE)
        seen.seconds.append(time.monotonic() - began)
        said = self.log(1 - worker).read_text("utf-8", "replace").splitlines()
        seen.right += code == RETRY and sum(line.startswith("kbert: ") for line in said) == 1
        return True


def kills(job: Job) -> None:
    """Runs, kills, compares."""
    steps = job.amounts.worker_kill_steps
    words = command_of(job, folder := job.scratch / "worker-kills", steps)
    words += ("--rendezvous-timeout", RENDEZVOUS)
    whole, killed = (Pair(folder / name, words) for name in ("whole", "killed"))
    to_first, alone = whole.finish_timed()
    between = (alone - to_first) * CHECKPOINT_STEPS / steps

    seen = Survivors()
    for number, moment in enumerate(moments(2 * job.amounts.worker_kills, steps, job.seed)):
        if not killed.kill_one(number % 2, moment, to_first if moment.kind == "start" else between, seen):
            break  # it was done before
    killed.wait(killed.start(), lambda: False)
    tell(whole, killed, seen)


def tell(whole: Pair, killed: Pair, seen: Survivors) -> None:
    """Prints what was found."""
    say("kills", len(seen.seconds), "", note="of either worker by turns")
    say("workers left that ended with a line and the code to try again", 100.0 * seen.right / len(seen.seconds), "%")
    say("longest time until the other had ended", max(seen.seconds), "s")
    say_same(whole.run, killed.run)


if __name__ == "__main__":
    work({"kills": kills}, __doc__)
