"""Vocabulary files: what is read, what is refused, and which pairings with `lowercase` warn."""

import pytest

from pipelines.vocab import looks_cased, read_vocabulary, wrong_pairing

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def write(folder, text: str | bytes):
    path = folder / "vocab.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_line_is_a_token_and_its_number_the_id(tmp_path):
    tokens = [*SPECIALS, "cat", "##s", "\u2028", "##\u2028", "\x0b", "日"]
    assert read_vocabulary(write(tmp_path, "\n".join(tokens) + "\n")) == tuple(tokens)
    assert read_vocabulary(write(tmp_path, "\n".join(tokens))) == tuple(tokens), "no line feed at the end"


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_tokens(tmp_path):
    assert read_vocabulary(write(tmp_path, "\ufeff" + "\r\n".join(SPECIALS) + "\r\n")) == tuple(SPECIALS)


@pytest.mark.parametrize("text", ["", "\n", "\r\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="is empty"):
        read_vocabulary(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none at '.*nowhere.txt'.*vocab.txt"):
        read_vocabulary(tmp_path / "nowhere.txt")


def test_a_token_that_repeats_is_named_with_both_lines(tmp_path):
    with pytest.raises(ValueError, match="'cat' is on lines 5 and 7"):
        read_vocabulary(write(tmp_path, "\n".join([*SPECIALS, "cat", "dog", "cat"])))


def test_missing_special_tokens_are_all_named(tmp_path):
    with pytest.raises(ValueError, match=r"lacks \[PAD\], \[SEP\]"):
        read_vocabulary(write(tmp_path, "[CLS]\n[UNK]\ncat"))


def test_an_empty_line_inside_is_named(tmp_path):
    with pytest.raises(ValueError, match="line 5 of .* is empty"):
        read_vocabulary(write(tmp_path, "\n".join([*SPECIALS, "", "cat"])))


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not, at byte 3"):
        read_vocabulary(write(tmp_path, b"cat\xff\n"))


LOWER = [f"word{chr(97 + n % 26)}{n}" for n in range(150)]


def test_convention_is_told_by_capitals():
    assert looks_cased(LOWER) is False
    assert looks_cased([*LOWER, *[word.title() for word in LOWER]]) is True
    assert looks_cased(LOWER[:50]) is None, "too few to say"
    assert looks_cased([chr(0x4E00 + n) for n in range(500)]) is None, "ideographs have no case"
    assert looks_cased([*LOWER, "Word"]) is None, "one capital is an accident"


@pytest.mark.parametrize(
    ("name", "lowercase"), [("uncased", True), ("cased", False), ("multilingual-cased", False), ("chinese", True)]
)
def test_official_pairings_do_not_warn_and_the_others_do(shared_data, name, lowercase):
    tokens = read_vocabulary(shared_data / "bert_assets" / f"bert-base-{name}" / "vocab.txt")
    assert wrong_pairing(tokens, lowercase) is None
    assert f"Use lowercase={lowercase}" in wrong_pairing(tokens, not lowercase)
