"""Laws of few examples a class: what is drawn, what the head is, and that the RUN is one as any other.

N texts, C classes, D width.
"""

import json

import numpy as np
import pytest
from model_cases import SIZES

from kbert.cli import main
from kbert.cli.few_shots import FewShots, drawn, learn, linear_head
from kbert.config import BertConfig
from kbert.saving import save_model
from kbert.tasks.classify import Classifier
from kbert.tasks.embed import Embedder
from pipelines import ClassificationExamples, WordPiece, pack

LABELS = ("animal", "film", "number")
WORDS = (("the cat", "a dog", "cats", "the dog"), ("good film", "bad film", "very bad film", "a film"), ("0 1", "1 2"))
TEXTS = tuple(text for row in WORDS for text in row)
IDS = tuple(label for label, row in enumerate(WORDS) for _ in row)


@pytest.fixture(scope="module")
def preset(tiny_vocabulary, tmp_path_factory):
    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    config = BertConfig(**{**SIZES, "vocab_size": 28, "max_position_embeddings": 32})
    folder = tmp_path_factory.mktemp("model") / "preset"
    return save_model(folder, Embedder(config, tokenizer, seed=1, pooling="max"))


def test_so_many_examples_of_each_class_are_drawn_and_another_seed_draws_others():
    examples = ClassificationExamples(tuple(map(str, range(60))), label_ids=(0, 1, 1) * 20, labels=("x", "y"))
    few = drawn(examples, 7, seed=1)
    assert few.counts() == {"x": 7, "y": 7}
    assert list(few.texts) == sorted(few.texts, key=int) and len(set(few.texts)) == 14
    assert all(few.label_ids[i] == examples.label_ids[int(text)] for i, text in enumerate(few.texts))
    assert few == drawn(examples, 7, seed=1) != drawn(examples, 7, seed=2)
    assert drawn(examples, 30, seed=1).counts() == {"x": 20, "y": 30}


@pytest.mark.parametrize("present", [(0, 1, 3), (1, 3)])
def test_the_head_is_the_logistic_regression_as_a_softmax(present):
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(3)
    labels = np.array(present)[draw.integers(len(present), size=30)]
    vectors = (draw.normal(size=[30, 5]) + labels[:, None] * 0.5).astype("float32")
    kernel, bias = linear_head(vectors, labels, num_classes=4)
    scaled = vectors / np.linalg.norm(vectors, axis=1).mean()
    right = LogisticRegression(C=10.0, max_iter=1000).fit(scaled, labels).predict_proba(scaled)
    logits = vectors @ kernel + bias
    found = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose((found / found.sum(1, keepdims=True))[:, list(present)], right, atol=1e-4)
    assert set(logits.argmax(1)) <= set(present)


def test_few_examples_are_learned_and_the_encoder_moves_only_in_rounds(preset):
    examples = ClassificationExamples(TEXTS, label_ids=IDS, labels=LABELS)
    before = Embedder.from_preset(str(preset)).named_weights()
    for rounds in (0, 4):
        model = learn(FewShots(str(preset), rounds=rounds, batch_size=4, learning_rate=1e-2), examples, max_length=9)
        assert isinstance(model, Classifier) and (model.pooling, model.labels) == ("max", LABELS)
        moved = [name for name, weight in model.named_weights().items() if name in before]
        moved = [name for name in moved if np.abs(model.named_weights()[name].numpy() - before[name].numpy()).max() > 0]
        assert bool(moved) == bool(rounds)
        wordpiece = WordPiece.from_spec(model.tokenizer_spec)
        answers = model(pack([wordpiece.tokenize(list(TEXTS))], wordpiece, 9)).numpy().argmax(1)
        assert np.mean(answers == IDS) > 0.7


def test_the_run_is_evaluated_asked_and_exported_as_any_other(preset, tmp_path, capsys):
    rows = "".join(f"{text}\t{LABELS[label]}\n" for text, label in zip(TEXTS, IDS, strict=True))
    (tmp_path / "train.tsv").write_text(f"sentence\tlabel\n{rows}")
    files = ["--train", str(tmp_path / "train.tsv"), "--dev", str(tmp_path / "train.tsv")]
    sizes = ["--shots", "2", "--rounds", "2", "--max-length", "9", "--batch-size", "4"]
    run, served = tmp_path / "run", tmp_path / "served"
    assert main(["few-shot", *files, *sizes, "--model", str(preset), "--out", str(run), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["examples"], result["pairs"]) == (6, 12)
    assert (run / "report.md").is_file()
    assert main(["evaluate", str(run), "--data", str(tmp_path / "train.tsv"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scores["accuracy"] == pytest.approx(result["dev"]["accuracy"])
    assert main(["export", str(run), "--format", "saved_model", "--out", str(served)]) == 0
    answers = []
    for folder in (run, served):
        capsys.readouterr()
        assert main(["predict", str(folder), "--input", str(tmp_path / "train.tsv")]) == 0
        answers.append(capsys.readouterr().out.splitlines())
    assert answers[0] == answers[1] and len(answers[0]) == 10
    found = np.mean([json.loads(line)["label"] == LABELS[label] for line, label in zip(answers[0], IDS, strict=True)])
    assert found == pytest.approx(scores["accuracy"])
