"""How good answers to questions are: exact match and F1 as the evaluators of SQuAD 1.1 and 2.0 count them.

Rajpurkar et al. 2016 and 2018. Text with Chinese characters is compared character by character and without its
punctuation, as in the evaluators of CMRC 2018 (Cui et al. 2019) and MLQA (Lewis et al. 2020).

N windows, K labelled examples.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# Ideographs, as Google's tokenizer knows them (`_is_chinese_char`), and kana, which are not parted by spaces either.
CHARACTERS = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ceaf\U0002f800-\U0002fa1f]"
)


def normalized(text: str, by_characters: bool = False) -> str:
    """What of an answer counts: lower case, no punctuation, no articles, single spaces; by characters with a space
    around every Chinese one, and all that Unicode calls punctuation left out.

    >>> normalized("The  Cat, a dog"), normalized("1973年，OPEC。", by_characters=True)
    ('cat dog', '1973 年 opec')
    """
    text = text.lower()
    if by_characters:
        text = "".join(" " if unicodedata.category(sign).startswith("P") else sign for sign in text)
        text = CHARACTERS.sub(r" \g<0> ", text)
    text = text.translate(_NO_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", text).split())


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def overlap_f1(said: str, right: str) -> float:
    """Harmonic mean of the shares of words that two normalized answers have in common; both empty share all.

    >>> overlap_f1("black cat", "cats and black cat")
    0.6666666666666666
    """
    words, true = said.split(), right.split()
    if not words or not true:
        return float(words == true)
    common = sum((Counter(words) & Counter(true)).values())
    return 2 * common / (len(words) + len(true))


def squad_scores(
    gold: Mapping[str, Sequence[str]],
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float] | None = None,
    by_characters: bool | None = None,
) -> dict[str, Any]:
    """Figures of answers, as SQuAD's evaluators but in [0, 1].

    A right answer of punctuation alone, such as the "." of two questions of SQuAD 2.0's dev set, is as good as none;
    the Model Garden's evaluator takes it out of the right answers.

    Args:
        gold: id of a question -> its right answers, none where it cannot be answered; `examples.gold`.
        predictions: id -> answer, "" for none, as in predictions.json. A question that is not there scores 0.
        null_odds: id -> how much more no answer is worth than the best one, as in null_odds.json; for the best
            threshold. The predictions should then be best answers, never "".
        by_characters: see `normalized`; None for as `is_chinese` finds it.

    Returns:
        {"f1", "exact", "examples", "missing"}: means over all questions of the best against any right answer. Where
        some cannot be answered, also both figures of those that can ("answerable_...") and cannot ("unanswerable_...");
        with null_odds "best_f1", "best_exact" and the thresholds that give them.

    >>> scores = squad_scores({"a": ["the cat"], "b": ["dog", "two dogs"]}, {"a": "cat", "b": "three dogs"})
    >>> scores["exact"], scores["f1"]
    (0.5, 0.75)

    Raises:
        ValueError: no question, or a prediction that is not a string.
    """
    if not gold:
        raise ValueError("An evaluation needs at least one question; got none.")
    for name, answer in predictions.items():
        if not isinstance(answer, str):
            raise ValueError(f'A prediction is a string, "" for no answer; got {answer!r} for question {name}.')
    answerable = np.array([bool(answers) for answers in gold.values()])
    figures = _figures(gold, predictions, is_chinese(gold) if by_characters is None else by_characters)
    scores: dict[str, Any] = {name: float(values.mean()) for name, values in figures.items()}
    scores |= {"examples": len(gold), "missing": sum(name not in predictions for name in gold)}
    if not answerable.all():
        for group, chosen in (("answerable", answerable), ("unanswerable", ~answerable)):
            means = {name: float(values[chosen].mean()) for name, values in figures.items() if chosen.any()}
            scores |= {f"{group}_{name}": mean for name, mean in means.items()} | {
                f"{group}_examples": int(chosen.sum())
            }
    if null_odds is not None:
        odds = np.array([null_odds[name] for name in gold])
        silent = np.array([not predictions.get(name) for name in gold])
        for name, values in figures.items():
            best, threshold = _best_threshold(values, odds, answerable, silent)
            scores |= {f"best_{name}": best, f"best_{name}_threshold": threshold}
    return scores


def is_chinese(gold: Mapping[str, Sequence[str]]) -> bool:
    """Whether a tenth of the questions or more have an answer with a Chinese character: a name here and there in
    English contexts does not change how they are scored, nor does a number in Chinese ones.
    """
    return sum(any(map(CHARACTERS.search, answers)) for answers in gold.values()) * 10 >= len(gold)


def _figures(
    gold: Mapping[str, Sequence[str]], predictions: Mapping[str, str], by_characters: bool
) -> dict[str, np.ndarray]:
    """F1 and exact match of each question's answer, the best against any right one; float64 [K] each."""
    all_answerable = all(gold.values())
    f1, exact = np.zeros(len(gold)), np.zeros(len(gold))
    for place, (name, answers) in enumerate(gold.items()):
        if name in predictions:
            said = normalized(predictions[name], by_characters)
            right = {normalized(answer, by_characters) for answer in answers} or {""}
            exact[place] = said in right
            # The evaluator of SQuAD 1.1 finds no common word in answers of articles and punctuation alone.
            f1[place] = max(overlap_f1(said, true) for true in right) if said or not all_answerable else 0.0
    return {"f1": f1, "exact": exact}


def _best_threshold(values: np.ndarray, odds: np.ndarray, answerable: np.ndarray, silent: np.ndarray):
    """(mean, threshold) that score best, where questions whose odds are over the threshold get no answer.

    Thresholds are tried from the lowest up, and the first of the best is taken, as the evaluator of SQuAD 2.0 does.
    """
    order = np.argsort(odds, kind="stable")
    gain = np.where(answerable, values, np.where(silent, 0.0, -1.0))[order]
    totals = np.concatenate([[0.0], np.cumsum(gain)]) + (~answerable).sum()
    best = int(totals.argmax())
    threshold = odds[order[best - 1]] if best else odds.min() - 1.0  # the latter answers no question
    return float(totals[best] / len(values)), float(threshold)


class Spans(NamedTuple):
    """First and last tokens, right and answered, int [N] each; -1 where no answer was better than none."""

    starts: np.ndarray
    ends: np.ndarray
    said_starts: np.ndarray
    said_ends: np.ndarray


def read_spans(model, batches: Iterable) -> Spans:
    """The tokens with the best scores for first and last, beside the right ones.

    Args:
        model: a span reader.
        batches: of (inputs, labels) or (inputs, labels, weights).

    Raises:
        ValueError: no batch.
    """
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for inputs, labels, *_ in batches:
        logits = model.predict_on_batch(inputs)
        found = [labels["start_positions"], labels["end_positions"]]
        found += [np.argmax(logits[name], axis=-1) for name in ("start_logits", "end_logits")]
        for column, values in zip(columns, found, strict=True):
            column.append(np.asarray(values))
    if not columns[0]:
        raise ValueError("An evaluation needs at least one example; got none.")
    return Spans(*map(np.concatenate, columns))


def span_scores(starts: np.ndarray, ends: np.ndarray, said_starts: np.ndarray, said_ends: np.ndarray) -> dict[str, Any]:
    """Exact match and F1 of windows, in tokens: {"examples", "f1", "exact"}; all arguments int [N], see `Spans`.

    A span that ends before it starts holds nothing.

    >>> scores = span_scores(*map(np.array, ([3, 0], [4, 0], [4, 0], [5, 0])))
    >>> scores["f1"], scores["exact"]
    (0.75, 0.5)
    """
    common = np.minimum(ends, said_ends) - np.maximum(starts, said_starts) + 1
    sizes = (ends - starts + 1) + np.maximum(said_ends - said_starts + 1, 0)
    return {
        "examples": len(starts),
        "f1": float(np.mean(2 * np.maximum(common, 0) / sizes)),
        "exact": float(np.mean((starts == said_starts) & (ends == said_ends))),
    }
