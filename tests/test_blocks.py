"""Laws of blocks: what they hold of files of all sorts, where they are cut, and what every mistake is told as."""

import gzip
import io
import itertools
import json
import lzma
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import blocks as reading
from pipelines.blocks import BLOCK
from pipelines.documents import Corpus

TEXT = "A line.\n\tIndented. \n\n\n\u3000 \nÉa — 中文\n \t\n\nThe end\u2028of a line."
BLOCKS = ["A line.\n\tIndented. \n\nÉa — 中文\n\nThe end\u2028of a line.\n\n".encode()]
MARK = "\ufeff"


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def document(seed: int, lines: int, length: int = 80) -> str:
    """Lines of letters, all different; an empty line at the end."""
    order = random.Random(f"document {seed}")
    return "".join(f"{seed} {line} {'x' * order.randrange(length)} {order.random()}\n" for line in range(lines)) + "\n"


def shard(seed: int, documents: int, lines: int = 60) -> str:
    return "".join(document(1000 * seed + number, lines) for number in range(documents))


def epoch(corpus: Corpus, seed: int = 0, epoch: int = 0, **share) -> list[bytes]:
    return list(corpus.blocks(seed=seed, epoch=epoch, **share))


FORMS = {
    "plain.txt": TEXT,
    "last_line_end.txt": TEXT + "\n",
    "empty_lines.txt": "\n \n" + TEXT + "\n\n\r\n\n",
    "windows.txt": TEXT.replace("\n", "\r\n"),
    "mark.txt": MARK + TEXT,
    "windows_mark.txt": MARK + TEXT.replace("\n", "\r\n") + "\r\n",
    "return.txt": TEXT + "\r",
    "no_extension": TEXT,
    "packed.txt.gz": gzip.compress(TEXT.encode()),
    "packed.xz": lzma.compress(TEXT.encode()),
    "two_streams.txt.gz": gzip.compress(TEXT.encode()[:9]) + gzip.compress(TEXT.encode()[9:]),
    "rows.jsonl": '{"text": "A line.\\n\\tIndented. "}\n{"id": 1, "text": "Éa — 中文"}\n'
    '{"text": "The end\u2028of a line.\\n"}',
    "rows.ndjson.gz": gzip.compress(
        (
            MARK
            + '{"text": "\\nA line.\\r\\n \\n\\n\\tIndented. "}\r\n\r\n{"text": "\\u00c9a — 中文"}\n{"text": " \\n"}\n'
        ).encode()
        + '{"text": "The end\u2028of a line."}\n\n'.encode()
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_text_gives_the_same_blocks(name, write):
    assert epoch(Corpus.find(write(name, FORMS[name]))) == BLOCKS


def test_the_end_of_a_file_ends_a_document_and_empty_files_have_none(write, tmp_path):
    for name, content in {"a": "one", "b": "", "c": " \n\n", "d": "two\n", "e": MARK}.items():
        write(f"{name}.txt", content)
    corpus = Corpus.find(tmp_path / "*.txt")
    assert [block.text for block in corpus.in_order()] == [b"one\n\n", b"two\n\n"]
    assert [(block.file, block.number) for block in corpus.in_order()] == [(0, 0), (3, 0)]


def test_another_key_of_the_text(write):
    path = write("a.jsonl", '{"body": "this", "text": "not this"}')
    assert epoch(Corpus.find(path, text_key="body")) == [b"this\n\n"]


PIECES = st.sampled_from(
    ["\n", "\n", "\n\n", "\r\n", " ", "\u3000\n", "a", "bc" * 3, "é" * 5, "\n\n\n", "\r", "x" * 40]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join), st.integers(1, 24))
def test_blocks_joined_are_the_text_and_each_is_cut_as_promised(text, size):
    lines = [line if line.strip() else "" for line in text.replace("\r\n", "\n").removesuffix("\r").split("\n")]
    documents = [list(group) for some, group in itertools.groupby(lines, bool) if some]
    expected = "".join("".join(f"{line}\n" for line in document) + "\n" for document in documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", size)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        found = [block.decode() for block in (block.text for block in Corpus.find("-").in_order())]
    assert "".join(found) == expected
    for block, following in zip(found, [*found, ""][1:], strict=True):
        assert block.endswith("\n") and not block.startswith("\n")
        ends = [end for end in range(2, len(block)) if block[:end].endswith("\n\n")]
        assert not any(size <= len(block[:end].encode()) <= 2 * size for end in ends)  # an empty line was not passed by
        if not block.endswith("\n\n"):
            assert len(block.encode()) >= size
            assert len(block.encode().removesuffix(b"\n")[:-1].rpartition(b"\n")[0]) < size  # the first line end is it
            begun = (block + following).encode()[: 2 * size]
            assert b"\n\n" not in begun[max(0, size - 2) :]


def test_the_same_blocks_however_the_text_is_read(write):
    text = shard(1, 150, 40)
    expected = epoch(Corpus.find(write("a.txt", text)))
    assert len(expected) > 4 and all(block.endswith(b"\n\n") for block in expected)
    assert all(BLOCK <= len(block) <= 2 * BLOCK for block in expected[:1])
    rows = "".join(json.dumps({"text": part}) + "\n" for part in text.split("\n\n"))
    for name, content in {
        "b.txt": MARK + text.replace("\n", "\r\n"),
        "c.txt": text.replace("\n\n", "\n \n\n\t\n").rstrip(),
        "d.txt.xz": lzma.compress(text.encode(), preset=0),
        "e.jsonl": rows,
    }.items():
        assert epoch(Corpus.find(write(name, content))) == expected


def test_a_document_of_many_blocks_is_cut_at_lines_and_joined_it_is_itself(write):
    text = document(7, 8000)
    corpus = Corpus.find(write("a.txt", text))
    found = [block.text for block in corpus.in_order()]
    assert b"".join(found) == text.encode() and len(found) > 3
    assert all(BLOCK <= len(block) < BLOCK + 200 and not block.endswith(b"\n\n") for block in found[:-1])


def test_a_line_of_50_megabytes_stays_one_line(write):
    line = b"a long line " * (50_000_000 // 12)
    found = epoch(Corpus.find(write("a.txt", b"short\n" + line + b"\nlast")))
    assert sorted(map(len, found)) == [len(b"last\n\n"), len(b"short\n") + len(line) + 1]
    blanks = b" " * 5_000_000
    assert epoch(Corpus.find(write("b.txt", b"one\n" + blanks + b"\ntwo"))) == [b"one\n\ntwo\n\n"]


BROKEN = b"good\nna\xefve \xe2\x82\nfine\n\xed\xa0\x80 \xf0\x9f\x98\n\nlast\n"


@pytest.mark.parametrize("before", [0, 3, 3000])
def test_bytes_that_are_not_utf8_are_replaced_and_counted(before, write):
    path = write("a.txt", b"line\n" * before + BROKEN)
    blocks = list(Corpus.find(path).in_order())
    replaced = "good\nna\ufffdve \ufffd\nfine\n\ufffd\ufffd\ufffd \ufffd\n\nlast\n\n"
    assert b"".join(block.text for block in blocks).decode() == "line\n" * before + replaced
    assert sum(block.broken for block in blocks) == 2


@pytest.mark.parametrize("before", [0, 3, 30_000])
def test_bytes_that_are_not_utf8_are_refused_with_their_line(before, write):
    path = write("a.txt", b"line\n" * before + BROKEN)
    with pytest.raises(ValueError, match=f"a.txt:{before + 2}: text must be UTF-8; byte 3 of the line is 0xef"):
        epoch(Corpus.find(path, invalid="refuse"))


def test_json_that_is_not_utf8_or_has_half_a_character(write):
    path = write("a.jsonl", b'{"text": "na\xefve"}\n{"text": "\\ud83d\\ude00 \\ud83d!"}\n{"text": "fine"}')
    (block,) = Corpus.find(path).in_order()
    assert block.text.decode() == "na\ufffdve\n\n\U0001f600 \ufffd\ufffd\ufffd!\n\nfine\n\n" and block.broken == 2
    with pytest.raises(ValueError, match="a.jsonl:1: text must be UTF-8"):
        epoch(Corpus.find(path, invalid="refuse"))
    path = write("b.jsonl", '{"text": "fine"}\n{"text": "\\ud83d!"}')
    with pytest.raises(ValueError, match="b.jsonl:2: text must be UTF-8; byte 1 of the line is 0xed"):
        epoch(Corpus.find(path, invalid="refuse"))


BAD = {
    "cut.txt.gz": (gzip.compress(TEXT.encode() * 9)[:-9], "cut.txt.gz is not a whole .gz file"),
    "cut.txt.xz": (lzma.compress(random.Random(0).randbytes(9999))[:-99], "cut.txt.xz is not a whole .xz file"),
    "not.gz": ("text", "not.gz is not a whole .gz file"),
    "open.jsonl": ('{"text": "a"}\n\n{"text"\n', "open.jsonl:3: a line holds one JSON object"),
    "deep.jsonl": ("[" * 100_000, "deep.jsonl:1: a line holds one JSON object"),
    "array.json": ('["a"]\n', "array.json:1: .*got list"),
    "key.jsonl": ('{"text": "a"}\n{"body": "b", "id": 1}', "key.jsonl:2: .* 'text'; the keys are 'body', 'id'"),
    "number.jsonl": ('{"text": 5}', "number.jsonl:1: 'text' must be a text; got 5"),
    "utf16.txt": ("text".encode("utf-16"), "utf16.txt must be UTF-8 text.*UTF-16"),
    "zipped.txt": (gzip.compress(b"text"), "zipped.txt must be UTF-8 text.*gzip"),
    "empty.txt": ("", "at least one document is needed; there is no text in .*empty.txt"),
    "empty.jsonl": ('{"text": ""}\n', "at least one document is needed"),
    "white.txt": (" \n\n\t\n", "at least one document is needed"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_the_file_and_its_line(name, write):
    content, message = BAD[name]
    path = write(name, content)
    for share in (0.0, 0.1):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            epoch(Corpus.find(path, held_out=share))
