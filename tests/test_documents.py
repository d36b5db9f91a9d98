"""Laws of documents: what blocks hold of files of all sorts, in what order, and what every mistake is told as."""

import gzip
import io
import itertools
import json
import lzma
import random
import shutil
import sys
import tracemalloc

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import blocks as reading
from pipelines import documents
from pipelines.blocks import BLOCK
from pipelines.documents import SMALL, Corpus

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


@pytest.fixture
def shards(write, tmp_path):
    """19 files, more than are open at a time, of about three blocks."""
    for number in range(19):
        text = shard(number, 30 + number, 80)
        write(
            f"s{number:02}.txt.gz" if number % 3 else f"s{number:02}.txt",
            gzip.compress(text.encode(), 1) if number % 3 else text,
        )
    return str(tmp_path / "s*")


def test_an_epoch_is_all_of_the_text_in_an_order_of_its_own(shards):
    corpus = Corpus.find(shards)
    in_order = [block.text for block in corpus.in_order()]
    first = epoch(corpus)
    assert len(set(first)) == len(first) == len(in_order) > 40
    assert sorted(first) == sorted(in_order) and first != in_order
    assert epoch(corpus) == epoch(Corpus.find(shards)) == first
    others = [epoch(corpus, epoch=1), epoch(corpus, seed=1), epoch(corpus, seed=1, epoch=1)]
    assert all(sorted(other) == sorted(first) for other in others)
    assert len({tuple(order) for order in (first, *others)}) == 4


def test_blocks_of_a_large_file_move_by_the_buffer_and_others_come_between(shards, monkeypatch):
    monkeypatch.setattr(documents, "SHUFFLED", 4 * BLOCK)
    corpus = Corpus.find(shards)
    place = {block.text: (block.file, block.number) for block in corpus.in_order()}
    files = [place[block][0] for block in epoch(corpus)]
    assert len(set(files[:16])) > 8  # files are read in turn
    assert files[:8] != sorted(files[:8])


@pytest.mark.parametrize("num_workers", [2, 19, 20])
@pytest.mark.parametrize("held_out", [0.0, 0.2])
def test_workers_share_an_epoch_and_no_block_goes_to_two(shards, num_workers, held_out):
    corpus = Corpus.find(shards, held_out=held_out)
    for part in ("train", "held_out") if held_out else ("train",):
        all_blocks = [block.text for block in corpus.in_order(part)]
        parts = [epoch(corpus, part=part, worker=worker, num_workers=num_workers) for worker in range(num_workers)]
        assert sorted(itertools.chain(*parts)) == sorted(all_blocks)
        if part == "held_out":
            assert all(part == [block for block in all_blocks if block in part] for part in parts)
        elif num_workers == 2:
            assert max(map(len, parts)) < 2 * min(map(len, parts))


def test_with_fewer_files_than_workers_the_blocks_are_shared(write):
    corpus = Corpus.find([write("a.txt", shard(1, 100)), write("b.txt", shard(2, 70))])
    parts = [epoch(corpus, worker=worker, num_workers=3, epoch=4) for worker in range(3)]
    assert sorted(itertools.chain(*parts)) == sorted(block.text for block in corpus.in_order())
    assert all(parts)
    with pytest.raises(ValueError, match="there is none for worker 60 of 99.*Use fewer workers"):
        epoch(corpus, worker=60, num_workers=99)


def test_what_is_held_out_keeps_its_order_and_never_changes(shards):
    corpus = Corpus.find(shards, held_out=0.2)
    held_out = epoch(corpus, part="held_out")
    assert held_out == epoch(corpus, seed=3, epoch=5, part="held_out")
    assert held_out == [block.text for block in corpus.in_order() if block.text in set(held_out)]
    for number in range(3):
        train = epoch(corpus, epoch=number)
        assert sorted(train + held_out) == sorted(block.text for block in corpus.in_order())
    fewer = Corpus.find([path for path in corpus.files if path.name != "s04.txt.gz"], held_out=0.2)
    lost = {block.text for block in corpus.in_order() if block.file == 4}
    assert len(list(fewer.in_order())) >= SMALL or pytest.fail("the text is too small for this law")
    assert epoch(fewer, part="held_out") == [block for block in held_out if block not in lost]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_kept_by_large_and_by_small_texts(share, shards, write):
    total = sum(len(block.text) for block in Corpus.find(shards).in_order())
    size = sum(map(len, epoch(Corpus.find(shards, held_out=share), part="held_out")))
    assert abs(size / total - share) < 0.15
    small = write("small.txt", document(3, 99) + document(4, 88))
    size = sum(map(len, epoch(Corpus.find(small, held_out=share), part="held_out")))
    assert abs(size / small.stat().st_size - share) < 0.02


SMALL_TEXTS = ["a\nb", "a\n\nb", "a\nb\n\nc\n\n\nd", "first\n" + "y" * 3 * BLOCK, "x" * 3 * BLOCK + "\nlast", "é\n" * 9]


@pytest.mark.parametrize("share", [1e-9, 0.01, 0.3, 0.7, 0.999999])
@pytest.mark.parametrize("number", range(len(SMALL_TEXTS)))
def test_a_small_text_has_a_line_for_both_sides(number, share, write):
    path = write("a.txt", SMALL_TEXTS[number])
    corpus, whole = Corpus.find(path, held_out=share), Corpus.find(path)
    train, held_out = epoch(corpus), epoch(corpus, part="held_out")
    assert train and held_out
    assert b"".join(sorted(train, key=lambda block: b"".join(epoch(whole)).index(block)) + held_out).split() == (
        SMALL_TEXTS[number].encode().split()
    )


def test_small_files_hold_out_the_end_of_the_last(write):
    paths = [write(f"{name}.txt", f"{name} 1\n{name} 2\n\n{name} 3") for name in "abcd"]
    corpus = Corpus.find(paths, held_out=0.34)
    assert b"".join(epoch(corpus, part="held_out")) == b"c 3\n\nd 1\nd 2\n\nd 3\n\n"
    assert sorted(b"".join(epoch(corpus)).split(b"\n")) == sorted(b"a 1,a 2,,a 3,,b 1,b 2,,b 3,,c 1,c 2,,".split(b","))


def test_memory_does_not_grow_with_the_text(write):
    path = write("big.txt", shard(1, 900, 20) * 52)
    assert path.stat().st_size > 60_000_000
    corpus = Corpus.find(path, held_out=0.1)
    tracemalloc.start()
    size = sum(len(block) for block in corpus.blocks(seed=1, epoch=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 50_000_000 and peak < 30_000_000


def test_a_fingerprint_is_of_the_content_wherever_it_lies(write, tmp_path):
    content = shard(1, 60).encode()
    paths = [write("one/a.txt", content), write("one/b.txt", "b")]
    corpus = Corpus.find(paths)
    first = corpus.fingerprint()
    assert len(first) == 64 and first == corpus.fingerprint()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert Corpus.find(str(tmp_path / "two" / "*")).fingerprint() == first
    others = {first, Corpus.find(paths[::-1]).fingerprint(), Corpus.find(paths[:1]).fingerprint()}
    others |= {Corpus.find(paths, **one).fingerprint() for one in ({"held_out": 0.1}, {"invalid": "refuse"})}
    for changed in (content[:-1], content + b"x", b"x" + content[1:], content[:-1] + b"x", b""):
        write("one/a.txt", changed)
        others.add(corpus.fingerprint())
    assert len(others) == 10


def test_a_file_that_is_named_twice_is_read_once(write, tmp_path):
    path = write("a.txt", "one")
    write("b.txt", "two")
    found = Corpus.find([path, str(tmp_path / "*.txt"), tmp_path / "." / "b.txt"])
    assert [file.name for file in found.files] == ["a.txt", "b.txt"]


def test_standard_input_is_read_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    corpus = Corpus.find("-")
    assert len(corpus.fingerprint()) == 64
    assert epoch(corpus) == BLOCKS
    with pytest.raises(ValueError, match="standard input can be read once, and was.*Save it in a file first"):
        epoch(corpus, epoch=1)
    with pytest.raises(ValueError, match="held_out=0.1 needs files.*Save it in a file first"):
        Corpus.find("-", held_out=0.1)


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


def test_a_bad_shard_among_good_ones_stops_the_epoch_with_its_name(shards, write):
    corpus = Corpus.find(shards)
    bad = corpus.files[7]
    bad.write_bytes(bad.read_bytes()[:-20])
    blocks = corpus.blocks(seed=0, epoch=0)
    with pytest.raises(ValueError, match="s07.txt.gz is not a whole"):
        list(blocks)
    bad.unlink()
    with pytest.raises(FileNotFoundError, match="s07.txt.gz"):
        epoch(corpus)
    bad.mkdir()
    with pytest.raises(OSError, match="s07.txt.gz"):
        epoch(corpus)


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError])
def test_the_message_comes_through_a_dataset(kind, shards):
    corpus = Corpus.find(shards)
    bad = corpus.files[7]
    bad.write_bytes(bad.read_bytes()[:-20]) if kind is ValueError else bad.unlink()
    dataset = tf.data.Dataset.from_generator(
        lambda: corpus.blocks(seed=0, epoch=0), output_signature=tf.TensorSpec([], tf.string)
    )
    with pytest.raises(tf.errors.OpError, match="s07.txt.gz"):
        list(dataset.prefetch(2))


def test_settings_that_make_no_sense_are_refused_before_anything_is_read(write):
    path = write("a.txt", "one\ntwo")
    wrong = [
        ({"invalid": "ignore"}, "invalid is one of replace, refuse; got 'ignore'"),
        ({"held_out": 1.0}, "from 0 to under 1; got 1.0"),
        ({"held_out": -0.1}, "from 0 to under 1; got -0.1"),
    ]
    for setting, message in wrong:
        with pytest.raises(ValueError, match=message):
            Corpus.find(path, **setting)
    corpus = Corpus.find(path)
    for share, message in [
        ({"part": "test"}, "part is one of train, held_out; got 'test'"),
        ({"part": "held_out"}, "nothing of this corpus is held out"),
        ({"worker": 2, "num_workers": 2}, "worker is from 0 to num_workers - 1, 1; got 2"),
        ({"worker": -1}, "got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            corpus.blocks(seed=0, epoch=0, **share)
    with pytest.raises(FileNotFoundError, match="no such file.*nothing"):
        Corpus.find([path, "nothing*.txt"])
    with pytest.raises(ValueError, match="at least one file"):
        Corpus.find([])
    with pytest.raises(ValueError, match="two lines are needed; there is one in .*one.txt"):
        epoch(Corpus.find(write("one.txt", "one line"), held_out=0.5))
