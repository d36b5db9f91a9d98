"""Normalization in the graph equals Google's, written again in plain Python."""

import sys
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_tokenizer import reference_words

from pipelines.normalize import ALONE, NO_MARKER, Normalizer, Rules, build_table, rewrite

UNCASED = Rules(lowercase=True, strip_accents=True, split_cjk=True)
CASED = Rules(lowercase=False, strip_accents=False, split_cjk=True)
RULES = {"uncased": UNCASED, "cased": CASED}


@pytest.fixture(scope="module", params=RULES)
def normalizer(request) -> Normalizer:
    return Normalizer(RULES[request.param])


def words(normalizer: Normalizer, texts: list[str | bytes]) -> list[list[str]]:
    split = normalizer.split(tf.constant(texts, tf.string))
    rows = tf.RaggedTensor.from_row_splits(split.words, split.line_splits).to_list()
    return [[word.decode() for word in row] for row in rows]


def test_every_assigned_code_point_between_two_letters(normalizer):
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    texts = [f"a{chr(code)}b" for code in codes]
    wrong = [
        f"U+{code:04X} {found}"
        for code, text, found in zip(codes, texts, words(normalizer, texts), strict=True)
        if found != reference_words(text, normalizer.rules.lowercase)
    ]
    assert not wrong


ALPHABET = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from("Σσς ΑΒ.,:'’·aA\u0301\u0345\u00ad\u200b\u2028\x00\x1c\u3000İǰΐ\ufffd"),
    st.sampled_from("中文國﨎豈가각ㄱ，。[]#\U0001f600\U000e0041\ufdd0\uffff"),
)


def no_marks_to_sort(text: str) -> bool:
    return not any(
        unicodedata.combining(c) and unicodedata.category(c) != "Mn" for c in unicodedata.normalize("NFD", text)
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(ALPHABET, max_size=20).filter(no_marks_to_sort), min_size=1, max_size=7))
@example(["ΑΣ", "Σ", "ΑΣΣ ΣΑ", "ΑΣ.", "ΑΣ.Α", "ΑΣ\u0301\u00ad\x00Α", "ΑΣ中Α", "1Σ", "ΑΣ\u2028Α"])
def test_any_text_alone_and_among_neighbours(texts):
    for rules in RULES.values():
        normalizer = Normalizer(rules)
        assert words(normalizer, texts) == [reference_words(text, rules.lowercase) for text in texts]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=6), st.text(max_size=3).map(str.encode)), max_size=5).map(b"".join))
@example(b"a\xff\xfeb\xe2\x28\xa1 \xed\xa0\x80c \xf4\x90\x80\x80d \xc0\x80 \xe4\xb8")
def test_bytes_that_are_not_utf8_are_removed_and_nothing_else(data):
    for rules in RULES.values():
        expected = reference_words(data.decode("utf-8", "ignore"), rules.lowercase)
        assert words(Normalizer(rules), [data]) == [expected]


def test_accents_and_ideographs_follow_their_own_rules():
    keep_accents = Normalizer(UNCASED._replace(strip_accents=False))
    assert words(keep_accents, ["ÉTÉ, İ"]) == [["été", ",", "i\u0307"]]
    keep_case = Normalizer(CASED._replace(strip_accents=True))
    assert words(keep_case, ["Été 가"]) == [["Ete", "\u1100\u1161"]]
    joined = Normalizer(UNCASED._replace(split_cjk=False))
    assert words(joined, ["中文a 豈"]) == [["中文a", "豈"]]


def test_special_tokens_stay_whole_and_markers_in_a_text_are_no_tokens():
    normalizer = Normalizer(UNCASED._replace(specials=("[MASK]", "[SEP]")))
    texts = ["A[MASK]b [mask][SEP].", "\ufdd0 \ufdd1\ufdd2", "[PAD]"]
    other = chr(NO_MARKER)
    expected = [["a", "[MASK]", "b", "[", "mask", "]", "[SEP]", "."], [other, other + "\ufdd2"], ["[", "pad", "]"]]
    assert words(normalizer, texts) == expected


def test_table_is_small_and_says_what_rewrite_says():
    table = build_table(UNCASED)
    assert sum(part.nbytes for part in table) < 1_000_000
    for character in "aÉ!中가\x00 ½Σ\U0001f600\U000e0041\U0010ffff":
        row = table.rows[table.cells[table.pages[ord(character) // 128] + ord(character) % 128]]
        units = [int(unit) for unit in (ord(character) + row[0], *row[1:-1]) if unit >= 0]
        assert units == list(rewrite(character, UNCASED))
    assert rewrite("中", UNCASED) == (ord("中") | ALONE,)
