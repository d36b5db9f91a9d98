"""Laws of indexes, of exact search in them, and of labels given as words.

N texts, Q queries, D width.
"""

import json
import shutil

import numpy as np
import pytest
from model_cases import SIZES

from kbert.cli import main
from kbert.cli.searching import nearest
from kbert.cli.zero_shots import open_labeller
from kbert.config import BertConfig
from kbert.pretraining.pretrainer import Pretrainer
from kbert.saving import save_model
from kbert.tasks.embed import Embedder
from pipelines import WordPiece, pack

TEXTS = ("the cat sat", "a dog ran", "very good film", "bad film", "it was not good , not very", "the cat sat .")


@pytest.fixture(scope="module")
def tokenizer(tiny_vocabulary):
    return {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}


@pytest.fixture(scope="module")
def preset(tokenizer, tmp_path_factory):
    config = BertConfig(**{**SIZES, "vocab_size": 28, "max_position_embeddings": 32})
    return save_model(tmp_path_factory.mktemp("model") / "preset", Embedder(config, tokenizer, seed=1))


@pytest.fixture(scope="module")
def masked(tokenizer, tmp_path_factory):
    config = BertConfig(**{**SIZES, "vocab_size": 28, "max_position_embeddings": 32})
    model = Pretrainer(config, tokenizer, seed=1, next_sentence=False)
    return model, save_model(tmp_path_factory.mktemp("model") / "masked", model)


def test_nearest_are_those_of_a_full_sort_and_the_first_of_equal_ones():
    draw = np.random.default_rng(1)
    vectors, queries = draw.integers(-2, 3, [41, 3]).astype(float), draw.normal(size=[5, 3]).round()
    for top_k in (1, 7, 41, 99):
        for (places, scores), query in zip(nearest(vectors, queries, top_k), queries, strict=True):
            products = vectors @ query
            right = sorted(range(41), key=lambda place: (-products[place], place))[:top_k]
            assert places.tolist() == right
            np.testing.assert_array_equal(scores, products[right])


def test_an_index_finds_its_own_texts_and_moves(preset, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    command = ["index", "--input", str(tmp_path / "texts.txt"), "--model", str(preset), "--out", str(tmp_path / "made")]
    assert main([*command, "--json"]) == 0
    about = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (about["texts"], about["width"], about["max_length"], about["model"]) == (6, 6, 32, "model")
    shutil.move(tmp_path / "made", tmp_path / "elsewhere")
    assert main(["search", str(tmp_path / "elsewhere"), *TEXTS[2:4], "--top-k", "3", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out.splitlines()[-1])["queries"]
    assert [answer["query"] for answer in answers] == list(TEXTS[2:4])
    for place, answer in enumerate(answers, start=2):
        assert len(answer["results"]) == 3
        best = answer["results"][0]
        assert (best["place"], best["text"]) == (place, TEXTS[place]) and best["score"] == pytest.approx(1, abs=1e-5)
        scores = [one["score"] for one in answer["results"]]
        assert scores == sorted(scores, reverse=True)
    assert main(command) == 0  # the folder is free again
    capsys.readouterr()
    assert main(command) == 1
    assert "holds files" in capsys.readouterr().err
    assert main(["search", str(tmp_path / "elsewhere"), "a", "--input", "b"]) == 2
    assert main(["search", str(preset), "a"]) == 1
    assert "index.json" in capsys.readouterr().err


def test_what_only_the_end_of_a_long_text_says_is_found_through_windows(preset, tmp_path, capsys):
    ending = ("the cat sat . " * 12 + "bad film not good", "the cat sat . " * 12 + "a dog ran !")
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in ending))
    scores = {}
    for name, seen in {"cut": (), "seen": ("--window", "6", "--merge", "max")}.items():
        made = str(tmp_path / name)
        words = ["--input", str(tmp_path / "texts.txt"), "--model", str(preset), "--max-length", "8", *seen]
        assert main(["index", *words, "--out", made]) == 0
        assert main(["search", made, ending[1], "--json"]) == 0
        answer = json.loads(capsys.readouterr().out.splitlines()[-1])["queries"][0]
        scores[name] = {one["place"]: one["score"] for one in answer["results"]}
    assert scores["cut"][0] == scores["cut"][1]
    assert scores["seen"][1] == pytest.approx(1, abs=1e-5) and scores["seen"][0] < 0.9995


def test_labels_by_similarity_are_those_of_the_nearest_sentence(preset, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("it was good\nthe cat sat\n")
    words = ["--labels", "good,cat", "--template", "it was {}", "--input", str(tmp_path / "texts.txt")]
    assert main(["zero-shot", str(preset), *words, "--json"]) == 0
    first, second, summary = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["text"], first["label"], set(first["scores"])) == ("it was good", "good", {"good", "cat"})
    assert sum(second["scores"].values()) == pytest.approx(1, abs=1e-3)
    assert summary == {"texts": 2, "labels": ["good", "cat"]}


def cloze_by_hand(model, spec, text, template, label):
    """Mean log probability of a label's pieces at the masks of one text."""
    wordpiece = WordPiece.from_spec(spec, keep_special=True)
    pieces = wordpiece.tokenize([label])[0].numpy()
    inputs = pack(
        [wordpiece.tokenize([f"{text} {template.replace('[MASK]', '[MASK] ' * len(pieces))}"])], wordpiece, 32
    )
    places = np.flatnonzero(inputs["input_word_ids"][0] == wordpiece.mask_id)[None].astype("int32")
    logits = model({**inputs, "masked_lm_positions": places})["masked_tokens"][0].numpy().astype("float64")
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.mean([row[piece] for row, piece in zip(logs, pieces, strict=True)])


@pytest.mark.parametrize("calibrate", [False, True])
def test_labels_by_cloze_are_the_mean_log_probabilities_of_their_pieces(masked, calibrate):
    model, folder = masked
    labels, template = ["good", "unhappy", "bad"], "it was [MASK] ."
    labeller = open_labeller(str(folder), labels, template, calibrate)
    found = list(labeller.scores(TEXTS[:4], batch_size=3))
    for text, scores in zip(TEXTS[:4], found, strict=True):
        logs = np.array([cloze_by_hand(model, model.tokenizer_spec, text, template, label) for label in labels])
        if calibrate:
            logs -= [cloze_by_hand(model, model.tokenizer_spec, "", template, label) for label in labels]
        np.testing.assert_allclose(scores, np.exp(logs) / np.exp(logs).sum(), atol=1e-5)
    assert np.std(found, axis=0).max() > 1e-4


def test_a_long_text_never_pushes_the_template_out(masked):
    labeller = open_labeller(str(masked[1]), ["good", "unhappy"], "it was [MASK] .")
    long, longer = ("the cat sat . " * count for count in (10, 20))
    (first, second) = labeller.scores([long, longer], batch_size=2)
    np.testing.assert_allclose(first, second, atol=1e-6)


WRONG = {
    "one label": (["good"], "it was {}", False, "two labels at least"),
    "no place": (["good", "bad"], "it was", False, "label's place once"),
    "two places": (["good", "bad"], "it was {} [MASK]", False, "label's place once"),
    "nothing to calibrate": (["good", "bad"], "it was {}", True, "--calibrate is for"),
    "no head": (["good", "bad"], "it was [MASK]", False, "needs a model with a head for masked tokens"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_asked_is_told(name, preset):
    *asked, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        open_labeller(str(preset), *asked)
