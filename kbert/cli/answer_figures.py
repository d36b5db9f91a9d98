"""How good served answers are on labelled examples: the first figure of each task, from what its signature says.

`kbert evaluate` scores a model by its logits; an exported file gives answers alone.

N examples, S texts of each.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from kbert.cli.task import Task

Rows = Sequence[Mapping[str, np.ndarray]]  # a question's row of each output


def figure_of(task: Task, model: Any, examples: Any) -> tuple[str, Callable[[Sequence[Rows]], float]]:
    """The name of a task's first figure, and how answers give it.

    Args:
        task: of the model.
        model: the trained one, with its labels and thresholds.
        examples: labelled.

    Returns:
        A name, and a function of the answers to each of `columns_of` -> the figure.

    Raises:
        ValueError: a task without labelled examples.
    """
    if task.name not in FIGURES:
        raise ValueError(
            f"--compare is for a RUN of kbert finetune, whose answers a labelled file can score; got {task.name}."
        )
    return FIGURES[task.name](task, model, examples)


def columns_of(task: Task, examples: Any) -> list[dict[str, Sequence]]:
    """What is asked: strings by name; several times where each example has several texts that are asked alone."""
    if task.name == "embed":
        return [{"text": column} for column in examples.texts]
    return [dict(task.strings(task.asked_again(examples)))]


def share(said: Sequence, right: Sequence) -> float:
    """How many of all are equal.

    >>> share([1, 2, 2, 4], [1, 2, 3, 4])
    0.75
    """
    return sum(one == other for one, other in zip(said, right, strict=True)) / len(right)


def classify(task, model, examples):
    """Accuracy."""
    right = [examples.labels[label].encode() for label in examples.label_ids]
    return "accuracy", lambda rows: share([row["label"] for row in rows[0]], right)


def choice(task, model, examples):
    """Accuracy."""
    return "accuracy", lambda rows: share([int(row["choice"]) for row in rows[0]], examples.label_ids)


def multilabel(task, model, examples):
    """F1 over all answers, by the model's thresholds."""
    from kbert.tasks.multilabel_scores import logit, multilabel_scores

    def score(rows):
        said = logit(np.stack([row["scores"] for row in rows[0]]))
        return multilabel_scores(examples.targets(), said, model.labels, model.thresholds)["micro_f1"]

    return "micro_f1", score


def regress(task, model, examples):
    """Spearman's correlation."""
    from kbert.tasks.regress_scores import regression_scores

    right = np.array(examples.scores)
    return "spearman", lambda rows: regression_scores(right, np.array([row["score"] for row in rows[0]]))["spearman"]


def qa(task, model, examples):
    """F1 of SQuAD."""
    from kbert.tasks.qa_scores import squad_scores

    def score(rows):
        said = {name: row["answer"].decode() for name, row in zip(examples.ids, rows[0], strict=True)}
        return squad_scores(examples.gold, said)["f1"]

    return "f1", score


def embed(task, model, examples):
    """The first figure of such examples: of searches, of correlation, or of telling labels 1 from 0."""
    from kbert.cli.tasks.embed import objective_of
    from kbert.tasks.embed_scores import FIGURES, embedding_scores

    known = examples.numbers() if examples.scores is None else np.array(examples.scores)
    name = FIGURES[objective_of(examples.kind)][0]

    def score(rows):
        vectors = [np.stack([row["embedding"] for row in column]) for column in rows]
        return embedding_scores(np.stack(vectors, axis=1), np.asarray(known))[name]

    return name, score


def tag(task, model, examples):
    """F1 of entities, by the tags that a file's own words get."""
    from kbert.tasks.tag_scores import Answered, tagging_scores

    number = {label: place for place, label in enumerate(model.labels)}

    def score(rows):
        answered = []
        for line, right in zip(task.lines(task.asked_again(examples), rows[0]), examples.tag_ids, strict=True):
            said = np.array([number[name] for name in line["tags"]], "int64")
            answered.append(Answered(np.array(right, "int64"), said, np.zeros(len(said))))
        return tagging_scores(answered, model.labels, model.scheme)["f1"]

    return "f1", score


FIGURES: Mapping[str, Callable] = MappingProxyType(
    {one.__name__: one for one in (classify, choice, multilabel, regress, qa, embed, tag)}
)
