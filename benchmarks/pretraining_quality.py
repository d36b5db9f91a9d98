"""What pre-training is worth: a vocabulary and a BERT-mini from raw text by kbert's own commands, then a task.

python -m benchmarks.pretraining_quality STUDY-PART --data DIR --scratch DIR, for STUDY

  learns        `kbert vocab` of 16,000 tokens, `kbert word-vectors` and `kbert pretrain`, 11,000 steps of 16 x 128
                tokens, on `books` (120 MB); then SST-2, one epoch
  low-resource  8,000 tokens, accents kept, 4,000 steps, on Swahili, Yoruba and Hausa together (5 MB of news); then
                masked words of a tenth of the text that was held out, beside a model that knows only how frequent each
                token is. `python -m benchmarks --only masakhaner` goes on from it.
  chinese       8,000 tokens, each ideograph one, vectors, 10,000 steps, on `zhwiki` (60 MB); then ChnSentiCorp, three
                epochs

and PART: `pretrain`; `pretrained` and `random`, the task from the RUN and from random weights of the same size and
vocabulary; `unigram`.

Pre-training: heads that start at their neighbours, packed rows without pairs, no dropout, AdamW, rate 1e-3, warm-up
over 5 % of the steps, bfloat16. Tasks: mean of the tokens, rate 3e-4, or 1e-3 where there are 1,000 steps and fewer,
warm-up 10 %, decay 0.01, dropout 0.1, 128 tokens at most, batches of 32; accuracy on the dev set, of the best epoch.

Every stage keeps what it found under --scratch, and is not done again there; a pre-training that was interrupted goes
on by its own means. So `python -m benchmarks --keep DIR --only learns` may be stopped and started again.
"""

import functools
import math
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.finetuning import finetune_once
from benchmarks.stages import Found, kbert, note, stage
from benchmarks.texts import BOOKS, CHNSENTICORP, LOW_RESOURCE, SST2, ZHWIKI, cut_files
from benchmarks.worker import BATCH, MAX_LENGTH, Job, say, use_two_threads, work

PRETRAIN = (
    "--size",
    "mini",
    "--attention-start",
    "neighbours",
    "--objective",
    "contiguous",
    "--packed",
    "--short-share",
    "0",
)
PRETRAIN += ("--learning-rate", "1e-3", "--warmup", "0.05", "--dropout", "0")
PRETRAIN += ("--max-length", str(MAX_LENGTH), "--batch-size", "16", "--evaluate-batches", "20")
SPREAD = 0.05  # of random weights
FINETUNE_DROPOUT, POOLING = 0.1, "mean"  # [CLS] is not trained without pairs
FINETUNE_RATE, SHORT_RATE = 3e-4, 1e-3  # of a task, of one of 1,000 steps and fewer


@dataclass(frozen=True)
class Study:
    """A language and what is learned of it.

    Args:
        text: files of the data folder.
        steps: which of `Amounts` says how many.
        vocabulary: its size; less in a quick run.
        learn: further words to `kbert vocab`.
        vectors: the token table starts from `kbert word-vectors`, and other weights spread wider.
        held_out: share of the text.
        task: train and dev file of the data folder, or none.
        text_column: of those.
        epochs, rate: of the task.
    """

    text: tuple[str, ...]
    steps: str
    vocabulary: int
    held_out: float
    learn: tuple[str, ...] = ()
    vectors: bool = True
    task: tuple[str, ...] = ()
    text_column: str = "sentence"
    epochs: int = 1
    rate: float = FINETUNE_RATE


STUDIES = {
    "learns": Study((BOOKS,), "learns_steps", 16_000, 0.01, task=SST2[:2]),
    "low-resource": Study(LOW_RESOURCE, "low_resource_steps", 8_000, 0.1, ("--keep-accents",), vectors=False),
    "chinese": Study(
        *((ZHWIKI,), "chinese_steps", 8_000, 0.01),
        learn=("--min-count", "10"),  # 7,100 characters; rarer ones are 0.06 % of the text
        task=CHNSENTICORP,
        text_column="text_a",
        epochs=3,
        rate=SHORT_RATE,
    ),
}


class Place:
    """Where a study's files and stages lie: another folder for other amounts."""

    def __init__(self, name: str, job: Job):
        self.study = STUDIES[name]
        self.steps = getattr(job.amounts, self.study.steps)
        self.size = min(self.study.vocabulary, job.amounts.vocabulary)
        self.folder = job.scratch / f"{name}-{self.steps}-{self.size}"
        self.text = cut_files(job.data, self.study.text, job.amounts.corpus_megabytes, self.folder)

    @property
    def vocabulary(self) -> Path:
        return self.folder / "vocabulary" / "vocab.txt"

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors.txt"

    @property
    def run(self) -> Path:
        return self.folder / "run"


def pretrain(name: str, job: Job) -> None:
    """The vocabulary and the pre-training; prints how long each took and how well masked words are found."""
    place = Place(name, job)
    text = [word for path in place.text for word in ("--input", path)]
    learn = ("vocab", *text, "--size", place.size, "--out", place.vocabulary, "--overwrite", *place.study.learn)
    found = stage(place.folder, "vocabulary", lambda: kbert(*learn))
    told, peak = note(found, f"{found['size']} tokens"), found["peak_mb"]
    say("time of the vocabulary", found["seconds"], "s", note=told, peak_mb=peak)
    read = (*text, "--vocab", place.vocabulary, "--held-out", place.study.held_out)
    words = ("pretrain", *read, "--steps", place.steps, "--out", place.run, "--dtype", job.dtype, *PRETRAIN)
    if place.study.vectors:
        learn_vectors(place, ("word-vectors", *read, "--out", place.vectors, "--overwrite"))
        words += ("--word-vectors", place.vectors, "--initializer-range", SPREAD)
    found = stage(place.folder, "pretrain", lambda: kbert(*words))
    told, peak = note(found, f"{found['steps']} steps"), found["peak_mb"]
    say("time of the pre-training", found["seconds"], "s", note=told, peak_mb=peak)
    say("pre-training", found["tokens_per_second"], "tokens/s", note=told, peak_mb=peak)
    say("held out: masked accuracy", 100 * found["val_masked_accuracy"], "%", note=told, peak_mb=peak)
    say("held out: perplexity", found["val_perplexity"], "", note=told, peak_mb=peak)


def learn_vectors(place: Place, words: tuple) -> None:
    """Prints how long the start of the token table took."""
    found = stage(place.folder, "vectors", lambda: kbert(*words))
    say("time of the word vectors", found["seconds"], "s", note=note(found, f"{found['tokens']} tokens"))


def unigram(name: str, job: Job) -> None:
    """The same held-out masks by a model that knows how frequent each token is in the rest of the text."""
    place = Place(name, job)
    found = stage(place.folder, "unigram", lambda: frequencies(place))
    told = note(found, f"{found['tokens']} masked")
    say("held out: masked accuracy", 100 * found["accuracy"], "%", note=told)
    say("held out: perplexity", found["perplexity"], "", note=told)


def frequencies(place: Place) -> Found:
    """How well frequencies, one added to each count, foretell the masked tokens that are held out."""
    use_two_threads()
    import numpy as np

    from kbert.presets import open_preset
    from pipelines import WordPiece
    from pipelines.documents import Corpus
    from pipelines.pretraining import pretraining
    from pipelines.pretraining_data import PretrainingData

    preset = open_preset("mini", vocabulary=place.vocabulary)
    wordpiece = WordPiece.from_spec(preset.tokenizer)
    corpus = Corpus.find(place.text, held_out=place.study.held_out)
    counts = np.ones(len(wordpiece.vocabulary), "int64")
    for block in corpus.blocks(seed=0, epoch=0):
        tokens = wordpiece.tokenize(block.decode().split("\n")).flat_values.numpy()
        counts += np.bincount(tokens, minlength=len(counts))
    data = PretrainingData(max_length=MAX_LENGTH, objective="contiguous", packed=True, short_share=0)
    batches = pretraining(corpus, preset.tokenizer, data, batch_size=BATCH, part="held_out").take(20)
    masked = [labels["masked_lm_ids"][weights["masked_lm_weights"] > 0].numpy() for _, labels, weights in batches]
    return guess(counts, np.concatenate(masked))


def guess(counts, masked) -> Found:
    """Accuracy and perplexity of guessing tokens by their counts alone.

    Args:
        counts: int [V], none 0.
        masked: int [M], the tokens.

    >>> import numpy as np
    >>> guess(np.array([1, 2, 1]), np.array([1, 1, 0, 2]))
    {'tokens': 4, 'accuracy': 0.5, 'perplexity': 2.8284271247461903}
    """
    shares = counts / counts.sum()
    losses = [-math.log(shares[token]) for token in masked]
    right = float((masked == counts.argmax()).mean())
    return {"tokens": len(masked), "accuracy": right, "perplexity": math.exp(sum(losses) / len(losses))}


def task(name: str, job: Job, part: str) -> None:
    """The task from the RUN, or from random weights with the same vocabulary; a seed."""
    place = Place(name, job)
    name = f"{part}-{place.study.epochs}-{place.study.rate}-{job.seed}"
    found = stage(place.folder, name, lambda: learn_task(place, job, part))
    told = note(found, f"seed {job.seed}")
    say("dev accuracy", 100 * found["accuracy"], "%", note=told, peak_mb=found.get("peak_mb"))
    say("time of the task", found["seconds"], "s", note=told, peak_mb=found.get("peak_mb"))


def learn_task(place: Place, job: Job, part: str) -> Found:
    """Fine-tunes once."""
    use_two_threads()
    from kbert.training import Recipe

    study = place.study
    recipe = Recipe(study.epochs, study.rate, warmup=0.1, weight_decay=0.01)
    start = {"preset": "mini", "vocabulary": str(place.vocabulary)}
    if part == "pretrained":
        start = {"preset": str(place.run)}
    train, dev = (job.data / name for name in study.task)
    began = time.perf_counter()
    trained = finetune_once(
        job,
        dropout=FINETUNE_DROPOUT,
        train=train,
        dev=dev,
        recipe=recipe,
        seed=job.seed,
        text_column=study.text_column,
        pooling=POOLING,
        **start,
    )
    return {"accuracy": trained.accuracy, "seconds": time.perf_counter() - began}


def works() -> dict:
    """The parts of all studies."""
    found = {}
    for name, study in STUDIES.items():
        found[f"{name}-pretrain"] = functools.partial(pretrain, name)
        if study.task:
            found |= {f"{name}-{part}": functools.partial(task, name, part=part) for part in ("pretrained", "random")}
        else:
            found[f"{name}-unigram"] = functools.partial(unigram, name)
    return found


if __name__ == "__main__":
    work(works(), __doc__)
