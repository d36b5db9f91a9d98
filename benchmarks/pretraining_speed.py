"""kbert's rates of pre-training, raw text -> masked rows -> steps of BERT-mini.

python -m benchmarks.pretraining_speed WORK --data DIR --scratch DIR [--dtype mixed_bfloat16]

The vocabulary is MiniLM's, 30,522 tokens; rows have 128 tokens, batches 32 rows. Tokens are real ones: no padding.
"""

from pathlib import Path

from benchmarks.ours import PRESET
from benchmarks.texts import read_books, read_sst2, write_lines
from benchmarks.worker import (
    BATCH,
    MAX_LENGTH,
    PREDICTIONS,
    PRETRAINING_MEGABYTES,
    PRETRAINING_RATE,
    Job,
    lap,
    median_lap,
    say,
    say_rate,
    use_two_threads,
    work,
)

ROWS = {"max_length": MAX_LENGTH, "max_predictions": PREDICTIONS}
SETTINGS = {
    "next-sentence pairs": {"objective": "next_sentence"},
    "no pairs": {"objective": "none"},
    "no pairs, whole words": {"objective": "none", "masking": "words"},
    "no pairs, spans": {"objective": "none", "masking": "spans"},
}


def books_file(job: Job, megabytes: float) -> Path:
    """Lines from the start of the books, as a plain text file."""
    return write_lines(job.scratch / f"books-{megabytes:g}.txt", read_books(job.data, megabytes))


def masked(job: Job) -> None:
    """Rows cut where they are full, masked tokens alone: the work that peers do too."""
    train(job, "pre-training", few_books(job), objective="contiguous", short_share=0)


def pairs(job: Job) -> None:
    """The paper's examples: masked tokens and next sentences."""
    train(job, "pre-training, next-sentence pairs", few_books(job), objective="next_sentence")


def packed(job: Job) -> None:
    """Sentences of SST-2, several in a row."""
    train(job, "training on sentences", sentences_file(job), objective="none", split=False, packed=True)


def padded(job: Job) -> None:
    """Sentences of SST-2, each in a row of its own."""
    train(job, "training on sentences", sentences_file(job), objective="none", split=False)


def few_books(job: Job) -> Path:
    """The text that peers train on too."""
    return books_file(job, min(PRETRAINING_MEGABYTES, job.amounts.megabytes))


def sentences_file(job: Job) -> Path:
    """SST-2's training sentences, each a document."""
    texts = read_sst2(job.data, "train").texts
    return write_lines(job.scratch / "sst2.txt", (line for text in texts for line in (text, "")))


def train(job: Job, figure: str, text: Path, **settings) -> None:
    """Steps of model.fit on raw text; prints real tokens a second, and the share of slots that hold one."""
    use_two_threads()
    from dataclasses import replace

    import kbert
    from kbert.presets import open_preset
    from pipelines.documents import Corpus
    from pipelines.pretraining import pretraining
    from pipelines.pretraining_data import PretrainingData

    preset, data = open_preset(PRESET), PretrainingData(**ROWS, seed=job.seed, **settings)
    config = replace(kbert.SIZES["mini"], vocab_size=preset.config.vocab_size)
    model = kbert.Pretrainer(config, preset.tokenizer, job.seed, next_sentence=data.pairs, dtype=job.dtype)
    batches = pretraining(Corpus.find(text), model.tokenizer_spec, data, batch_size=BATCH)
    steps, warm_up = job.amounts.pretraining_steps, job.amounts.warm_up_steps
    model.compile(kbert.adamw(PRETRAINING_RATE, total_steps=steps + warm_up))
    model.fit(batches, steps_per_epoch=warm_up, verbose=0)
    figures = {}
    spent = lap(lambda: figures.update(model.fit(batches, steps_per_epoch=steps, verbose=0).history))
    say_rate(figure, figures["tokens"][-1], "tokens", spent, f"{steps} steps")
    say("slots that hold a token", 100 * figures["real_share"][-1], "%")


def pipeline(job: Job) -> None:
    """Raw text -> masked batches, with no model behind them; an epoch of the books, after one that compiles."""
    use_two_threads()
    from kbert.presets import open_preset
    from pipelines.documents import Corpus
    from pipelines.pretraining import pretraining
    from pipelines.pretraining_data import PretrainingData

    corpus, tokenizer = Corpus.find(books_file(job, job.amounts.megabytes)), open_preset(PRESET).tokenizer
    for name, settings in SETTINGS.items():
        data = PretrainingData(**ROWS, seed=job.seed, **settings)
        batches = pretraining(corpus, tokenizer, data, batch_size=BATCH, epochs=range(1))
        tokens = count_tokens(batches)
        spent = median_lap(lambda batches=batches: exhaust(batches), job.amounts.passes)
        say_rate(name, tokens, "tokens", spent)


def count_tokens(batches) -> int:
    """Real tokens of all batches."""
    return sum(int(inputs["input_mask"].numpy().sum()) for inputs, _, _ in batches)


def exhaust(batches) -> None:
    """Takes all of a dataset."""
    for _ in batches:
        pass


if __name__ == "__main__":
    work({"masked": masked, "pairs": pairs, "packed": packed, "padded": padded, "pipeline": pipeline}, __doc__)
