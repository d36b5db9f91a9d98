"""Laws of learned vocabularies: words are the tokenizer's, nothing is lost unseen, same text same bytes."""

import hashlib
import lzma
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from reference_tokenizer import reference_words

import pipelines
from pipelines import WordPiece, read_vocabulary, vocabulary_learning, word_counts
from pipelines.normalize import Rules, rewrite
from pipelines.vocabulary_learning import find_alphabet, learn, learn_vocabulary, measure_coverage, rules_of
from pipelines.word_counts import count_words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = (
    "The low, lower and lowest floors; the LOWEST floor of all!\n",
    "ΌΔΟΣ ΣΟΦΟΣ και ὈΔΥΣΣΕΎΣ. Straße, İstanbul, ﬁne Ẹ̀kọ́ ọ̀rọ̀\n",
    "我爱北京, 天安門 and 한국어 ひらがなカタカナ 𠀀𠀁\n",
    "smile 😀😀 ok👍🏽 a\u200db a\x0bc d\x1ce f\x7fg h\u00a0i j\u3000k l\u2028m [MASK] ##x\n",
    "Mwanafunzi anasoma kitabu; wanafunzi wanasoma vitabu.\n",
)
TWICE = TEXTS * 2
CASES = {"uncased": (True, True), "cased": (False, False), "accents": (True, False)}


def reference_counts(texts, lowercase, strip_accents):
    """Counts of words by the plain Python tokenizer, which strips accents wherever it lower-cases."""
    if lowercase and not strip_accents:
        texts = [text.lower() for text in texts]  # per word or per text: no text here ends a word in a sigma otherwise
    return Counter(word for text in texts for word in reference_words(text, lowercase and strip_accents))


def spell(counts):
    """All words of WordCounts, those of one character too, with their counts."""
    single = {chr(code): int(counts.single[code]) for code in np.flatnonzero(counts.single)}
    return Counter({**counts.words, **single})


# Counting


@pytest.mark.parametrize("rules", [(True, True, True), (False, False, True), (True, False, False)])
def test_ascii_that_is_taken_out_or_split_at_is_what_normalization_takes_out_or_splits_at(rules):
    made = {code: rewrite(chr(code), Rules(*rules)) for code in range(128)}
    assert bytes(code for code, units in made.items() if units == ()) == word_counts.REMOVED
    assert {code for code, units in made.items() if units == (0x20,)} == set(word_counts.BREAKS)


@pytest.mark.parametrize("lowercase, strip_accents", CASES.values(), ids=CASES)
def test_words_are_those_of_the_tokenizer(lowercase, strip_accents):
    counts = count_words(TWICE, rules_of(lowercase, strip_accents))
    assert spell(counts) == reference_counts(TWICE, lowercase, strip_accents)
    assert counts.total == sum(spell(counts).values())


def test_how_a_text_is_cut_into_blocks_and_batches_does_not_matter(monkeypatch):
    whole = count_words(["".join(TWICE).encode()], rules_of(True))
    monkeypatch.setattr(word_counts, "BATCH_BYTES", 30)
    monkeypatch.setattr(word_counts, "WAITING_TEXTS", 7)
    parts = count_words(TWICE, rules_of(True))
    assert spell(parts) == spell(whole)
    assert np.array_equal(parts.first, whole.first) and np.array_equal(parts.inside, whole.inside)


def test_broken_bytes_are_removed_and_never_made_whole():
    broken = b"ab\xe4\x00\xb8\xadcd \xff\xfe ef\x00gh"  # without the zero, bytes 3 to 5 would be an ideograph
    assert spell(count_words([broken], rules_of(True))) == {"abcd": 1, "efgh": 1}
    assert spell(count_words(["x\ud800y"], rules_of(True))) == {"xy": 1}


def test_words_over_the_limit_are_counted_apart():
    counts = count_words(["a" * 11 + " " + "b" * 10 + " " + "a" * 11], rules_of(True), max_word_length=10)
    assert counts.words == {"b" * 10: 1}
    assert (counts.long_words, counts.long_characters, counts.total) == (2, 22, 3)


def test_of_too_many_different_words_the_frequent_stay_and_no_character_is_lost(monkeypatch):
    monkeypatch.setattr(word_counts, "WAITING_TEXTS", 5)
    common = ["often more"] * 4
    rare = [f"rare{chr(0x3B1 + number)}" for number in range(15)]
    blocks = [f"{word} {' '.join(common)}" for word in rare]
    counts = count_words(blocks, rules_of(True), most_words=9)
    every = count_words(blocks, rules_of(True))
    assert counts.words["often"] == counts.words["more"] == 60
    assert len(counts.words) <= 9 < len(every.words) and counts.rare_words > 0
    assert counts.total == every.total
    assert np.array_equal(counts.first, every.first) and np.array_equal(counts.inside, every.inside)


# Learning


def test_special_tokens_come_first_in_order_and_99_reserved_ones_give_googles_places():
    assert learn_vocabulary(TWICE, 200)[:5] == SPECIAL
    tokens = learn_vocabulary(TWICE, 300, reserved=[f"[unused{number}]" for number in range(99)])
    assert [tokens.index(token) for token in SPECIAL] == [0, 100, 101, 102, 103]
    assert tokens[1] == "[unused0]" and tokens[99] == "[unused98]"


def test_reserved_tokens_differ():
    with pytest.raises(ValueError, match="on lines 2 and 3"):
        learn_vocabulary(TWICE, 300, reserved=["[x]", "[x]"])


@pytest.mark.parametrize("lowercase, strip_accents", CASES.values(), ids=CASES)
def test_no_word_of_the_text_is_unknown_and_the_file_is_read_back(lowercase, strip_accents, tmp_path):
    tokens = learn_vocabulary(TWICE, 210, lowercase=lowercase, strip_accents=strip_accents)
    assert len(tokens) == len(set(tokens)) == 210
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert list(read_vocabulary(path)) == tokens
    wordpiece = WordPiece(path, lowercase, strip_accents=strip_accents)
    ids = wordpiece.tokenize(list(TEXTS)).flat_values.numpy()
    assert len(ids) and wordpiece.unk_id not in ids


def test_ideographs_and_punctuation_have_no_form_inside_words_and_letters_have_both():
    tokens = set(learn_vocabulary(TWICE, 210, lowercase=False))
    for character in "我爱北京天安門𠀀,;!":
        assert character in tokens and f"##{character}" not in tokens
    assert {"T", "##T", "b", "##b", "😀", "##😀", "ひ", "##ひ"} <= tokens


def test_accents_stay_where_asked_for():
    kept = learn_vocabulary(TWICE, 210, strip_accents=False)
    assert {"ẹ", "##ẹ", "##\u0300"} <= set(kept)
    assert not {"ẹ", "##ẹ", "##\u0300"} & set(learn_vocabulary(TWICE, 210))


def test_what_is_unknown_is_what_the_tokenizer_finds_unknown():
    texts = [*TEXTS, *TEXTS, "zzy\u0416q zzy\u0416q qq\u0416 once\u0417more \u0418 " + "w" * 201]
    counts = count_words(texts, rules_of(True))
    tokens = learn(counts, 86, min_count=4)
    coverage = measure_coverage(counts, tokens)
    wordpiece = WordPiece(tokens)
    ids = wordpiece.tokenize(texts).flat_values.numpy()
    assert coverage.words == counts.total
    assert coverage.unknown_words == int((ids == wordpiece.unk_id).sum()) > 3
    assert coverage.characters == sum(len(word) * count for word, count in spell(counts).items()) + 201
    every = measure_coverage(counts, learn(counts, 210, min_count=1))
    assert (every.unknown_words, every.unknown_characters, every.missing) == (1, 201, ())


def test_characters_missing_are_told_with_their_counts():
    counts = count_words(["aa ab aa \u0416a \u0416a c"] * 3, rules_of(True))
    coverage = measure_coverage(counts, learn(counts, 7, min_count=7))
    assert coverage.missing == (("\u0436", 6), ("b", 3), ("c", 3))
    assert (coverage.unknown_characters, coverage.unknown_words) == (12, 12)


def test_frequent_words_are_whole():
    tokens = learn_vocabulary([*["wanafunzi wanasoma vitabu\n"] * 20, *TWICE], 220)
    assert {"wanafunzi", "wanasoma", "vitabu"} <= set(tokens)


def test_the_order_of_blocks_does_not_matter():
    assert learn_vocabulary(TWICE, 205) == learn_vocabulary(TWICE[::-1], 205)


def test_proportions_stay_where_the_trainer_gets_a_part(monkeypatch):
    counts = count_words(["common words and " * 500, *TWICE], rules_of(True))
    monkeypatch.setattr(vocabulary_learning, "MOST_FED", 400)
    tokens = learn(counts, 190)
    assert {"common", "words", "and"} <= set(tokens)
    assert sum(map(len, (line.split() for line in vocabulary_learning.repeated(["a", "b"], [2500, 3])))) == 2503


CODE = """
import hashlib, pathlib
from pipelines import vocabulary_learning
text = pathlib.Path(__import__("sys").argv[1]).read_bytes()
print(hashlib.sha256("\\n".join(vocabulary_learning.learn_vocabulary([text], 700)).encode()).hexdigest())
"""


def test_same_text_gives_the_same_bytes_in_another_process(tmp_path):
    random = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnop"))
    words = ["".join(random.choice(letters, length)) for length in random.integers(2, 9, 900)]
    path = tmp_path / "text.txt"  # many ties: nearly all words once or twice
    path.write_text("\n".join([*words, *words[:300], *TWICE]), encoding="utf-8")
    here = hashlib.sha256("\n".join(learn_vocabulary([path.read_bytes()], 700)).encode()).hexdigest()
    source = str(Path(pipelines.__file__).parents[1])
    there = subprocess.run(
        [sys.executable, "-c", CODE, str(path)],
        env={**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": "1", "TOKENIZERS_PARALLELISM": "false"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert there.stdout.strip() == here, there.stderr


# Sizes that cannot be


def test_a_size_that_the_text_cannot_fill_is_refused_with_the_size_that_it_can():
    with pytest.raises(ValueError, match=r"30,522 is more than this text gives: \d+ tokens \(5 special") as error:
        learn_vocabulary(TWICE, 30522)
    most = int(str(error.value).split("Use a size of ")[1].split()[0])
    assert len(learn_vocabulary(TWICE, most)) == most
    with pytest.raises(ValueError, match="more text"):
        learn_vocabulary(TWICE, most + 1)


def test_a_size_without_room_for_the_characters_is_refused_with_the_least_one():
    least = 5 + len(find_alphabet(count_words(TWICE, rules_of(True)), 2))
    with pytest.raises(ValueError, match=f"here 5 and {least - 5}; got size {least - 1}. Use a size of {least}"):
        learn_vocabulary(TWICE, least - 1)
    assert all(len(token.removeprefix("##")) == 1 for token in learn_vocabulary(TWICE, least)[5:])


@pytest.mark.parametrize("blocks", [[], [""], [b" \n\t\r\n", "\u0000\u200b"]])
def test_a_text_without_words_is_refused(blocks):
    with pytest.raises(ValueError, match="without a word"):
        learn_vocabulary(blocks, 100)


# Real languages


@pytest.mark.parametrize(
    "name, keywords",
    [
        ("lowres_text/swahili_voa_clean_final.txt", {}),
        ("lowres_text/yoruba.txt", {"strip_accents": False}),
        ("lowres_text/hausa.txt", {"lowercase": False}),
        ("zhwiki/zhwiki_sample.txt.xz", {}),
    ],
)
def test_of_real_text_one_word_in_four_hundred_is_unknown_at_most(shared_data, name, keywords):
    path = shared_data / name
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        lines = file.read(1_000_000).split(b"\n")[:-1]
    tokens = learn_vocabulary([b"\n".join(lines)], 6000, **keywords)
    wordpiece = WordPiece(tokens, **{"lowercase": True, **keywords})
    ids = wordpiece.tokenize(lines).flat_values.numpy()
    assert len(tokens) == 6000
    assert (ids == wordpiece.unk_id).mean() < 0.0025
    if "zhwiki" in name:
        assert not [token for token in tokens if token.startswith("##") and "\u4e00" <= token[2] <= "\u9fff"]
    if "yoruba" in name:
        assert {"ilé", "nígbà"} & set(tokens)
