"""Few examples a class: an embedder learns which texts are of one class, then a linear head tells the classes.

N texts, C classes, D width.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import kbert
from kbert.cli.embedding import embed
from kbert.cli.progress import Progress
from kbert.cli.task import digest
from kbert.cli.tasks.classify import Classify
from kbert.optimizer import adamw
from kbert.runs import REPORT, Run
from kbert.saving import save_model
from kbert.tasks.classify import Classifier
from kbert.tasks.embed import Embedder
from kbert.watching import StopOnNaN
from pipelines import ClassificationExamples, embedding, pairs_of_classes

STRENGTH = 10.0  # C of the logistic regression, for vectors of length 1, more or less: few texts, and far apart


@dataclass(frozen=True)
class FewShots:
    """How few examples are learned.

    Args:
        model: a preset or a RUN.
        shots: examples a class, drawn at random; all, where there are fewer.
        rounds: how often each of them is paired with another of its class; 0 leaves the encoder as it is.
        batch_size: pairs in a step: the more, the more texts of other classes each is held against.
        learning_rate: of the encoder, the highest.
        seed: of the drawing of examples and pairs, and of dropout.
        dtype: what layers compute in.
    """

    model: str
    shots: int = 8
    rounds: int = 10
    batch_size: int = 32
    learning_rate: float = 5e-5
    seed: int = 0
    dtype: str = "float32"


def drawn(examples: ClassificationExamples, shots: int, seed: int) -> ClassificationExamples:
    """`shots` examples of each class at random, or all that it has, in the order of the file.

    >>> examples = ClassificationExamples(("a", "b", "c", "d"), label_ids=(0, 1, 0, 0), labels=("x", "y"))
    >>> drawn(examples, 2, seed=0).counts()
    {'x': 2, 'y': 1}
    """
    order = np.random.default_rng(seed).permutation(len(examples))
    taken, counts = [], dict.fromkeys(range(len(examples.labels)), 0)
    for place in order:
        label = examples.label_ids[place]
        if counts[label] < shots:
            counts[label] += 1
            taken.append(int(place))
    taken.sort()
    return replace(
        examples,
        texts=tuple(examples.texts[place] for place in taken),
        label_ids=tuple(examples.label_ids[place] for place in taken),
    )


def learn(settings: FewShots, examples: ClassificationExamples, max_length: int, callbacks=()) -> Classifier:
    """A classifier from these examples: the encoder by pairs, the head by logistic regression on its vectors.

    Args:
        settings: all but `shots`, which is for drawing.
        examples: single texts.
        max_length: most tokens of a text.
        callbacks: any of Keras', for the encoder's training.

    Raises:
        ValueError: pairs of texts.
        TrainingDiverged: the loss is no longer finite.

    References: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", https://arxiv.org/abs/2209.11055;
    pairs are held against all of their batch here, `kbert.tasks.contrastive.RankingLoss`, and not one against one.
    """
    if examples.pairs is not None:
        raise ValueError(f"kbert few-shot is for single texts; got pairs in {' and '.join(examples.columns)}.")
    model = Embedder.from_preset(
        settings.model, normalize=False, objective="ranking", seed=settings.seed, dtype=settings.dtype
    )
    model.compile()
    if settings.rounds:
        pairs = pairs_of_classes(examples.texts, examples.label_ids, settings.rounds, settings.seed)
        batches = embedding(
            pairs, model.tokenizer_spec, batch_size=settings.batch_size, max_length=max_length, seed=settings.seed
        )
        steps = int(batches.cardinality())
        model.compile(adamw(settings.learning_rate, steps, warmup=0.1))
        model.fit(batches, epochs=1, verbose=0, callbacks=[StopOnNaN(), *callbacks])
    vectors = embed(model, examples.texts, max_length=max_length)
    kernel, bias = linear_head(vectors, np.array(examples.label_ids), len(examples.labels))
    classifier = Classifier(
        model.config, model.tokenizer, examples.labels, settings.seed, pooling=model.pooling, dtype=settings.dtype
    )
    own = {**model.named_weights(), "classifier/kernel": kernel, "classifier/bias": bias}
    for name, weight in classifier.named_weights().items():
        weight.assign(own[name])
    return classifier


def linear_head(vectors: np.ndarray, label_ids: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of scikit-learn's logistic regression as those of a softmax: float32 [D, C] and [C].

    Vectors are brought to length 1 on average before, and the kernel takes that back. A class without an example has
    zeros, and a bias below all others.

    Args:
        vectors: float [N, D].
        label_ids: int [N], of two classes at least.
        num_classes: C.
    """
    from sklearn.linear_model import LogisticRegression

    scale = 1.0 / max(float(np.linalg.norm(vectors, axis=1).mean()), 1e-12)
    fitted = LogisticRegression(C=STRENGTH, max_iter=1000).fit(vectors * scale, label_ids)
    kernel, bias = np.zeros([vectors.shape[1], num_classes], "float32"), np.full([num_classes], -1e4, "float32")
    weights, biases = fitted.coef_, fitted.intercept_  # of two classes the second's alone
    if len(fitted.classes_) == 2:
        weights, biases = np.stack([0 * weights[0], weights[0]]), np.array([0.0, biases[0]])
    kernel[:, fitted.classes_] = weights.T * scale
    bias[fitted.classes_] = biases
    return kernel, bias


def few_shot(
    task: Classify, run: Run, train: ClassificationExamples, dev: Any, settings: FewShots, told: dict[str, Any]
) -> dict[str, Any]:
    """Learns from a few of the training examples, scores the dev set where there is one, and writes the RUN.

    Args:
        task: with the length and the columns.
        run: where it goes.
        train: of which some are drawn.
        dev: examples, or None.
        settings: see `FewShots`.
        told: what task.json says beside: the command and the files.
    """
    examples = drawn(train, settings.shots, settings.seed)
    counts = {**vars(settings), **told["settings"], "examples": len(examples), "train_digest": digest(examples)}
    said = {**task.facts(examples), "kbert_version": kbert.__version__, **told, "settings": counts}
    pairs = len(examples) * settings.rounds
    progress = Progress(pairs, settings.batch_size)
    try:
        model = learn(settings, examples, task.max_length, [progress])
    finally:
        progress.stop()
    run.begin(said)
    model.compile()
    scores = task.scores(model, dev, settings.batch_size) if dev else {}
    result = {"examples": len(examples), "pairs": pairs}
    result |= {"dev": {name: value for name, value in scores.items() if isinstance(value, float)}} if dev else {}
    run.write_task({**said, "result": result})
    parts = [
        f"# few-shot, from {settings.model}",
        f"    {told['command']}",
        f"{len(examples)} examples, {pairs} pairs.",
    ]
    parts += ["\n".join(f"    {line}" for line in task.table(scores)) if dev else "Not scored: no dev set."]
    run.write(
        REPORT, "\n\n".join([*parts, *(task.sections(run, model, dev, scores, settings.batch_size) if dev else [])])
    )
    save_model(run.folder, model, overwrite=True)
    return {"run": str(run.folder), **result}
