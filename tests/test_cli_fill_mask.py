"""Laws of `kbert fill-mask`: every mask is answered, in order, with the text that the answer makes."""

import io
import json

import numpy as np
import pytest

from kbert.cli import main
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.pretraining.pretrainer import Pretrainer
from kbert.saving import save_preset

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "paris",
    "is",
    "the",
    "capital",
    "of",
    "france",
    "##s",
    ".",
    "big",
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n", "utf-8")
    return path


def save(folder, vocabulary, model_class):
    """A model that finds "capital" likeliest everywhere, then "##s"."""
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=6,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=7,
        max_position_embeddings=12,
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    model = model_class(config, tokenizer=tokenizer)
    arrays = {name: weight.numpy() for name, weight in model.named_weights().items()}
    if "masked_tokens/bias" in arrays:
        arrays["masked_tokens/bias"] = np.isin(WORDS, ["capital", "##s"]) * 9.0 + np.equal(WORDS, "capital")
        arrays["masked_tokens/bias"] = arrays["masked_tokens/bias"].astype("float32")
    save_preset(folder, config, arrays, tokenizer)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, vocabulary):
    return save(tmp_path_factory.mktemp("run") / "pretrained", vocabulary, Pretrainer)


def asked(capsys, *arguments):
    assert main(["fill-mask", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])["texts"]


def test_each_mask_is_answered_with_the_whole_text(capsys, run):
    text = "Paris  is the [MASK] of [MASK]!"
    (answer,) = asked(capsys, run, text, "--top-k", 2)
    assert answer["text"] == text
    tokens = [[candidate["token"] for candidate in mask] for mask in answer["masks"]]
    assert tokens == [["capital", "##s"], ["capital", "##s"]]
    assert answer["masks"][0][0]["sequence"] == "Paris  is the capital of [MASK]!"
    assert answer["masks"][1][1]["sequence"] == "Paris  is the [MASK] ofs!"
    assert 0.5 < answer["masks"][0][0]["score"] < 1


def test_lines_are_for_people(capsys, run):
    assert main(["fill-mask", str(run), "the [MASK]", "--top-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[1:] == ["capital", "the", "capital"]


def test_texts_come_from_standard_input(capsys, monkeypatch, run):
    monkeypatch.setattr("sys.stdin", io.StringIO("the [MASK]\n\n[MASK] is big\n"))
    assert [row["text"] for row in asked(capsys, run)] == ["the [MASK]", "[MASK] is big"]


@pytest.mark.parametrize(
    ("text", "told"),
    [("no mask here", r"has a \[MASK\]"), ("[MASK] " + "is " * 30, "at most 10 tokens for this model; got 31")],
)
def test_what_cannot_be_filled_is_refused(capsys, run, text, told):
    import re

    assert main(["fill-mask", str(run), text]) == 1
    assert re.search(told, capsys.readouterr().err)


def test_a_model_without_the_head_is_refused(capsys, tmp_path, vocabulary):
    bare = save(tmp_path / "bare", vocabulary, Encoder)
    assert main(["fill-mask", str(bare), "the [MASK]"]) == 1
    assert "needs a model with a head for masked tokens" in capsys.readouterr().err


def test_a_pretrained_run_is_not_taken_for_a_fine_tuned_one(capsys, tmp_path):
    texts = tmp_path / "texts.tsv"
    texts.write_text("sentence\tlabel\na\tb\n", "utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "task.json").write_text('{"task": "pretrain"}', "utf-8")
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(texts)]) == 1
    assert "is one of kbert pretrain" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("predict", "--input"), ("export", "--format", "saved_model", "--out")])
def test_a_pretrained_run_that_has_not_ended_is_not_asked(capsys, tmp_path, command):
    (tmp_path / "task.json").write_text('{"task": "pretrain"}', "utf-8")
    name, *options = command
    given = tmp_path / "task.json" if name == "predict" else tmp_path / "out"
    assert main([name, str(tmp_path), *options, str(given)]) == 1
    assert "needs a finished run" in capsys.readouterr().err
