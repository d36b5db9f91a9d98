"""Repeats: the same training over several seeds or folds, and what its figures come to.

N examples, K folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

SHARED = ("labels", "columns", "skipped")  # sequences of examples that do not go by example


def folds(examples: Any, num_folds: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits for cross-validation by scikit-learn: every example is held out once.

    Where each example has one label, every fold has the labels' shares (Kohavi 1995, section 2.1); questions about one
    context stay together.

    Args:
        examples: a dataclass with a length; `label_ids` and `contexts` are used where it has them.
        num_folds: K, from 2 to N.
        seed: of the shuffle.

    Returns:
        K times (places of the training examples, places of those held out), int, ascending.

    Raises:
        ValueError: K is not from 2 to the number of examples, or of contexts.
    """
    import warnings

    from sklearn import model_selection

    labels, contexts = (getattr(examples, name, ()) for name in ("label_ids", "contexts"))
    most = len(set(contexts)) if contexts else len(examples)
    if not 2 <= num_folds <= most:
        raise ValueError(f"folds is from 2 to {most}, what there is to hold out; got {num_folds}.")
    places, kind = np.zeros(len(examples)), model_selection.KFold
    if contexts:
        kind = model_selection.GroupKFold
    elif len(labels) == len(examples) and all(isinstance(label, int) for label in labels):
        often = max(np.bincount(labels)) >= num_folds  # scikit-learn asks for one label that is in every fold
        kind = model_selection.StratifiedKFold if often else kind
    splitter = kind(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label rarer than folds: there is no better split
        return list(splitter.split(places, labels or None, contexts or None))


def by_example(examples: Any) -> dict[str, Sequence]:
    """The fields of examples that hold a value an example, by name."""
    held = {field.name: getattr(examples, field.name) for field in fields(examples) if field.name not in SHARED}
    return {name: value for name, value in held.items() if isinstance(value, tuple) and len(value) == len(examples)}


def chosen(examples: Any, places: Sequence[int]) -> Any:
    """The examples at these places, in this order; labels and columns as they are.

    A field may also hold columns, each with a value an example, as those of pairs and triplets do.
    """

    def part(column: Sequence) -> tuple:
        return tuple(column[i] for i in places)

    found = {name: part(column) for name, column in by_example(examples).items()}
    for field in fields(examples):
        columns = getattr(examples, field.name)
        if field.name in found or field.name in SHARED or not isinstance(columns, tuple) or not columns:
            continue
        if all(isinstance(column, tuple) and len(column) == len(examples) for column in columns):
            found[field.name] = tuple(map(part, columns))
    return replace(examples, **found)


def spread(figures: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and spread of each figure over repeats.

    Args:
        figures: name of a repeat -> figures.

    Returns:
        figure -> {"mean", "spread": sample standard deviation (over n - 1), 0 for one repeat; "lowest", "highest"}.

    >>> spread({"seed-0": {"accuracy": 0.5}, "seed-1": {"accuracy": 0.75}})["accuracy"]["mean"]
    0.625
    """
    found = {}
    for name in next(iter(figures.values()), {}):
        values = np.array([repeat[name] for repeat in figures.values()])
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        found[name] = {
            "mean": float(np.mean(values)),
            "spread": deviation,
            "lowest": float(np.min(values)),
            "highest": float(np.max(values)),
        }
    return found
