"""BERT-tiny learns 200 paragraphs by heart: python -m benchmarks.pretraining_overfit overfit --data DIR.

Ten paragraphs of each of twenty books; a book is a document, so a random second segment is of another book. Masks and
pairs are drawn five times, as Google's script does with `--dupe_factor=5`, and trained on again and again; the figures
are of these rows. "unseen masks" are others of the same text, which were not trained on. Own vocabulary, no dropout, no
decay, whole rows, heads that start at their neighbours.
"""

import itertools
from collections.abc import Iterable, Iterator

from benchmarks.texts import read_books, write_lines
from benchmarks.worker import BATCH, Job, lap, say, say_rate, use_two_threads, work

BOOKS, PARAGRAPHS = 20, 10
SHORTEST, LONGEST = 200, 300  # characters of a paragraph
VOCABULARY = 2000
LENGTH = 64  # tokens of a row
RATE, WARM_UP = 2e-3, 0.05
SEEN_EPOCHS, UNSEEN_EPOCHS = range(5), range(5, 10)  # whose masks and pairs are trained on, and are not


def overfit(job: Job) -> None:
    """Trains, then asks about the rows that were trained on, and about the same text under other masks."""
    use_two_threads()
    from dataclasses import replace

    import kbert
    from kbert.pretraining.neighbour_start import start_at_neighbours
    from pipelines.documents import Corpus
    from pipelines.pretraining import pretraining
    from pipelines.pretraining_data import PretrainingData
    from pipelines.vocabulary_learning import learn_vocabulary

    text = write_lines(job.scratch / "paragraphs.txt", choose(read_books(job.data, 20)))
    tokens = learn_vocabulary([text.read_text("utf-8")], VOCABULARY)
    vocabulary = write_lines(job.scratch / "paragraphs.vocab.txt", tokens)
    config = replace(
        kbert.SIZES["tiny"], vocab_size=VOCABULARY, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True}
    model = kbert.Pretrainer(config, tokenizer, job.seed, dtype=job.dtype)
    start_at_neighbours(model, job.seed)
    data = PretrainingData(max_length=LENGTH, short_share=0.0, seed=job.seed)
    corpus, spec, steps = Corpus.find(text), model.tokenizer_spec, job.amounts.overfit_steps
    model.compile(kbert.adamw(RATE, total_steps=steps, warmup=WARM_UP, weight_decay=0.0))
    seen, unseen = (
        pretraining(corpus, spec, data, batch_size=BATCH, epochs=epochs).cache()
        for epochs in (SEEN_EPOCHS, UNSEEN_EPOCHS)
    )
    batches = seen.shuffle(int(1e4), seed=job.seed).repeat()
    spent = lap(lambda: model.fit(batches, steps_per_epoch=steps, verbose=0))
    note = f"{PARAGRAPHS * BOOKS} paragraphs, {steps} steps"
    for told, asked in (("", seen), ("unseen masks, ", unseen)):
        figures = model.evaluate(asked, verbose=0, return_dict=True)
        say(f"{told}masked accuracy", 100 * figures["masked_accuracy"], "%", note=note)
        say(f"{told}next-sentence accuracy", 100 * figures["next_sentence_accuracy"], "%", note=note)
    say("time of the training", spent.wall, "s", spent.cpu * 1e3, note)
    say_rate("steps", steps, "steps", spent)


def choose(lines: Iterable[str], longest: int = LONGEST) -> Iterator[str]:
    """The first paragraphs of such a length of each of the first books, an empty line after each book."""
    books = (group for is_text, group in itertools.groupby(lines, bool) if is_text)
    found = ([line for line in book if SHORTEST <= len(line) <= longest][:PARAGRAPHS] for book in books)
    for paragraphs in itertools.islice((book for book in found if len(book) == PARAGRAPHS), BOOKS):
        yield from paragraphs
        yield ""


if __name__ == "__main__":
    work({"overfit": overfit}, __doc__)
