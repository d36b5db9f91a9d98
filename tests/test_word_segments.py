"""Where words begin: at pieces without ##, at spaces of the text, or where a list of Chinese words says."""

import numpy as np
import pytest

from pipelines import WordPiece
from pipelines.word_segments import read_words, tokenize_words

CHARACTERS = "我喜欢北京大学生活天安门"
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", ",", "。", *CHARACTERS)


@pytest.fixture(scope="module")
def wordpiece():
    return WordPiece(VOCABULARY)


def segments(texts, wordpiece, words):
    """The pieces of each text, spelled, words apart."""
    pieces, begins = tokenize_words(texts, wordpiece, words)
    assert pieces.to_list() == wordpiece.tokenize(texts).to_list()
    assert begins.shape == pieces.values.shape and begins.dtype == bool
    spelled, starts, found = np.array(VOCABULARY)[pieces.values.numpy()], begins.numpy(), []
    for first, last in zip(pieces.row_splits.numpy(), pieces.row_splits.numpy()[1:], strict=False):
        cuts = first + 1 + np.flatnonzero(starts[first + 1 : last])
        found.append([" ".join(part) for part in np.split(spelled[first:last], cuts - first) if len(part)])
    return found


@pytest.fixture
def words(tmp_path):
    def write(content):
        path = tmp_path / "words.txt"
        path.write_text(content, encoding="utf-8")
        return str(path)

    return write


def test_pieces_without_a_mark_begin_a_word_and_each_ideograph_does(wordpiece):
    assert segments(["cats, 北京", "", "cat"], wordpiece, "pieces") == [["cat ##s", ",", "北", "京"], [], ["cat"]]


def test_white_space_begins_a_word_and_nothing_else(wordpiece):
    texts = ["cats, cat", "", "  ", "我 喜欢\u3000北京大学\u00a0。", "京"]
    expected = [["cat ##s ,", "cat"], [], [], ["我", "喜 欢", "北 京 大 学", "。"], ["京"]]
    assert segments(texts, wordpiece, "spaces") == expected


def test_a_list_cuts_ideographs_by_the_longest_word_and_leaves_others_alone(wordpiece, words):
    path = words("北京\n北京大学\n大学生\n学生 5 n\n生活\ncats\n大X\n")
    texts = ["我喜欢北京大学生活", "cats北京cats", "大学生。学生", ""]
    assert segments(texts, wordpiece, path) == [
        ["我", "喜", "欢", "北 京 大 学", "生 活"],
        ["cat ##s", "北 京", "cat ##s"],
        ["大 学 生", "。", "学 生"],
        [],
    ]


def test_a_word_ends_with_its_sentence_and_at_an_unknown_character(wordpiece, words):
    path = words("北京\n天安门\n")
    assert segments(["北", "京", "天安龘门", "北京"], wordpiece, path) == [
        ["北"],
        ["京"],
        ["天", "安", "[UNK]", "门"],
        ["北 京"],
    ]


def test_text_without_ideographs_has_no_word_of_a_list(wordpiece, words):
    assert segments(["cats", "cat,"], wordpiece, words("北京\n")) == [["cat ##s"], ["cat", ","]]
    assert segments([], wordpiece, words("北京\n")) == []


def test_a_list_is_a_word_a_line_with_what_stands_behind_it_left_out(words):
    assert read_words(words("\ufeff北京 34488 ns\n\n大学\r\n 生活\n")) == ["北京", "大学", "生活"]


def test_a_list_without_words_of_the_vocabulary_is_refused(wordpiece, words):
    with pytest.raises(ValueError, match="two and more ideographs"):
        tokenize_words(["北京"], wordpiece, words("我\n上海\ncat\n"))


def test_a_list_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="a file with a word a line; there is none at 'no.txt'"):
        read_words("no.txt")
    (tmp_path / "gbk.txt").write_bytes("北京".encode("gbk"))
    with pytest.raises(ValueError, match=r"gbk.txt' is not, at byte 0"):
        read_words(tmp_path / "gbk.txt")
