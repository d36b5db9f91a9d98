"""`kbert prepare`: shards and figures, going on, refusals in a line."""

import json

import pytest
from conftest import TINY_VOCABULARY

from kbert.cli import main
from pipelines.manifest import Manifest
from pipelines.pretraining_data import PretrainingData
from pipelines.record_batches import pretraining_records

SMALL = ("--max-length", "16", "--max-predictions", "3", "--shards", "2", "--duplicates", "3", "--processes", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "vocab.txt").write_text("\n".join(TINY_VOCABULARY) + "\n", "utf-8")
    for number, words in enumerate((["the cat", "a dog"], ["it was good", "not bad"], ["the film ran", "a cat sat"])):
        lines = [f"{first} very {second} ." for first in words for second in (*words, "unhappy")]
        (folder / f"{number}.txt").write_text("\n\n".join(["\n".join(lines), "\n".join(lines[::-1])]), "utf-8")
    return folder


def words(data, out, *more, small=SMALL):
    files = sorted(map(str, data.glob("[0-9].txt")))
    vocabulary = ["--vocab", str(data / "vocab.txt"), "--lowercase"]
    return ["prepare", "--input", *files, *vocabulary, "--out", str(out), *small, *more]


@pytest.fixture(scope="module")
def out(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    assert main(words(data, folder)) == 0
    return folder


def test_shards_are_written_and_figures_told(data, tmp_path, capsys):
    assert main(words(data, tmp_path, "--json")) == 0
    said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    manifest = Manifest.read(tmp_path)
    assert result["shards"] == len(manifest.files()) == 2 and result["out"] == str(tmp_path)
    assert {key: result[key] for key in manifest.total()} == manifest.total()
    assert result["unknown_share"] == 0 and result["tokens_before"] == 0 and result["tokens_per_second"] > 0
    assert manifest.plan["duplicates"] == 3 and manifest.plan["settings"]["max_predictions"] == 3
    assert "6 documents" in said.err


def test_going_on_makes_what_is_missing(data, out, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "train-00001-of-00002.tfrecord").unlink()
    assert main(words(data, out)) == 0
    assert "tokens were there;" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert main(words(data, out)) == 0
    said = capsys.readouterr()
    assert "was finished before" in said.out and "documents" not in said.err
    assert main(words(data, out, "--seed", "1")) == 1
    told = capsys.readouterr().err
    assert "seed was 0 and is 1" in told and "--overwrite" in told and len(told.splitlines()) == 1
    assert main(words(data, out, "--seed", "1", "--overwrite")) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} != before
    assert main(words(data, out, "--overwrite")) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_every_option_reaches_the_rows(data, tmp_path):
    more = ("--objective", "sentence_order", "--packed", "--compress", "--held-out", "0.3", "--masking", "spans")
    assert main(words(data, tmp_path, *more)) == 0
    settings = PretrainingData(16, "sentence_order", max_predictions=3, masking="spans", packed=True)
    for part in ("train", "held_out"):
        batch = next(iter(pretraining_records(tmp_path, settings, batch_size=1, part=part)))
        assert batch[0]["input_example_ids"].shape == (1, 16)
    assert all(path.name.endswith(".tfrecord.gz") for path in Manifest.read(tmp_path).files())


def test_beam_makes_the_same(data, out, tmp_path):
    pytest.importorskip("apache_beam")
    small = SMALL[:-2]
    given = ("--beam", "--", "--runner=DirectRunner", "--direct_running_mode=in_memory")
    assert main(words(data, tmp_path, *given, small=small)) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in out.iterdir()
    }


@pytest.mark.parametrize(
    "more, code, told",
    [
        (("--feature-names", "v1", "--packed"), 1, "packed rows are written with feature names v2; got v1"),
        (("--feature-names", "v3"), 2, "'v3' is not one of 'v1', 'v2'"),
        (("--", "--runner=FlinkRunner"), 2, "--runner=FlinkRunner without --beam"),
        (("--beam",), 2, "--processes and --beam exclude each other"),
        (("--shards", "5"), 1, "each shard needs a block of text"),
        (("--vocab", "none.txt"), 1, "--vocab names a file that exists; got none.txt"),
        (("--input", "-"), 1, "got standard input"),
    ],
)
def test_what_cannot_be_is_refused(data, tmp_path, capsys, more, code, told):
    assert main(words(data, tmp_path / "out", *more)) == code
    said = capsys.readouterr()
    assert told in said.err and said.out == ""
    assert not list(tmp_path.glob("out/*.tfrecord"))


def test_text_that_the_vocabulary_does_not_cover_is_refused_unless_forced(data, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("zebra giraffe okapi .\n\nzebra okapi .\n", "utf-8")
    given = ["prepare", "--input", str(tmp_path / "other.txt"), "--vocab", str(data / "vocab.txt"), "--lowercase"]
    given += ["--out", str(tmp_path / "out"), *SMALL, "--shards", "1"]
    assert main(given) == 1
    assert "may be [UNK]" in capsys.readouterr().err
    assert main([*given, "--force"]) == 0
    assert Manifest.read(tmp_path / "out").total()["unknown"] > 0
