"""Laws of fill-mask as a SavedModel: its answers are the model's, its texts are those that Python would make."""

import json

import numpy as np
import pytest
import tensorflow as tf

import export
from kbert.cli import main
from kbert.config import BertConfig
from kbert.pretraining.pretrainer import Pretrainer
from kbert.saving import save_preset
from pipelines import WordPiece, pack

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("paris", "is", "the", "capital", "of", "france", "##s", "##ful", ".", "big", "\u5317", "\u4eac"),
)
K, MAX_LENGTH = 6, 9  # of 17 tokens; of the 12 positions that the model has
TEXTS = (
    "Paris is the [MASK].",
    "no mask at all",
    "\U0001f642\U0001f642 caf\u00e9\u00a0\u3000[MASK]",
    "[MASK][MASK] \u5317[MASK]\u4eac",
    "",
    b"bad \xff\xfe bytes [MASK] !",
    "[MASK]" + " is" * 9 + " [MASK]",  # the second is cut
    "[mask] [ MASK ] is no mask",
)
MASKS = (1, 0, 1, 3, 0, 1, 1, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(WORDS) + 2,  # rows that no token has
        hidden_size=10,
        num_hidden_layers=2,
        num_attention_heads=5,
        intermediate_size=7,
        max_position_embeddings=12,
        initializer_range=0.5,
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    model = Pretrainer(config, tokenizer=tokenizer, seed=3)
    bias = np.random.default_rng(0).normal(size=config.vocab_size).astype("float32")
    bias[-2:] = 50  # were they answers, they would be the first
    model.masked_tokens.bias.assign(bias)
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export.saved_model(model, tmp_path_factory.mktemp("out") / "1", max_length=MAX_LENGTH, top_k=K)


@pytest.fixture(scope="module")
def loaded(folder):
    return tf.saved_model.load(str(folder))


def ask(loaded, texts):
    answers = loaded.signatures["serving_default"](text=tf.constant(list(texts), tf.string))
    return {name: value.numpy() for name, value in answers.items()}


def expected(model, text):
    """[(token, score, text with it)] of each mask, from the model's own outputs and Python's strings."""
    wordpiece = WordPiece.from_spec(model.tokenizer_spec, keep_special=True)
    ids, starts, ends = (part.to_list()[0] for part in wordpiece.tokenize_with_offsets([text]))
    places = [place for place, word in enumerate(ids[: MAX_LENGTH - 2]) if word == WORDS.index("[MASK]")]
    inputs = pack([tf.ragged.constant([ids], tf.int32, row_splits_dtype=tf.int64)], wordpiece, MAX_LENGTH)
    if not places:
        return []
    inputs["masked_lm_positions"] = tf.constant([places], tf.int32) + 1
    scores = tf.nn.softmax(model(inputs)["masked_tokens"][0, :, : len(WORDS)]).numpy()
    text = text if isinstance(text, str) else text.decode(errors="replace")
    found = []
    for place, row in zip(places, scores, strict=True):
        before, after, answers = text[: starts[place]], text[ends[place] :], []
        for token in np.argsort(-row)[:K]:
            word = WORDS[token]
            whole = before.rstrip() + word[2:] + after if word.startswith("##") else before + word + after
            answers.append((word, row[token], whole))
        found.append(answers)
    return found


def test_answers_are_the_models_and_texts_are_filled_character_by_character(loaded, model):
    answers = ask(loaded, TEXTS)
    most = max(MASKS)
    assert {name: value.shape for name, value in answers.items()} == dict.fromkeys(
        ("tokens", "scores", "sequences"), (len(TEXTS), most, K)
    )
    joined = 0
    for row, (text, count) in enumerate(zip(TEXTS, MASKS, strict=True)):
        right = expected(model, text)
        assert len(right) == count
        for mask, answer in enumerate(right):
            assert [token.decode() for token in answers["tokens"][row, mask]] == [one[0] for one in answer]
            assert [whole.decode() for whole in answers["sequences"][row, mask]] == [one[2] for one in answer]
            np.testing.assert_allclose(answers["scores"][row, mask], [one[1] for one in answer], atol=1e-5)
            joined += sum(one[0].startswith("##") for one in answer)
        assert np.all(answers["tokens"][row, count:] == b"")
        assert np.all(answers["sequences"][row, count:] == b"")
        assert np.all(answers["scores"][row, count:] == -1)
    assert joined  # tokens that continue a word were among the answers


def test_texts_without_masks_have_no_answers(loaded):
    for texts in (["plain", ""], []):
        assert {value.shape for value in ask(loaded, texts).values()} == {(len(texts), 0, K)}


def test_neighbours_never_matter(loaded):
    together = ask(loaded, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = ask(loaded, [text])
        for name, value in alone.items():
            if name == "scores":
                np.testing.assert_allclose(together[name][row, : MASKS[row]], value[0], atol=1e-5)
            else:
                np.testing.assert_array_equal(together[name][row, : MASKS[row]], value[0])


def test_ids_are_answered_like_the_text_that_they_came_from(loaded):
    texts = tf.constant([text for text in TEXTS if isinstance(text, str)])
    ids = loaded.signatures["tokenize"](text=texts)
    assert ids["input_word_ids"].shape[1] == MAX_LENGTH
    answers, right = loaded.signatures["from_ids"](**ids), ask(loaded, texts.numpy())
    assert sorted(answers) == ["scores", "tokens"]
    np.testing.assert_array_equal(answers["tokens"], right["tokens"])
    np.testing.assert_allclose(answers["scores"], right["scores"], atol=1e-6)


def test_a_vocabulary_smaller_than_top_k_is_answered_whole(model, tmp_path):
    out = export.saved_model(model, tmp_path / "all", top_k=99)
    answers = ask(tf.saved_model.load(str(out)), ["[MASK]"])
    assert sorted(token.decode() for token in answers["tokens"][0, 0]) == sorted(WORDS)
    assert answers["scores"].sum() == pytest.approx(1, abs=1e-5)


def test_what_cannot_be_asked_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="top_k is a number of answers, 1 at least; got 0"):
        export.saved_model(model, tmp_path / "none", top_k=0)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS[:4] + WORDS[5:]) + "\n", "utf-8")
    unmasked = Pretrainer(model.config, tokenizer={**model.tokenizer, "vocabulary": str(tmp_path / "vocab.txt")})
    with pytest.raises(ValueError, match=r"needs a vocabulary with \[MASK\]"):
        export.saved_model(unmasked, tmp_path / "unmasked")


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """What `kbert pretrain` leaves, as far as it is asked here."""
    folder = tmp_path_factory.mktemp("run") / "pretrained"
    arrays = {name: weight.numpy() for name, weight in model.named_weights().items()}
    save_preset(folder, model.config, arrays, model.tokenizer)
    (folder / "task.json").write_text(json.dumps({"task": "pretrain", "max_length": MAX_LENGTH}), "utf-8")
    return folder


def test_a_pretrained_run_is_exported_and_predicts_as_its_export(capsys, tmp_path, run, model):
    out, texts = tmp_path / "served", tmp_path / "texts.txt"
    assert main(["export", str(run), "--format", "saved_model", "--out", str(out), "--top-k", "3"]) == 0
    told = [text for text in TEXTS if isinstance(text, str)]
    texts.write_text("".join(f"{text}\n" for text in told), "utf-8")
    capsys.readouterr()
    printed = []
    for source in (run, out):
        assert main(["predict", str(source), "--input", str(texts)]) == 0
        printed.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    best = [{**line, "masks": [mask[:3] for mask in line["masks"]]} for line in printed[0]]
    assert printed[1] == best
    assert [line["text"] for line in printed[0]] == told
    for line in printed[0]:
        right = expected(model, line["text"])
        assert [[one["sequence"] for one in mask] for mask in line["masks"]] == [
            [whole for _, _, whole in mask[:5]] for mask in right
        ]
