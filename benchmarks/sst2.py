"""The real run: MiniLM fine-tuned on all of SST-2 for one epoch, by what `kbert finetune` calls.

python -m benchmarks.sst2 train --data DIR [--dtype mixed_bfloat16] [--seeds 3]

Recipe: batches of 32, rate 5e-5, warm-up over 10 % of the steps, decay 0.01, texts of 128 tokens at most. The time is
that of `kbert.training.finetune`: tokenizing, tracing, checkpoints and the evaluation on the dev set are in it.
"""

from benchmarks.finetuning import finetune_once
from benchmarks.ours import PRESET
from benchmarks.texts import sst2_file
from benchmarks.worker import LEARNING_RATE, Job, say, say_rate, use_two_threads, work


def train(job: Job) -> None:
    """A run a seed; prints accuracy, time and rate of each."""
    use_two_threads()
    from kbert.training import Recipe

    recipe = Recipe(epochs=1, learning_rate=LEARNING_RATE, warmup=0.1, weight_decay=0.01)
    files = sst2_file(job.data, "train"), sst2_file(job.data, "dev")
    for seed in range(job.seed, job.seed + job.seeds):
        trained = finetune_once(job, PRESET, *files, recipe, seed=seed)
        note = f"seed {seed}"
        say("dev accuracy", trained.accuracy * 100, "%", note=note)
        say("time of the epoch", trained.spent.wall, "s", trained.spent.cpu * 1e3, note)
        say_rate("examples", trained.examples, "examples", trained.spent, note)


if __name__ == "__main__":
    work({"train": train}, __doc__)
