"""Figures of answers are those of SQuAD's evaluators, and say something of Chinese."""

import gzip
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from kbert.tasks.qa_scores import normalized, squad_scores

WORDS = ("The", "cat", "a", "cats,", "dog.", "an", "Naïve", "½", "-", "OPEC", "10%", "x", "x")


def evaluator(version):
    """The Model Garden's evaluator; its package would pull in all of the Garden."""
    pytest.importorskip("absl")
    package = importlib.util.find_spec("official")
    if package is None:
        pytest.skip("tf-models-official is not installed")
    path = Path(next(iter(package.submodule_search_locations))) / "nlp" / "tools" / f"squad_evaluate_v{version}.py"
    spec = importlib.util.spec_from_file_location(f"squad_evaluate_v{version}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.evaluate


def squad(gold):
    """Gold answers in SQuAD's form, as an evaluator wants them."""
    asked = [{"id": name, "answers": [{"text": text} for text in answers]} for name, answers in gold.items()]
    return [{"paragraphs": [{"qas": asked}]}]


def drawn(unanswerable, seed=0, count=150):
    """Right answers and predictions of a few words, so that all of their overlaps happen."""
    random = np.random.default_rng(seed)

    def text(least):
        return " ".join(random.choice(WORDS, random.integers(least, 5)))

    gold = {}
    for number in range(count):
        answers = (f"{text(1)} dog" for _ in range(random.integers(0 if unanswerable else 1, 4)))
        gold[f"q{number}"] = tuple(answers)
    said = {name: "" if unanswerable and random.random() < 0.2 else text(1) for name in gold}
    return gold, said, {name: float(random.normal()) for name in gold}


def test_figures_are_the_model_gardens_of_version_1():
    gold, said, _ = drawn(unanswerable=False)
    del said["q3"]
    expected, scores = evaluator("1_1")(squad(gold), said), squad_scores(gold, said)
    assert scores["f1"] == pytest.approx(expected["final_f1"])
    assert scores["exact"] == pytest.approx(expected["exact_match"])
    assert scores["missing"] == 1 and 0 < scores["exact"] < scores["f1"] < 1


def test_figures_and_best_thresholds_are_the_model_gardens_of_version_2():
    gold, said, odds = drawn(unanswerable=True)
    expected = evaluator("2_0")(squad(gold), said, dict.fromkeys(gold, 0.0))
    scores = squad_scores(gold, said)
    for ours, theirs in (("", ""), ("answerable_", "HasAns_"), ("unanswerable_", "NoAns_")):
        for name in ("f1", "exact"):
            assert 100 * scores[ours + name] == pytest.approx(expected[theirs + name])
    expected, scores = evaluator("2_0")(squad(gold), said, odds), squad_scores(gold, said, odds)
    for name in ("f1", "exact"):
        assert 100 * scores[f"best_{name}"] == pytest.approx(expected[f"final_{name}"])
        if scores[f"best_{name}_threshold"] < min(odds.values()):  # to answer nothing is best; theirs then says 0
            assert expected[f"final_{name}_thresh"] == 0
        else:
            assert scores[f"best_{name}_threshold"] == pytest.approx(expected[f"final_{name}_thresh"])
        assert scores[f"best_{name}"] > scores[name]


def test_the_best_threshold_gives_the_best_figure():
    gold, said, odds = drawn(unanswerable=True, seed=4)
    said = {name: text or "x" for name, text in said.items()}
    best = squad_scores(gold, said, odds)
    with_it = {name: "" if odds[name] > best["best_f1_threshold"] else text for name, text in said.items()}
    assert squad_scores(gold, with_it)["f1"] == pytest.approx(best["best_f1"])


@pytest.mark.parametrize(
    ("answer", "right", "f1", "exact"),
    [
        ("北京大学", "北京", 2 / 3, 0.0),  # 2 of 4 and 2 of 2 characters
        ("《北京》", "北京。", 1.0, 1.0),
        ("1973年", "1973", 2 / 3, 0.0),  # a number is one word
        ("光荣和Omega-Force", "光荣", 4 / 7, 0.0),  # 光 荣 和 omega force
        ("上海", "北京", 0.0, 0.0),
        ("四次", "四 次", 1.0, 1.0),
    ],
)
def test_chinese_is_compared_by_characters(answer, right, f1, exact):
    scores = squad_scores({"a": [right], "b": ["中"]}, {"a": answer, "b": "中"})
    assert 2 * scores["f1"] - 1 == pytest.approx(f1)
    assert 2 * scores["exact"] - 1 == exact


def test_one_chinese_word_leaves_english_alone():
    gold = {str(number): ["the Great Yuan code"] for number in range(11)}
    said = dict.fromkeys(gold, "Chinese: 大元通制, the Great Yuan code")
    assert squad_scores(gold, said)["f1"] == pytest.approx(2 * 3 / (5 + 3))
    assert squad_scores(gold, said, by_characters=True)["f1"] == pytest.approx(2 * 3 / (8 + 3))
    assert normalized("don't—stop") == "dont—stop" and normalized("别—停", by_characters=True) == "别 停"


def test_what_cannot_be_scored_is_said():
    with pytest.raises(ValueError, match="at least one question"):
        squad_scores({}, {})
    with pytest.raises(ValueError, match="a string.*got 5 for question q"):
        squad_scores({"q": ["a"]}, {"q": 5})


@pytest.mark.parametrize(
    ("version", "name", "exact", "f1"),
    [("1.1", "bert_ensemble_v1.1", 86.21, 92.20), ("2.0", "bert_single_v2.0", 78.76, 81.79)],
)
def test_published_predictions_have_their_published_figures(version, name, exact, f1, shared_data):
    folder = shared_data / "squad"
    data = json.loads((folder / f"dev-v{version}.reconstructed.json").read_text("utf-8"))["data"]
    asked = [one for article in data for paragraph in article["paragraphs"] for one in paragraph["qas"]]
    gold = {one["id"]: [answer["text"] for answer in one["answers"]] for one in asked}
    with gzip.open(folder / "predictions" / f"{name}.json.gz") as file:
        scores = squad_scores(gold, json.load(file))
    assert (round(100 * scores["exact"], 2), round(100 * scores["f1"], 2)) == (exact, f1)
    assert scores["missing"] == 0
