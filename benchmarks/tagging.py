"""Names: MiniLM on CoNLL-2003, and what a pre-training on little text is worth for MasakhaNER 2.

python -m benchmarks.tagging WORK --data DIR [--scratch DIR] [--dtype mixed_bfloat16] [--seed 0 --seeds 3]

  conll2003              3 epochs, batches of 32, rate 1e-4, warm-up 10 %, decay 0.01, 128 tokens; entity F1 on testb
  conll2003-crf          the same with a linear-chain CRF
  conll2003-whole-words  the same, taught the first piece of each word only
  low-resource-pretrained, low-resource-random   names in Swahili, Yoruba and Hausa together, 3 epochs at 3e-4, from the
                         RUN that `benchmarks.pretraining_quality low-resource-pretrain` left under --scratch, and from
                         random weights of its size and vocabulary; F1 on the test files, together and each

The best of the epochs on the dev file is scored. "served" is the F1 of what the exported graph finds in raw text, its
entities compared by their characters: words joined by spaces ("spaced"), and as they are printed ("printed"), with no
space before points, commas, closing brackets and 's.
"""

import functools
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.ours import PRESET
from benchmarks.pretraining_quality import FINETUNE_DROPOUT, FINETUNE_RATE, Place
from benchmarks.stages import Found, note, stage
from benchmarks.worker import BATCH, MAX_LENGTH, Job, Lap, lap, say, use_two_threads, work

CONLL = tuple(f"conll2003/eng.{part}" for part in ("train", "testa", "testb"))
MASAKHANER = {language: f"masakhaner2/{language}" for language in ("swa", "yor", "hau")}
EPOCHS, CONLL_RATE = 3, 1e-4
CLOSES = frozenset([".", ",", ";", ":", "!", "?", ")", "%", "'s", "n't", "'"])


class Trained(NamedTuple):
    """A tagger, and the time of its training with its scoring."""

    model: object
    spent: Lap


def train_once(
    job: Job, preset: str, train, dev, rate: float, *, seed: int, crf: bool = False, parts: bool = True, **opened
) -> Trained:
    """Fine-tunes in an empty folder; arguments as of `benchmarks.finetuning.finetune_once`.

    Args:
        rate: of learning.
        crf: with a chain.
        parts: see `pipelines.tagging`.
    """
    import kbert
    from kbert.training import Recipe, finetune
    from pipelines import read_tagging, tagging

    examples = read_tagging(train)
    asked = read_tagging(dev, labels=examples.labels)
    model = kbert.Tagger.from_preset(preset, labels=examples.labels, seed=seed, dtype=job.dtype, crf=crf, **opened)
    sizes = {"batch_size": BATCH, "max_length": MAX_LENGTH}
    few = job.amounts.training_examples

    def batches(epochs: range):
        steps = few // BATCH * len(epochs) if few else -1
        return tagging(examples, model.tokenizer_spec, seed=seed, epochs=epochs, parts=parts, **sizes).take(steps)

    dev_batches = tagging(asked, model.tokenizer_spec, **sizes).take(few // BATCH if few else -1)
    recipe = Recipe(epochs=EPOCHS, learning_rate=rate, warmup=0.1, weight_decay=0.01)
    with tempfile.TemporaryDirectory() as folder:
        spent = lap(lambda: finetune(model, batches, dev_batches, f"{folder}/run", recipe))
    return Trained(model, spent)


def scored(job: Job, model, path) -> float:
    """Entity F1 of a model on a file, in percent."""
    from pipelines import tagging

    few = job.amounts.training_examples
    batches = tagging(path, model.tokenizer_spec, batch_size=BATCH, max_length=MAX_LENGTH)
    return 100 * model.scores(batches.take(few // BATCH if few else -1))["f1"]


def served(job: Job, model, path: Path, printed: bool) -> float:
    """F1 of the entities that the served model finds in raw text, in percent."""
    import tensorflow as tf

    from export.saved_model import serving_of
    from pipelines import read_tagging
    from pipelines.tag_schemes import spans

    examples = read_tagging(path, labels=model.labels)
    serve = serving_of(model.in_float32(), MAX_LENGTH).signatures()["serving_default"]
    count = min(len(examples), job.amounts.training_examples or len(examples))
    right = found = both = 0
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        texts, places = zip(*(joined(examples.words[row], printed) for row in rows), strict=True)
        answer = {name: value.numpy() for name, value in serve(text=tf.constant(texts)).items()}
        for row, place in zip(rows, places, strict=True):
            names = ("entity_starts", "entity_ends", "entity_labels")
            columns = [answer[name][row - start].tolist() for name in names]
            said = {(a, b, label.decode()) for a, b, label in zip(*columns, strict=True) if a >= 0}
            entities = spans(examples.tags(row), examples.scheme)
            gold = {(place[span.start][0], place[span.end - 1][1], span.type) for span in entities}
            right, found, both = right + len(gold), found + len(said), both + len(gold & said)
    return 200 * both / max(right + found, 1)


def joined(words, printed: bool) -> tuple[str, list[tuple[int, int]]]:
    """Words as a text, and the characters of each.

    >>> joined(["Ann", "'s", "(", "cat", ")"], printed=True)
    ("Ann's (cat)", [(0, 3), (3, 5), (6, 7), (7, 10), (10, 11)])
    """
    text, places, before = "", [], "("
    for word in words:
        text += "" if before == "(" or (printed and word in CLOSES) or not places else " "
        places.append((len(text), len(text) + len(word)))
        text, before = text + word, word if printed else ""
    return text, places


def conll(job: Job, **how) -> None:
    """A run a seed; prints F1 on testb, of words and served, and the time."""
    use_two_threads()
    train, dev, test = (job.data / name for name in CONLL)
    for seed in range(job.seed, job.seed + job.seeds):
        trained = train_once(job, PRESET, train, dev, CONLL_RATE, seed=seed, **how)
        told = f"seed {seed}"
        say("testb entity F1", scored(job, trained.model, test), "%", note=told)
        for name, printed in (("spaced", False), ("printed", True)):
            say(f"testb served F1, {name}", served(job, trained.model, test, printed), "%", note=told)
        say("time of the epochs", trained.spent.wall, "s", trained.spent.cpu * 1e3, note=told)


def low_resource(job: Job, part: str) -> None:
    """Names from the RUN or from random weights; a seed."""
    place = Place("low-resource", job)
    found = stage(place.folder, f"names-{part}-{job.seed}", lambda: learn_names(place, job, part))
    told = note(found, f"seed {job.seed}")
    for name in ("all", *MASAKHANER):
        say(f"test entity F1, {name}", found[name], "%", note=told)
    say("time of the task", found["seconds"], "s", note=told)


def learn_names(place: Place, job: Job, part: str) -> Found:
    """Fine-tunes once, on the three languages together."""
    use_two_threads()
    random = {"preset": "mini", "vocabulary": str(place.vocabulary)}
    start = random if part == "random" else {"preset": str(place.run)}
    train, dev, test = (
        [job.data / folder / f"{name}.txt" for folder in MASAKHANER.values()] for name in ("train", "dev", "test")
    )
    began = time.perf_counter()
    trained = train_once(
        job, train=train, dev=dev, rate=FINETUNE_RATE, seed=job.seed, dropout=FINETUNE_DROPOUT, **start
    )
    each = {name: scored(job, trained.model, path) for name, path in zip(MASAKHANER, test, strict=True)}
    return {"all": scored(job, trained.model, test), **each, "seconds": time.perf_counter() - began}


WORKS = {
    "conll2003": conll,
    "conll2003-crf": functools.partial(conll, crf=True),
    "conll2003-whole-words": functools.partial(conll, parts=False),
    "low-resource-pretrained": functools.partial(low_resource, part="pretrained"),
    "low-resource-random": functools.partial(low_resource, part="random"),
}

if __name__ == "__main__":
    work(WORKS, __doc__)
