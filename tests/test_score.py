"""Laws of `kbert score`: a text's score is what masking its tokens one by one gives, whatever else is scored."""

import io
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from kbert.cli import main
from kbert.cli.likelihood import Likelihood
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.pretraining.pretrainer import Pretrainer
from kbert.saving import save_preset
from pipelines import WordPiece
from pipelines.windows import most_context, windows

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "sun", "##rise", "##s", "is", "red", ".")
CLS, SEP, MASK, POSITIONS = 2, 3, 4, 9
TEXTS = (
    "the sunrises is red .",
    "",
    "red",
    "the sun is red . the sunrises is red . sunrise",
    "\u65e5 the \U0001f305 [MASK]",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(WORDS) + 1,  # a row that no token has
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=POSITIONS,
        initializer_range=0.6,
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return Pretrainer(config, tokenizer=tokenizer, seed=2)


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "pretrained"
    arrays = {name: weight.numpy() for name, weight in model.named_weights().items()}
    save_preset(folder, model.config, arrays, model.tokenizer)
    return folder


def masked_one_by_one(model, text, whole_words=False):
    """Log-probabilities of the tokens of a text that fits the model, or of each in its best window; a call a token."""
    (ids,) = WordPiece.from_spec(model.tokenizer_spec).tokenize([text]).to_list()
    cut = windows(tf.ragged.constant([ids], tf.int32, row_splits_dtype=tf.int64), POSITIONS - 2, (POSITIONS - 2) // 2)
    found = [None] * len(ids)
    for window, start, best in zip(cut.ids.to_list(), cut.starts.numpy(), most_context(cut).to_list(), strict=True):
        for place in np.flatnonzero(best):
            row = [CLS, *window, SEP]
            row[place + 1] = MASK
            after = place + 2
            while whole_words and WORDS[row[after]].startswith("##"):
                row[after] = MASK
                after += 1
            tensors = {"input_word_ids": [row], "input_mask": [[1] * len(row)], "input_type_ids": [[0] * len(row)]}
            inputs = {name: tf.constant(values) for name, values in tensors.items()}
            logits = model({**inputs, "masked_lm_positions": tf.constant([[place + 1]], tf.int32)})["masked_tokens"]
            found[start + place] = float(tf.nn.log_softmax(logits[0, 0, : len(WORDS)])[window[place]])
    return found


@pytest.mark.parametrize("whole_words", [False, True])
def test_each_token_is_masked_in_turn(model, whole_words):
    found = list(Likelihood(model, whole_words, batch_size=5).of(TEXTS))
    assert [one["text"] for one in found] == list(TEXTS)
    assert found[0]["tokens"] == ["the", "sun", "##rise", "##s", "is", "red", "."]
    assert len(found[3]["tokens"]) > POSITIONS - 2
    for one in found:
        right = masked_one_by_one(model, one["text"], whole_words)
        np.testing.assert_allclose(one["log_probabilities"], right, atol=1e-5)


def test_the_rest_of_a_word_is_masked_with_its_first_pieces_only(model):
    alone, whole = ([*Likelihood(model, way).of(TEXTS[:1])][0]["log_probabilities"] for way in (False, True))
    differ = np.abs(alone - whole) > 1e-5
    assert differ.tolist() == [False, True, True, False, False, False, False]  # sun, ##rise; nothing follows ##s


def test_the_command_prints_scores_and_the_perplexity_of_all(capsys, monkeypatch, run, model):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{text}\n" for text in TEXTS)))
    assert main(["score", str(run), "--json"]) == 0
    *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
    right = [masked_one_by_one(model, text) for text in TEXTS]
    assert [line["text"] for line in lines] == list(TEXTS)
    for line, logs in zip(lines, right, strict=True):
        assert line["score"] == pytest.approx(sum(logs), abs=1e-3)
        assert line["log_probabilities"] == pytest.approx(logs, abs=1e-3)
        assert len(line["tokens"]) == len(logs)
    count = sum(map(len, right))
    assert (last["texts"], last["tokens"]) == (len(TEXTS), count)
    assert last["pseudo_perplexity"] == pytest.approx(math.exp(-sum(map(sum, right)) / count), rel=1e-4)


def test_no_tokens_have_no_perplexity(capsys, run):
    assert main(["score", str(run), "", "--json"]) == 0
    line, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert line == {"text": "", "score": 0, "tokens": [], "log_probabilities": []}
    assert last["pseudo_perplexity"] is None


def test_what_cannot_be_scored_is_refused(capsys, run, model, tmp_path):
    arrays = {f"{name}": weight.numpy() for name, weight in Encoder(model.config).named_weights().items()}
    save_preset(tmp_path / "bare", model.config, arrays, model.tokenizer)
    assert main(["score", str(tmp_path / "bare"), "the"]) == 1
    assert "needs a model with a head for masked tokens" in capsys.readouterr().err
    assert main(["score", str(run), "the", "--max-length", str(POSITIONS + 1)]) == 1
    assert f"max_length is from 3 to {POSITIONS} for this model; got 10" in capsys.readouterr().err
    assert main(["score", str(run), "the", "--input", "texts.txt"]) == 2
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("sentence1\tsentence2\nthe\tsun\n", "utf-8")
    assert main(["score", str(run), "--input", str(pairs)]) == 1
    assert f"{pairs}:2: one text a row is read here; got a pair" in capsys.readouterr().err
