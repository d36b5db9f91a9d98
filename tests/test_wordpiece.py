"""WordPiece: the ids of Google's tokenizer for every text, by every road, wherever it runs."""

import gzip
import json
import os
import subprocess
import sys
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_tokenizer import reference_ids, reference_words

from pipelines.wordpiece import WordPiece

OFFICIAL = {"uncased": "uncased", "cased": "cased", "multi_cased": "multilingual-cased", "chinese": "chinese"}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCİéßÉσςαΣΑ中国가\u0800\U0001040f\U00010437"
TOKENS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *(".", ",", "!", "[", "]", "mask", "un", "##aff", "##able", "ab", "##ab", "##abc", "\u1100", "##\u1161"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
)
IDS = {token: number for number, token in enumerate(TOKENS)}
ROADS = ["plain text, Unaffable!", "naïve Élan “quoted”", "ΑΣ ΣΑ. \x00x\u00adb 中a国 가", ""]


def build(lowercase: bool = True, **options) -> WordPiece:
    return WordPiece(TOKENS, lowercase, **options)


def lists(*ragged: tf.RaggedTensor) -> list:
    return [part.to_list() for part in ragged]


@pytest.fixture(scope="module", params=OFFICIAL)
def official(request, shared_data) -> tuple[str, WordPiece]:
    path = shared_data / "bert_assets" / f"bert-base-{OFFICIAL[request.param]}" / "vocab.txt"
    return request.param, WordPiece(path, lowercase=request.param in ("uncased", "chinese"))


def test_golden_ids_are_googles(official, shared_data):
    name, wordpiece = official
    with gzip.open(shared_data / "tokenizer_golden" / "golden.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts, expected = [row["text"] for row in rows], [row[name]["google"] for row in rows]
    assert wordpiece.tokenize(texts).to_list() == expected
    ids, starts, ends = lists(*wordpiece.tokenize_with_offsets(texts))
    assert ids == expected
    compared = 0
    for row, first, last in zip(rows, starts, ends, strict=True):
        if "hf_offsets" in row[name] and "hf" not in row[name]:  # where Hugging Face's ids are the same
            compared += 1
            assert [list(pair) for pair in zip(first, last, strict=True)] == row[name]["hf_offsets"]
    assert (compared > 100) == (name == "uncased")  # the set has offsets for that vocabulary


@pytest.mark.parametrize("name", ["uncased", "cased"])
def test_every_assigned_code_point_between_two_letters(shared_data, name):
    path = shared_data / "bert_assets" / f"bert-base-{name}" / "vocab.txt"
    wordpiece = WordPiece(path, lowercase=name == "uncased")
    ids = {token: number for number, token in enumerate(wordpiece.vocabulary)}
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    texts = [f"a{chr(code)}b" for code in codes]
    found = wordpiece.tokenize(texts).to_list()
    assert [
        hex(c) for c, t, f in zip(codes, texts, found, strict=True) if f != reference_ids(t, ids, name == "uncased")
    ] == []


PIECES = st.one_of(
    st.text(st.characters(max_codepoint=126, min_codepoint=9), max_size=12),
    st.text(st.sampled_from(LETTERS + " .,![]'’\u0301\u00ad\u200b\u2028\x00\x7f\u3000，。"), max_size=12),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.sampled_from(["unaffable", "[MASK]", "a" * 200, "a" * 201, "É" * 23, "가" * 199 + "b", "\U0001f600\U000e0041"]),
)
TEXTS = (
    st.lists(PIECES, max_size=5)
    .map("".join)
    .filter(
        lambda text: (
            not any(
                unicodedata.combining(c) and unicodedata.category(c) != "Mn" for c in unicodedata.normalize("NFD", text)
            )
        )
    )
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, max_size=6), st.booleans())
@example(ROADS, True)
@example(ROADS, False)
@example(["ΑΣ", "Α", "ΑΣ.Α", "ΣΣ"], True)
@example([], True)
def test_any_batch_has_googles_ids_and_offsets_that_lead_back(texts, lowercase):
    wordpiece = build(lowercase)
    expected = [reference_ids(text, IDS, lowercase) for text in texts]
    assert wordpiece.tokenize(texts).to_list() == expected
    ids, starts, ends = lists(*wordpiece.tokenize_with_offsets(texts))
    assert ids == expected
    for text, *columns in zip(texts, ids, starts, ends, strict=True):
        check_offsets(text, list(zip(*columns, strict=True)), lowercase)


def check_offsets(text: str, pieces: list[tuple[int, int, int]], lowercase: bool) -> None:
    end_before, start_before = 0, 0
    for number, start, end in pieces:
        assert 0 <= start_before <= start < end <= len(text)
        source = text[start:end]
        shared = len(source) == 1 and len(unicodedata.normalize("NFD", source)) > 1  # pieces of one Hangul syllable
        assert start >= end_before or (
            start == end_before - 1 and unicodedata.name(text[start], "").startswith("HANGUL")
        )
        start_before, end_before = start, end
        if TOKENS[number] != "[UNK]" and not shared and "Σ" not in source and "가" not in source:
            assert "".join(reference_words(source, lowercase)) == TOKENS[number].removeprefix("##")


def test_neighbours_and_batch_order_never_change_a_text():
    wordpiece = build()
    alone = [wordpiece.tokenize([text]).to_list()[0] for text in ROADS]
    order = np.random.default_rng(0).integers(0, len(ROADS), 37)
    texts = [ROADS[n] for n in order]
    assert wordpiece.tokenize(texts).to_list() == [alone[n] for n in order]
    assert wordpiece.tokenize_with_offsets(texts)[0].to_list() == [alone[n] for n in order]


@pytest.mark.parametrize("letter", ["a", "É", "中", "가", "\U0001f600"])
@pytest.mark.parametrize("length", [199, 200, 201])
def test_words_are_unknown_over_200_characters(letter, length):
    texts = [f"ab {letter * length} ab", letter * length]
    wordpiece = build()
    expected = [reference_ids(text, IDS, True) for text in texts]
    assert wordpiece.tokenize(texts).to_list() == expected
    ids, starts, ends = lists(*wordpiece.tokenize_with_offsets(texts))
    assert ids == expected
    assert (starts[0][0], ends[0][0]) == (0, 2)
    assert (starts[0][-1], ends[0][-1]) == (length + 4, length + 6)
    assert (starts[1][0], ends[1][-1]) == (0, length)


@pytest.mark.parametrize("longest", [1, 8, 9, 100])
def test_the_word_limit_is_in_characters_whatever_it_is(longest):
    texts = ["a" * longest, "b" * (longest + 1), "é" * longest, "é" * (longest + 1), "σ" * longest + "b"]
    found = build(max_word_length=longest).tokenize(texts).to_list()
    assert [ids == [IDS["[UNK]"]] for ids in found] == [False, True, False, True, True]


@pytest.mark.parametrize("unit", ["a", "é", "\x00", "a ", "é ", "\x00a ", "中", " "])
def test_a_megabyte_is_taken(unit):
    text = unit * (1_000_000 // len(unit.encode()))
    ids, starts, ends = build().tokenize_with_offsets([text, "ab"])
    assert ids[0].numpy().tolist() == reference_ids(text, IDS, True)
    assert ids[1].numpy().tolist() == [IDS["ab"]]
    assert build().tokenize([text]).to_list()[0] == ids[0].numpy().tolist()
    assert ends.shape[0] == starts.shape[0] == 2


def test_broken_utf8_is_removed_and_counts_as_a_character_a_sequence():
    texts = [b"a\xffb ab", b"\xff", b"\xe4\xb8", b"\xed\xa0\x80ab", "é".encode() + b"\xe2\x28ab"]
    wordpiece = build()
    expected = [reference_ids(text.decode("utf-8", "ignore"), IDS, True) for text in texts]
    assert wordpiece.tokenize(texts).to_list() == expected
    ids, starts, ends = lists(*wordpiece.tokenize_with_offsets(texts))
    assert ids == expected
    assert (starts[0], ends[0]) == ([0, 4], [3, 6])


def test_special_tokens_are_split_unless_kept():
    texts = ["a [MASK]b.", "x[MASK][SEP]é[mask]", "\ufdd0 \ufdd1", "plain"]
    assert build().tokenize(texts).to_list() == [reference_ids(text, IDS, True) for text in texts]
    wordpiece = build(keep_special=True)
    ids, starts, ends = lists(*wordpiece.tokenize_with_offsets(texts))
    a, b, x, e = (IDS[letter] for letter in "abxe")
    whole = [IDS["["], IDS["mask"], IDS["]"]]
    assert ids == [
        [a, wordpiece.mask_id, b, IDS["."]],
        [x, wordpiece.mask_id, wordpiece.sep_id, e, *whole],
        [wordpiece.unk_id] * 2,
        reference_ids("plain", IDS, True),
    ]
    assert wordpiece.tokenize(texts).to_list() == ids
    assert list(zip(starts[0], ends[0], strict=True)) == [(0, 1), (2, 8), (8, 9), (9, 10)]
    assert list(zip(starts[1], ends[1], strict=True))[:4] == [(0, 1), (1, 7), (7, 12), (12, 13)]


def test_eager_function_and_dataset_agree_and_row_splits_fit():
    wordpiece = build()
    expected = wordpiece.tokenize(ROADS).to_list()
    assert tf.function(wordpiece.tokenize)(tf.constant(ROADS)).to_list() == expected
    dataset = tf.data.Dataset.from_tensor_slices(ROADS).batch(3).map(wordpiece.tokenize, num_parallel_calls=2)
    assert [row for batch in dataset for row in batch.to_list()] == expected
    ids = wordpiece.tokenize(np.array(ROADS))
    assert ids.dtype == tf.int32 and ids.shape.rank == 2
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: wordpiece.tokenize(ROADS).to_list(), range(8))) == [expected] * 8


def test_made_inside_a_function_it_is_the_same():
    @tf.function
    def tokenize(texts):
        return build().tokenize(texts)

    assert tokenize(tf.constant(ROADS)).to_list() == build().tokenize(ROADS).to_list()


class Exported(tf.Module):
    def __init__(self, wordpiece: WordPiece):
        super().__init__()
        self.wordpiece = wordpiece

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        ids, starts, ends = self.wordpiece.tokenize_with_offsets(texts)
        return {"ids": self.wordpiece.tokenize(texts), "offset_ids": ids, "starts": starts, "ends": ends}


ANSWER = """
import json, sys
import tensorflow as tf, tensorflow_text
loaded = tf.saved_model.load(sys.argv[1])
print(json.dumps({name: part.to_list() for name, part in loaded(tf.constant(json.loads(sys.argv[2]))).items()}))
"""


def test_saved_model_answers_the_same_without_us_and_in_a_turkish_locale(tmp_path):
    texts = [*ROADS, "I AM UNAFFABLE", "İI ıi"]
    module = Exported(build())
    expected = {name: part.to_list() for name, part in module(tf.constant(texts)).items()}
    tf.saved_model.save(module, tmp_path / "first")
    tf.saved_model.save(tf.saved_model.load(tmp_path / "first"), tmp_path / "again")
    (tmp_path / "empty").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", ANSWER, tmp_path / "again", json.dumps(texts)],
        env=os.environ | {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONPATH": ""},
        cwd=tmp_path / "empty",
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout.splitlines()[-1]) == expected
    assert expected["ids"] == expected["offset_ids"] == [reference_ids(text, IDS, True) for text in texts]


def test_tokens_that_no_word_can_be_change_nothing():
    odd = ["\u2028", "##\u2028", "##\xa0", " ", "a b", "##\t", "中文", "##文", "a.b", "##.", "..", "##[", "\x01"]
    wordpiece = WordPiece([*TOKENS, *odd])
    texts = ["a\u2028b \u2028", "a b a\tb", "é\xa0b", "中文 a.b a..", "a[b \x01 é..", *ROADS]
    expected = [reference_ids(text, IDS, True) for text in texts]
    assert wordpiece.tokenize(texts).to_list() == wordpiece.tokenize_with_offsets(texts)[0].to_list() == expected


def test_from_spec_takes_the_conventions_of_the_model(tiny_spec):
    wordpiece = WordPiece.from_spec(tiny_spec)
    assert wordpiece.tokenize(["The CÄT!"]).to_list() == [[wordpiece.vocabulary.index(t) for t in ("the", "cat", "!")]]
    assert (wordpiece.pad_id, wordpiece.unk_id, wordpiece.cls_id, wordpiece.sep_id, wordpiece.mask_id) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert WordPiece.from_spec(tiny_spec | {"strip_accents": False}).tokenize(["CÄT"]).to_list() == [[1]]
    with pytest.raises(ValueError, match="as many tokens as the model has embeddings, 27; got 28"):
        WordPiece.from_spec(tiny_spec | {"vocab_size": 27})


def test_a_vocabulary_without_mask_has_none():
    assert WordPiece([token for token in TOKENS if token != "[MASK]"], keep_special=True).mask_id is None


def test_wrong_pairing_warns_with_the_remedy():
    lower = [f"{chr(97 + n % 26)}w{n}" for n in range(120)]
    with pytest.warns(UserWarning, match="Use lowercase=True"):
        WordPiece([*TOKENS[:5], *lower], lowercase=False)
    with pytest.warns(UserWarning, match="Use lowercase=False"):
        WordPiece([*TOKENS[:5], *lower, *map(str.upper, lower)], lowercase=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WordPiece([*TOKENS[:5], *lower], lowercase=True)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="max_word_length .* got 0"):
        build(max_word_length=0)
    with pytest.raises(ValueError, match=r"got a tensor of shape \(\).*\[text\]"):
        build().tokenize("one text")
    with pytest.raises(ValueError, match=r"lacks \[CLS\]"):
        WordPiece(["[PAD]", "[UNK]", "[SEP]"])
