"""Laws of documents: in what order blocks come, who gets which, what is held out, and that mistakes name their file."""

import gzip
import io
import itertools
import random
import shutil
import sys
import tracemalloc

import pytest
import tensorflow as tf

from pipelines import documents
from pipelines.blocks import BLOCK
from pipelines.documents import SMALL, Corpus


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
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n\ntwo")))
    corpus = Corpus.find("-")
    assert len(corpus.fingerprint()) == 64
    assert epoch(corpus) == [b"one\n\ntwo\n\n"]
    with pytest.raises(ValueError, match="standard input can be read once, and was.*Save it in a file first"):
        epoch(corpus, epoch=1)
    with pytest.raises(ValueError, match="held_out=0.1 needs files.*Save it in a file first"):
        Corpus.find("-", held_out=0.1)


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
