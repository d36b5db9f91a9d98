"""How good tags are: entities by seqeval, as the CoNLL-2003 shared task counts them.

S sentences, W words of a sentence, C tags.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from kbert.tasks.classify_scores import softmax
from kbert.tasks.viterbi import best_tags


class Answered(NamedTuple):
    """What is right, what a tagger says, int [W] each, and minus the log of the probability of what is right."""

    right: np.ndarray
    said: np.ndarray
    losses: np.ndarray


def answers(model, batches: Iterable, at_once: int = 256) -> list[Answered]:
    """The best tags of each sentence, decoded whole: rows of one sentence that follow one another are joined.

    Args:
        model: a `kbert.Tagger`.
        batches: of (inputs, labels int [B, W], ...) in the order of the files. Inputs hold `word_positions`, 0 where
            there is no word and below 0 for a word without a piece, which is "O"; and, where sentences have several
            rows, `text_numbers`.
        at_once: sentences that are decoded together.

    Raises:
        ValueError: no batch.
    """
    sentences, before, count = [], None, 0
    for inputs, right, *_ in batches:
        logits = np.asarray(model.predict_on_batch(inputs), "float32")
        positions, right = np.asarray(inputs["word_positions"]), np.asarray(right)
        numbers = np.asarray(inputs.get("text_numbers", count + np.arange(len(right))))
        count += len(right)
        for row, number in enumerate(numbers):
            there = positions[row] != 0
            part = (right[row][there], logits[row][there], positions[row][there] > 0)
            if number == before:
                part = tuple(map(np.concatenate, zip(sentences.pop(), part, strict=True)))
            sentences.append(part)
            before = number
    if not count:
        raise ValueError("An evaluation needs at least one example; got none.")
    return [
        answered
        for start in range(0, len(sentences), at_once)
        for answered in _decode(model, sentences[start : start + at_once])
    ]


def _decode(model, sentences: Sequence[tuple]) -> Iterable[Answered]:
    """Words without a piece are left out of the sequence, and are "O", or the first tag where there is no such."""
    lengths = [int(known.sum()) for *_, known in sentences]
    logits = np.zeros([len(sentences), max([1, *lengths]), len(model.labels)], "float32")
    for row, (_, scores, known) in enumerate(sentences):
        logits[row, : lengths[row]] = scores[known]
    transitions = np.asarray(model.transitions()) if model.crf else None
    best = np.asarray(best_tags(logits, np.array(lengths, "int32"), model.legal, transitions))
    outside = model.labels.index("O") if "O" in model.labels else 0
    for row, (right, scores, known) in enumerate(sentences):
        said = np.full(len(right), outside)
        said[known] = best[row, : lengths[row]]
        certain = softmax(scores)[np.arange(len(right)), right] if len(right) else np.zeros(0)
        yield Answered(right, said, -np.log(np.maximum(certain[known], 1e-30)))


def tagging_scores(answered: Sequence[Answered], labels: Sequence[str], scheme: str = "iob2") -> dict[str, Any]:
    """Precision, recall and F1 of entities, all types together and each; accuracy and mean loss of the words.

    Args:
        answered: a sentence each.
        labels: C tags.
        scheme: of the labels; plain tags ("none") count as entities of a word, and F1 is the mean over the tags.

    Returns:
        {"sentences", "words", "loss", "f1", "precision", "recall", "accuracy", "types": {type: {"precision", "recall",
        "f1", "support"}}}: floats, and counts as int. `loss` is without a CRF's transitions.

    Source: seqeval, which counts as conlleval does (Tjong Kim Sang and De Meulder 2003).
    """
    right, said = ([[labels[tag] for tag in sentence[which]] for sentence in answered] for which in (0, 1))
    flat = [np.concatenate([sentence[which] for sentence in answered]) for which in (0, 1, 2)]
    micro, types = _plain(flat, labels) if scheme == "none" else _entities(right, said)
    return {
        "sentences": len(answered),
        "words": len(flat[0]),
        "loss": float(flat[2].mean()) if len(flat[2]) else 0.0,
        **micro,
        "accuracy": float((flat[0] == flat[1]).mean()) if len(flat[0]) else 0.0,
        "types": types,
    }


def _entities(right: list[list[str]], said: list[list[str]]) -> tuple[dict, dict]:
    from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

    found = precision_recall_fscore_support(right, said, average="micro", zero_division=0)
    micro = dict(zip(("precision", "recall", "f1"), map(float, found[:3]), strict=True))
    names = sorted({kind for tags in (right, said) for kind, *_ in get_entities(tags)})
    if not names:
        return micro, {}
    return micro, _by_name(names, precision_recall_fscore_support(right, said, average=None, zero_division=0))


def _plain(flat: list[np.ndarray], labels: Sequence[str]) -> tuple[dict, dict]:
    from sklearn.metrics import precision_recall_fscore_support

    each = precision_recall_fscore_support(flat[0], flat[1], labels=range(len(labels)), zero_division=0)
    types = {name: row for name, row in _by_name(labels, each).items() if row["support"]}
    mean = {key: float(np.mean([row[key] for row in types.values()])) for key in ("precision", "recall", "f1")}
    return mean, types


def _by_name(names: Sequence[str], columns: Sequence) -> dict[str, dict[str, Any]]:
    rows = zip(names, *columns, strict=True)
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(support)}
        for name, p, r, f, support in rows
    }


def table(scores: dict[str, Any]) -> list[str]:
    """Lines to read: the figures, then a row a type."""
    figures = "   ".join(f"{name} {scores[name]:.4f}" for name in ("f1", "precision", "recall", "accuracy", "loss"))
    width = max([4, *map(len, scores["types"])])
    lines = [f"{scores['sentences']} sentences, {scores['words']} words", figures, ""]
    lines += [f"{'type':{width}}  precision  recall      f1  support"]
    for name, row in scores["types"].items():
        share = f"{row['precision']:9.4f} {row['recall']:7.4f} {row['f1']:7.4f}"
        lines.append(f"{name:{width}}  {share} {row['support']:8}")
    return lines
