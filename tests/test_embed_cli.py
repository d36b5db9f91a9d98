"""`--task embed` through all commands: finetune, evaluate, predict, export, and back as a preset."""

import json

import numpy as np
import pytest
import tensorflow as tf
from model_cases import SIZES

import export
from kbert.cli import main
from kbert.config import BertConfig
from kbert.saving import save_model
from kbert.tasks.embed import Embedder
from pipelines import texts

TEXTS = ("the cat sat", "", "very " * 40 + "good", "a film !")


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    config = BertConfig(**{**SIZES, "vocab_size": 28, "max_position_embeddings": 32})
    return Embedder(config, tokenizer, seed=1, pooling="max")


def test_the_exported_vectors_are_the_models(model, tmp_path):
    folder = export.saved_model(model, tmp_path / "out", max_length=11)
    loaded = tf.saved_model.load(str(folder))
    answers = loaded.signatures["serving_default"](text=tf.constant(TEXTS))
    model.compile()
    batches, back = texts(TEXTS, model.tokenizer_spec, batch_size=3, max_length=11)
    right = model.predict(batches, verbose=0)[back]
    assert set(answers) == {"embedding"} and answers["embedding"].shape == (4, 6)
    np.testing.assert_allclose(answers["embedding"], right, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(right, axis=1), 1, atol=1e-5)
    assert right.std(axis=0).max() > 1e-2


PAIRS = "sentence1\tsentence2\tlabel\n" + "".join(
    f"{a}\t{b}\t{score}\n"
    for a, b, score in [
        ("the cat sat", "a cat sat", 5),
        ("the dog ran", "bad film", 0.5),
        ("good film", "very good film", 4),
        ("it was not", "0 1 2", 0),
        ("a dog", "the dog", 4.5),
    ]
)


def test_it_is_trained_evaluated_asked_and_exported(model, tmp_path, capsys):
    preset, run = save_model(tmp_path / "preset", model), tmp_path / "run"
    (tmp_path / "pairs.tsv").write_text(PAIRS)
    (tmp_path / "texts.txt").write_text("the cat sat\nbad film\n")
    data = ["--train", str(tmp_path / "pairs.tsv"), "--dev", str(tmp_path / "pairs.tsv")]
    sizes = ["--epochs", "2", "--batch-size", "2", "--max-length", "9", "--learning-rate", "1e-2"]
    assert (
        main(["finetune", "--task", "embed", *data, *sizes, "--model", str(preset), "--out", str(run), "--json"]) == 0
    )
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["dev"]) == {"spearman", "pearson"} and set(result["best"]) == {"spearman"}
    assert main(["evaluate", str(run), "--data", str(tmp_path / "pairs.tsv"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scores["spearman"] == pytest.approx(result["dev"]["spearman"])
    assert main(["export", str(run), "--format", "saved_model", "--out", str(tmp_path / "served")]) == 0
    answers = []
    for folder in (run, tmp_path / "served"):
        capsys.readouterr()
        assert main(["predict", str(folder), "--input", str(tmp_path / "texts.txt")]) == 0
        answers.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert [line["text"] for line in answers[0]] == ["the cat sat", "bad film"]
    again = Embedder.from_preset(str(run))
    assert (again.pooling, again.normalize, again.objective, again.max_length) == ("max", True, "cosine", 9)
    assert (run / "modules.json").is_file()
    again.compile()
    batches, back = texts(["the cat sat", "bad film"], again.tokenizer_spec, max_length=9)
    for lines in answers:
        found = np.array([line["embedding"] for line in lines])
        np.testing.assert_allclose(found, again.predict(batches, verbose=0)[back], atol=1e-5)


def test_what_does_not_go_together_is_told(model, tmp_path, capsys):
    preset = save_model(tmp_path / "preset", model)
    (tmp_path / "pairs.tsv").write_text(PAIRS)
    data = [
        "--train",
        str(tmp_path / "pairs.tsv"),
        "--dev",
        str(tmp_path / "pairs.tsv"),
        "--out",
        str(tmp_path / "run"),
    ]
    command = ["finetune", "--task", "embed", *data, "--model", str(preset), "--max-length", "9"]
    assert main([*command, "--objective", "ranking"]) == 1
    assert "--objective of scored examples is cosine; got ranking" in capsys.readouterr().err
    assert main([*command, "--best", "mrr"]) == 1
    assert "best is spearman or pearson for embed; got mrr" in capsys.readouterr().err
