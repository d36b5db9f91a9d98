"""The figure of `kbert export --compare` is that of `kbert evaluate`, for every task."""

import json

import pytest
import tensorflow as tf
from exported_models import TAGS, P, make

from export.saved_model import serving_of
from kbert.cli.answer_figures import FIGURES, columns_of, figure_of
from kbert.cli.answering import Answerer
from kbert.cli.tasks import named

LONG = "very " * (P + 3) + "good"  # cut, or seen through windows
TEXTS = ("the cat sat", "a dog ran", "unhappy !", "", "very good", "not bad .", LONG, "it was", "the film", "a cat !")
OTHERS = ("a cat sat", "the film", "not bad", "it", "good", "bad .", "film", LONG, "the film", "dog")
RELATED = [f"{a}\t{b}" for a, b in zip(TEXTS, OTHERS, strict=True)]
THREE = [f"{row}\t{text}" for row, text in zip(RELATED, TEXTS[::-1], strict=True)]
TONES, MANY = ("negative", "positive", "n\u00e4chste"), ("one", "one,two", "", "three", "two,three")
WORDS = [text.split() or ["cat.dog"] for text in TEXTS]


def table(header, rows, values):
    """Lines of a TSV whose last column goes round these values."""
    return "\n".join([header, *(f"{row}\t{values[place % len(values)]}" for place, row in enumerate(rows))]) + "\n"


def question(place):
    context = f"{LONG} the cat sat . a dog ran {'!' * place}"
    start = context.index("cat sat")
    answers = [{"text": "cat sat", "answer_start": start}] if place % 3 else []
    return {"id": str(place), "question": TEXTS[place] or "who ?", "context": context, "answers": answers}


def tagged():
    sentences = [[(word, TAGS[len(word) % len(TAGS)]) for word in words] for words in WORDS]
    return "".join("".join(f"{word} {tag}\n" for word, tag in sentence) + "\n" for sentence in sentences)


ONE, TWO = "sentence\tlabel", "sentence1\tsentence2\tlabel"
PAIR = {"text_columns": ["sentence1", "sentence2"]}
WINDOWS = {"options": {"window": 5, "merge": "max"}}
CASES = {  # a model of `exported_models`, what task.json says, a labelled file and its kind
    "classify": ("classify", {}, "tsv", table(ONE, TEXTS, TONES)),
    "classify pairs": ("classify", PAIR, "tsv", table(TWO, RELATED, TONES)),
    "classify windows": ("classify", WINDOWS, "tsv", table(ONE, TEXTS, TONES)),
    "multilabel": ("multilabel", {}, "tsv", table(ONE, TEXTS, MANY)),
    "regress": ("regress", {}, "tsv", table(ONE, TEXTS, (0.5, 3.0, -1.0, 2.0))),
    "tag": ("tag", {}, "txt", tagged()),
    "tag crf": ("crf", {}, "txt", tagged()),
    "qa": ("qa", {"options": {"doc_stride": 3, "max_query_length": 4}}, "jsonl", [question(n) for n in range(9)]),
    "choice": ("choice", {}, "tsv", table("sentence\tchoice0\tchoice1\tlabel", THREE, (0, 1))),
    "embed pairs": ("embed", {}, "tsv", table("sentence1\tsentence2\tother", RELATED, ("",))),
    "embed labels": ("embed", {}, "tsv", table(TWO, RELATED, (1, 0, 0))),
    "embed scores": ("embed", {}, "tsv", table(TWO, RELATED, (4.5, 0.5, 3.0))),
    "embed windows": ("embed", WINDOWS, "tsv", table(TWO, RELATED, (4.5, 0.5, 3.0))),
}


def test_all_tasks_are_among_the_cases():
    assert {case.partition(" ")[0] for case in CASES} == set(FIGURES)


@pytest.mark.parametrize("case", CASES)
def test_answers_have_the_figure_of_their_model(case, tiny_vocabulary, tmp_path):
    name, said, kind, rows = CASES[case]
    model = make(name, tiny_vocabulary)
    about = {"max_length": P, "labels": list(model.labels or ()), **said}
    task = named(case.partition(" ")[0], "task.json").of_run(about)
    file = tmp_path / f"dev.{kind}"
    file.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    examples = task.read(file, like=model)
    serving = serving_of(model, P, **task.serving())

    def serve(strings):
        return {key: value.numpy() for key, value in serving.serve(*map(tf.constant, strings)).items()}

    answerer = Answerer(task, serve, tuple(serving.inputs), serving.labels)
    found = [list(answerer.answers(column, 4, 8, lambda _: None)) for column in columns_of(task, examples)]
    figure, score = figure_of(task, model, examples)
    right = task.scores(model, examples, 3)[figure]
    assert score(found) == pytest.approx(right, abs=1e-6)
    assert 0 < abs(right) < (100 if case == "qa" else 1)  # neither all nor nothing, whatever the order
