"""Laws of preparing with Apache Beam: the bytes of `prepare`, and going on where either of them was stopped."""

import sys
from dataclasses import replace

import pytest
from conftest import TINY_VOCABULARY

from pipelines import beam, preparing
from pipelines.documents import Corpus
from pipelines.manifest import Manifest
from pipelines.pretraining_data import PretrainingData
from pipelines.shards import Preparation, ShardMaker

N = 3
DIRECT = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]


@pytest.fixture(scope="module")
def preparation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for number, words in enumerate((["the cat", "a dog"], ["it was good", "not bad"], ["the film ran", "a cat sat"])):
        lines = [f"{first} very {second} ." for first in words for second in (*words, "unhappy")]
        (folder / f"{number}.txt").write_text("\n\n".join(["\n".join(lines), "\n".join(lines[::-1])]), "utf-8")
    settings = PretrainingData(max_length=16, seed=3)
    return Preparation(Corpus.find(folder / "*.txt"), {"vocabulary": TINY_VOCABULARY}, settings, shards=N, duplicates=2)


@pytest.fixture(scope="module")
def done(preparation, tmp_path_factory):
    """The files that `preparing.prepare` makes."""
    folder = tmp_path_factory.mktemp("done")
    preparing.prepare(preparation, folder)
    return contents(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_beam_makes_the_same_bytes(preparation, done, tmp_path):
    pytest.importorskip("apache_beam")
    manifest = beam.prepare(preparation, tmp_path / "new", DIRECT)
    assert contents(tmp_path / "new") == done and len(manifest.shards) == N
    kept = {path.name: path.stat().st_mtime_ns for path in manifest.files()[1:]}
    manifest.files()[0].unlink()
    manifest = beam.prepare(preparation, tmp_path / "new", DIRECT)
    assert contents(tmp_path / "new") == done
    assert {path.name: path.stat().st_mtime_ns for path in manifest.files()[1:]} == kept


def test_what_workers_have_finished_is_kept_after_a_kill(preparation, done, tmp_path):
    manifest, missing = preparing.begin(preparation, tmp_path, overwrite=False)
    maker = ShardMaker(preparation)
    for name, digest in zip(missing, (manifest.digest, "that of another plan", manifest.digest), strict=True):
        beam.finish(maker, tmp_path / name, digest)
    (tmp_path / missing[2]).write_bytes(b"")
    (tmp_path / f".{missing[1]}.0123abcd.part").write_bytes(b"half")
    manifest, left = preparing.begin(preparation, tmp_path, overwrite=False)
    assert left == missing[1:] and list(manifest.shards) == missing[:1]
    preparing.prepare(preparation, tmp_path)
    assert contents(tmp_path) == done


def test_a_shard_that_cannot_be_made_leaves_nothing(preparation, tmp_path):
    broken = replace(preparation, corpus=replace(preparation.corpus, files=(tmp_path / "gone.txt",)))
    with pytest.raises(FileNotFoundError):
        beam.finish(ShardMaker(broken), tmp_path / preparation.names()[0], "")
    assert contents(tmp_path) == {}


def test_without_beam_the_extra_is_named(preparation, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"pip install kbert\[beam\]"):
        beam.prepare(preparation, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert Manifest.read(tmp_path) is None
