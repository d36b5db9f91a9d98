"""Laws of the survey: its counts are those of the text as written, and what makes a corpus of no use is said."""

import random

import pytest

from pipelines.blocks import BLOCK
from pipelines.documents import Corpus
from pipelines.survey import SAMPLE, Survey, check_coverage, check_documents, survey
from pipelines.wordpiece import WordPiece

COUNTS = Survey(documents=3, lines=7, bytes=99, characters=88, invalid_bytes_lines=0)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def lines_of(seed: int, number: int) -> str:
    order = random.Random(f"lines {seed}")
    return "".join(f"{order.choice(['the cat', 'é', '中文字'])} {order.random()}\n" for _ in range(number))


def test_counts_are_those_of_the_text(write):
    texts = {"a.txt": "One é.\r\nTwo.\n \n\nThree", "b.txt": "\n", "c.txt": b"\xff\nfour\xfe five\n\nsix \xe4\xb8\xad"}
    corpus = Corpus.find([write(name, text) for name, text in texts.items()])
    lines = ["One é.", "Two.", "Three", "\ufffd", "four\ufffd five", "six 中"]
    size = sum(len(line.encode()) for line in lines)
    assert survey(corpus) == Survey(4, 6, size, sum(map(len, lines)), 2)
    rows = write("d.jsonl", b'{"text": "One\\n\\nTwo"}\n{"text": "na\xefve"}\n{"text": ""}\n')
    assert survey(Corpus.find(rows)) == Survey(2, 3, 3 + 3 + 7, 3 + 3 + 5, 1)


def test_a_document_of_many_blocks_is_one(write):
    text = lines_of(1, 9000) + "\n" + lines_of(2, 5) + "\n" + lines_of(3, 8000)
    assert len(text.encode()) > 5 * BLOCK
    counts = survey(Corpus.find([write("a.txt", text), write("b.txt", lines_of(4, 7000))]))
    assert (counts.documents, counts.lines) == (4, 24_005)
    assert counts.bytes == len((text + lines_of(4, 7000)).encode()) - 24_005 - 2


def test_parts_are_counted_apart_and_their_lines_are_all(write):
    corpus = Corpus.find(write("a.txt", (lines_of(1, 90) + "\n") * 700), held_out=0.3)
    whole, train, held_out = survey(corpus), survey(corpus, part="train"), survey(corpus, part="held_out")
    assert whole.documents == 700 and 0.2 < held_out.bytes / whole.bytes < 0.45
    for name in ("lines", "bytes", "characters"):
        assert getattr(train, name) + getattr(held_out, name) == getattr(whole, name)


def test_a_document_cut_between_the_parts_is_in_both(write):
    corpus = Corpus.find(write("a.txt", lines_of(1, 50) + "\n" + lines_of(2, 50)), held_out=0.2)
    assert [survey(corpus, part=part).documents for part in (None, "train", "held_out")] == [2, 2, 1]


def test_tokens_of_all_the_text_where_it_is_small(write, tiny_vocabulary):
    path = write("a.txt", "The cat sat!\nQuux cat quux.\n\nfoo was not quux\nunhappy")
    counts = survey(Corpus.find(path), WordPiece(tiny_vocabulary))
    assert (counts.tokens, counts.unknown, counts.sampled_bytes) == (4 + 4 + 4 + 2, 4, counts.bytes)
    assert counts.unknown_share == 4 / 14
    assert counts.unknown_words == ("quux", "Quux", "foo")


def test_tokens_of_a_sample_where_it_is_large_and_the_same_in_any_order(write, tiny_vocabulary):
    paths = [write(f"{name}.txt", lines_of(name, 60_000)) for name in range(3)]
    wordpiece = WordPiece(tiny_vocabulary)
    counts = survey(Corpus.find(paths), wordpiece)
    assert counts.bytes > 1.05 * SAMPLE * BLOCK > counts.sampled_bytes > 0.9 * SAMPLE * BLOCK
    assert survey(Corpus.find(paths[::-1]), wordpiece) == counts
    assert 0.3 < counts.unknown_share < 0.9 and len(counts.unknown_words) == 5


def test_a_line_of_many_blocks_is_sampled_and_lines_that_are_not_utf8_are_refused_where_asked(write, tiny_vocabulary):
    counts = survey(Corpus.find(write("a.txt", "é" + "cat " * BLOCK)), WordPiece(tiny_vocabulary))
    assert counts.sampled_bytes == 2 * BLOCK and 0 < counts.unknown <= 2 < counts.tokens / 1000
    with pytest.raises(ValueError, match="b.txt:2: text must be UTF-8"):
        survey(Corpus.find(write("b.txt", b"a\n\xff"), invalid="refuse"))
    with pytest.raises(ValueError, match="at least one document is needed; there is no text in .*c.txt"):
        survey(Corpus.find(write("c.txt", "\n\n")))


def test_one_document_is_refused_for_next_sentences_only():
    check_documents(COUNTS, "next_sentence")
    one = Survey(documents=1, lines=7, bytes=99, characters=88, invalid_bytes_lines=0)
    check_documents(one, "sentence_order")
    check_documents(one, "none")
    with pytest.raises(ValueError, match="a second document to draw from; got 1.*sentence_order.*blank lines"):
        check_documents(one, "next_sentence")


def test_a_vocabulary_that_does_not_cover_the_text_is_refused():
    counts = Survey(3, 7, 99, 88, 0, sampled_bytes=99, tokens=200, unknown=11, unknown_words=("猫", "Quux"))
    with pytest.raises(ValueError, match="at most 5.0 %.*5.5 % are, most often '猫', 'Quux'.*kbert vocab.*--cased"):
        check_coverage(counts)
    check_coverage(counts, max_unknown=0.055)
    check_coverage(COUNTS)


def test_books_are_305_documents(shared_data):
    counts = survey(Corpus.find(shared_data / "books" / "classic_books.txt.xz"))
    assert (counts.documents, counts.lines, counts.invalid_bytes_lines) == (305, 398_315, 0)
