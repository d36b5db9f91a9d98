"""What `benchmarks.exported` asks of the tasks that answer for a whole text: see `benchmarks.exported_trials`."""

import json
from collections.abc import Sequence

import numpy as np

from benchmarks.classifying import examples as classified
from benchmarks.classifying_texts import SETS, Split, columns
from benchmarks.embedding_texts import CLINC150
from benchmarks.exported_trials import EPOCHS, SIZES, STEPS, Answer, Rows, Trial, asked, spread, train
from benchmarks.ours import PRESET
from benchmarks.texts import read_books, read_sst2
from benchmarks.worker import LABELS, MAX_LENGTH, Job

DOMAINS = "clinc150/domains.json"
STSB = tuple(f"stsb/sts-{part}.tsv" for part in ("train", "dev"))
CHOICES, LAST_WORDS, FIRST_WORDS = 4, 30, 20


def of_classes(job: Job, taught: Split, dev: Split) -> Trial:
    """A classifier of texts or pairs."""
    import kbert
    from kbert.tasks.classify_scores import answers, softmax
    from pipelines import classification

    labels = tuple(sorted(set(taught.labels)))
    model = kbert.Classifier.from_preset(PRESET, labels=labels)
    train(job, model, classification(classified(taught, labels), model.tokenizer_spec, seed=0, epochs=EPOCHS, **SIZES))

    def evaluate():
        _, logits = answers(model, classification(classified(dev, labels), model.tokenizer_spec, **SIZES))
        return [Answer(labels[row.argmax()], row) for row in softmax(logits)]

    pair = dev.pairs is not None
    strings = {"text_a": dev.texts, "text_b": dev.pairs} if pair else {"text": dev.texts}
    return Trial(model, strings, evaluate, labelled, {"max_length": MAX_LENGTH, "pair": pair})


def labelled(rows: Rows) -> list[Answer]:
    """Labels and scores."""
    return [Answer(row["label"].decode(), row["scores"]) for row in rows]


def classify(job: Job) -> Trial:
    """SST-2."""
    taught, dev = (
        Split(part.texts, None, [LABELS[label] for label in part.labels])
        for part in (read_sst2(job.data, "train"), read_sst2(job.data, "dev"))
    )
    return of_classes(job, taught, Split(spread(dev.texts, asked(job)), None, spread(dev.labels, asked(job))))


def pairs(job: Job) -> Trial:
    """RTE, whose dev set has 277."""
    taught, dev = SETS["rte"].splits(job.data, None)
    return of_classes(job, taught, dev.few(asked(job)))


def multilabel(job: Job) -> Trial:
    """CLINC150."""
    import kbert
    from kbert.tasks.classify_scores import answers
    from kbert.tasks.multilabel_scores import separator_for, sigmoid
    from pipelines import MultiLabelExamples
    from pipelines import multilabel as batches_of

    domains = json.loads((job.data / DOMAINS).read_text("utf-8"))
    domain = {intent: name for name, intents in domains.items() for intent in intents}
    labels = tuple(sorted({*domain, *domain.values()}))
    place = {label: number for number, label in enumerate(labels)}
    whole = json.loads((job.data / CLINC150[0]).read_text("utf-8"))

    def made(rows: Sequence) -> MultiLabelExamples:
        ids = tuple(tuple(sorted({place[intent], place[domain[intent]]})) for _, intent in rows)
        return MultiLabelExamples(tuple(text for text, _ in rows), None, ("sentence",), ids, labels)

    model = kbert.MultiLabelClassifier.from_preset(PRESET, labels=labels)
    spec = model.tokenizer_spec
    train(job, model, batches_of(made(whole["train"]), spec, seed=0, epochs=EPOCHS, **SIZES), rate=1e-3)
    model.tune_thresholds(batches_of(made(spread(whole["test"], 2 * asked(job))), spec, **SIZES))
    dev = made(spread(whole["val"], asked(job)))

    def evaluate():
        _, logits = answers(model, batches_of(dev, spec, **SIZES))
        return [
            Answer(
                separator_for(labels).join(
                    label for label, p, least in zip(labels, row, model.thresholds, strict=True) if p >= least
                ),
                row,
            )
            for row in sigmoid(logits)
        ]

    return Trial(model, {"text": dev.texts}, evaluate, labelled)


def regress(job: Job) -> Trial:
    """STS-B: nothing is said but the number."""
    import kbert
    from kbert.tasks.classify_scores import answers
    from pipelines import RegressionExamples, regression

    def read(name: str, count: int | None = None) -> RegressionExamples:
        parts = columns(job.data / name, 5, 6, 4)
        first, second, scores = (spread(part, count or len(part)) for part in parts)
        return RegressionExamples(tuple(first), tuple(second), ("a", "b"), tuple(map(float, scores)))

    model = kbert.Regressor.from_preset(PRESET)
    train(job, model, regression(read(STSB[0]), model.tokenizer_spec, seed=0, epochs=EPOCHS, **SIZES))
    dev = read(STSB[1], asked(job))

    def evaluate():
        return [Answer(None, said) for said in answers(model, regression(dev, model.tokenizer_spec, **SIZES))[1]]

    strings, settings = {"text_a": dev.texts, "text_b": dev.pairs}, {"max_length": MAX_LENGTH, "pair": True}
    return Trial(model, strings, evaluate, lambda rows: [Answer(None, row["score"]) for row in rows], settings)


def choice(job: Job) -> Trial:
    """The ends of paragraphs of books, and four starts of paragraphs; the wrong ones are of any place in the books."""
    import kbert
    from kbert.tasks.classify_scores import answers, softmax
    from pipelines import ChoiceExamples
    from pipelines import choice as batches_of

    few = min(STEPS, job.amounts.steps) * 8
    paragraphs = [line for line in read_books(job.data, 2) if len(line.split()) >= LAST_WORDS]
    starts = [" ".join(line.split()[:FIRST_WORDS]) for line in paragraphs]
    draw = np.random.default_rng(job.seed)

    def made(places: Sequence[int]) -> ChoiceExamples:
        texts, rows, right = [], [], []
        for place in places:
            row = [starts[other] for other in draw.integers(len(starts), size=CHOICES - 1)]
            right.append(int(draw.integers(CHOICES)))
            rows.append((*row[: right[-1]], starts[place + 1], *row[right[-1] :]))
            texts.append(" ".join(paragraphs[place].split()[-LAST_WORDS:]))
        return ChoiceExamples(tuple(texts), tuple(rows), ("sentence",), tuple(right))

    order = draw.permutation(len(paragraphs) - 1).tolist()
    dev, taught = made(order[: asked(job)]), made(order[asked(job) : asked(job) + few])
    model = kbert.Chooser.from_preset(PRESET)
    spec = model.tokenizer_spec
    train(job, model, batches_of(taught, spec, batch_size=8, max_length=MAX_LENGTH, seed=0, epochs=EPOCHS), 60)

    def evaluate():
        _, logits = answers(model, batches_of(dev, spec, **SIZES))
        return [Answer(int(row.argmax()), row) for row in softmax(logits)]

    strings = {"text": dev.texts, "choices": dev.choices}
    return Trial(model, strings, evaluate, lambda rows: [Answer(int(row["choice"]), row["scores"]) for row in rows])


def embed(job: Job) -> Trial:
    """STS-B's first texts, each once; what is said is which other text is nearest."""
    from kbert.cli.embedding import embed as vectors_of
    from kbert.cli.embedding import open_embedder

    model = open_embedder(PRESET)
    texts = spread(list(dict.fromkeys(columns(job.data / STSB[1], 5)[0])), asked(job))

    def nearest(vectors: np.ndarray) -> list[Answer]:
        cosines = vectors @ vectors.T - 2 * np.eye(len(vectors))
        return [Answer(int(row.argmax()), vector) for row, vector in zip(cosines, vectors, strict=True)]

    return Trial(
        model,
        {"text": texts},
        lambda: nearest(vectors_of(model, texts, max_length=MAX_LENGTH)),
        lambda rows: nearest(np.stack([row["embedding"] for row in rows])),
    )
