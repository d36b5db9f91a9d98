"""Labels that were given as words, or learned from a few examples each: intents of CLINC150 and Banking77.

python -m benchmarks.few_shot {clinc_zero,clinc_few,banking_zero,banking_few} --data DIR [--seeds 3]

Zero-shot: the names of the intents, their underscores spaces, by vectors. Few-shot: 8 examples an intent, drawn anew
with each seed, by what `kbert few-shot` calls, with its own defaults; the head alone, without pairs, beside it.
CLINC150's texts that are out of scope are left out.
"""

from collections.abc import Callable

from benchmarks.embedding_texts import Split, read_banking77, read_clinc150
from benchmarks.ours import PRESET
from benchmarks.worker import BATCH, Job, lap, say, use_two_threads, work

MAX_LENGTH, SHOTS, TEMPLATE = 64, 8, "This text is about {}."


def zero(name: str, read: Callable) -> Callable[[Job], None]:
    """A work that labels the test texts of a set without training."""

    def ask(job: Job) -> None:
        use_two_threads()
        from kbert.cli.zero_shots import open_labeller

        test, right = asked(job, read(job.data, "test")), []
        labels = sorted(set(read(job.data, "test").labels))
        words = [label.replace("_", " ") for label in labels]
        labeller = open_labeller(PRESET, words, TEMPLATE, max_length=MAX_LENGTH)

        def answer() -> None:
            for scores, label in zip(labeller.scores(test.texts, BATCH), test.labels, strict=True):
                right.append(labels[int(scores.argmax())] == label)

        spent = lap(answer)
        note = f"{len(labels)} labels, {len(right)} texts, {spent.wall:.0f} s"
        say(f"{name} zero-shot, accuracy", 100 * sum(right) / len(right), "%", note=note)

    return ask


def few(name: str, read: Callable) -> Callable[[Job], None]:
    """A work that learns 8 examples a label; prints the accuracy of each seed, and that of a head alone."""

    def learn(job: Job) -> None:
        use_two_threads()
        from kbert.cli.few_shots import FewShots, drawn
        from kbert.cli.few_shots import learn as learn_few
        from pipelines import classification

        train, test = read(job.data, "train"), asked(job, read(job.data, "test"))
        labels = tuple(sorted(set(train.labels)))
        dev = examples(test, labels)
        for seed in range(job.seed, job.seed + job.seeds):
            shown = drawn(examples(train, labels), SHOTS, seed)
            quick = job.amounts.training_examples
            for told, rounds in (("the head alone", 0), ("8-shot", 1 if quick else FewShots.rounds)):
                settings, made = FewShots(PRESET, SHOTS, rounds, seed=seed, dtype=job.dtype), []
                arguments = settings, shown, MAX_LENGTH
                spent = lap(lambda made=made, arguments=arguments: made.append(learn_few(*arguments)))
                made[0].compile()
                scores = made[0].scores(classification(dev, made[0].tokenizer_spec, max_length=MAX_LENGTH))
                note = f"seed {seed}, {len(shown)} texts, {rounds} rounds, {spent.wall:.0f} s"
                say(f"{name} {told}, accuracy", 100 * scores["accuracy"], "%", spent.cpu * 1e3, note)

    return learn


def asked(job: Job, split: Split) -> Split:
    """All texts of a split, or few of all labels where amounts are quick."""
    few = job.amounts.training_examples
    step = -(-len(split.texts) // few) if few else 1
    return Split(split.texts[::step], split.labels[::step])


def examples(split: Split, labels: tuple[str, ...]):
    """A split as `pipelines` reads one."""
    from pipelines import ClassificationExamples

    place = {label: number for number, label in enumerate(labels)}
    ids = tuple(place[label] for label in split.labels)
    return ClassificationExamples(tuple(split.texts), None, ("sentence",), ids, labels)


if __name__ == "__main__":
    work(
        {
            "clinc_zero": zero("CLINC150", read_clinc150),
            "clinc_few": few("CLINC150", read_clinc150),
            "banking_zero": zero("Banking77", read_banking77),
            "banking_few": few("Banking77", read_banking77),
        },
        __doc__,
    )
