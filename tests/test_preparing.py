"""Laws of preparing: the same bytes however they are made, whole after any kill, nothing mixed, damage found."""

import importlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_VOCABULARY

from pipelines import preparing, shard_processes, shards
from pipelines.documents import Corpus
from pipelines.manifest import MANIFEST, Manifest, sha256
from pipelines.preparing import prepare
from pipelines.pretraining import PretrainingData, pretraining
from pipelines.record_batches import pretraining_records
from pipelines.shards import Preparation

T, N, K, B = 16, 3, 2, 5  # tokens, shards, duplicates, batch
WORDS = TINY_VOCABULARY[5:16]


@pytest.fixture(scope="module")
def graphs():
    """Graphs that the tests have built: they are the same for the same arguments."""
    return {}


@pytest.fixture(autouse=True)
def small_windows(monkeypatch, graphs):
    def made(spec, settings, build=shards.RowMaker):
        key = repr((spec, settings))
        return graphs[key] if key in graphs else graphs.setdefault(key, build(spec, settings))

    monkeypatch.setattr(shards, "RowMaker", made)
    for module in (shards, importlib.import_module("pipelines.pretraining")):  # the package's name is the function's
        monkeypatch.setattr(module, "WINDOW_BLOCKS", 1)


def write_texts(folder, files=4, documents=9):
    """Documents of a few sentences; no two are the same."""
    for file in range(files):
        lines = []
        for document in range(documents):
            for sentence in range(2 + document % 3):
                start = file + 3 * document + 5 * sentence
                lines.append(
                    " ".join(WORDS[(start + k * (1 + sentence)) % len(WORDS)] for k in range(3 + start % 4)) + " ."
                )
            lines.append("")
        (folder / f"text-{file}.txt").write_text("\n".join(lines), "utf-8")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write_texts(folder)
    return folder


@pytest.fixture
def preparation(texts, tiny_vocabulary):
    settings = PretrainingData(max_length=T, max_predictions=3, seed=7)
    spec = {"vocabulary": str(tiny_vocabulary), "lowercase": True}
    return Preparation(Corpus.find(texts / "*.txt"), spec, settings, shards=N, duplicates=K)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def done(preparation, tmp_path):
    """A folder of its whole shards."""
    prepare(preparation, tmp_path / "done")
    return tmp_path / "done"


def test_the_same_preparation_is_the_same_bytes(preparation, done, tmp_path):
    prepare(preparation, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(done)
    assert set(contents(done)) == {MANIFEST, *(f"train-0000{number}-of-00003.tfrecord" for number in range(N))}


def test_many_processes_make_the_same_bytes(preparation, tmp_path, monkeypatch):
    monkeypatch.undo()  # the other processes have windows of the usual size
    told = []
    prepare(preparation, tmp_path / "one")
    prepare(preparation, tmp_path / "many", processes=2, say=lambda *more: told.append(more))
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    total = Manifest.read(tmp_path / "many").total()
    assert [sum(column) for column in zip(*told, strict=True)] == [N, total["records"], total["tokens"]]


def test_what_a_process_cannot_do_is_said_to_the_first(preparation, texts, tmp_path):
    broken = replace(preparation, corpus=replace(Corpus.find(texts / "*.txt"), files=(tmp_path / "gone.txt",)))
    for given, what in ((broken, shard_processes.REFUSED), (None, shard_processes.FAILED)):
        here, there = multiprocessing.Pipe()
        here.send((preparation.names()[0], tmp_path / "shard"))
        shard_processes.serve(there, given)
        assert here.recv()[0] == what
        there.close()


def test_a_process_ends_when_the_first_does(preparation):
    here, there = multiprocessing.Pipe()
    here.close()
    assert shard_processes.serve(there, preparation) is None


def test_seed_epochs_and_shard_make_other_bytes(preparation, done, tmp_path):
    first, second, third = (done / name for name in preparation.names())
    assert len({sha256(path) for path in (first, second, third)}) == N
    prepare(replace(preparation, settings=replace(preparation.settings, seed=8)), tmp_path / "seed")
    assert sha256(tmp_path / "seed" / first.name) != sha256(first)
    prepare(replace(preparation, duplicates=1), tmp_path / "once")
    once = (tmp_path / "once" / first.name).read_bytes()
    assert first.read_bytes().startswith(once) and len(first.read_bytes()) > len(once), "epoch 1 comes after epoch 0"


@pytest.mark.parametrize("changes", [{}, {"objective": "none"}, {"objective": "sentence_order", "packed": True}])
def test_a_shard_holds_the_rows_of_a_worker_of_training_on_text(preparation, tmp_path, changes):
    settings = replace(preparation.settings, **changes)
    prepare(replace(preparation, settings=settings), tmp_path)

    def found(dataset):
        """The rows, in any order, each as its tensors but for its place."""
        batches = [{**inputs, **labels, **weights} for inputs, labels, weights in dataset.as_numpy_iterator()]
        return sorted([(name, batch[name].tobytes()) for name in sorted(batch) if name != "place"] for batch in batches)

    worker, sizes = {"worker": 1, "num_workers": N}, {"batch_size": 1}
    text = pretraining(preparation.corpus, preparation.spec, settings, epochs=range(K), **worker, **sizes)
    records = pretraining_records(Manifest.read(tmp_path).files()[1], settings, epochs=range(1), **sizes)
    assert found(records) == found(text)


def test_the_manifest_says_what_the_shards_hold(preparation, done):
    manifest = Manifest.read(done)
    manifest.check_finished()
    manifest.verify()
    rows = [
        inputs["input_mask"]
        for inputs, _, _ in pretraining_records(done, preparation.settings, batch_size=1, part="train", epochs=range(1))
    ]
    total = manifest.total()
    assert total["records"] == len(rows) and total["tokens"] == sum(int(mask.numpy().sum()) for mask in rows)
    assert total["bytes"] == sum(path.stat().st_size for path in manifest.files())
    told = json.loads((done / MANIFEST).read_text("utf-8"))
    assert told["plan"]["settings"]["seed"] == 7 and told["plan"]["duplicates"] == K and told["expected"] == N


def test_unknown_words_are_counted(preparation, tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat .\nthe zebra ran .\n\nqua qua .\na dog ran .\n", "utf-8")
    manifest = prepare(replace(preparation, corpus=Corpus.find(tmp_path / "text.txt"), shards=1), tmp_path / "out")
    total = manifest.total()
    assert 0 < total["unknown"] < total["tokens"]


def test_gzip_holds_the_same_records(preparation, done, tmp_path):
    compressed = replace(preparation, compress=True)
    prepare(compressed, tmp_path / "gz")
    prepare(compressed, tmp_path / "again")
    assert contents(tmp_path / "gz") == contents(tmp_path / "again")
    assert compressed.names()[0] == "train-00000-of-00003.tfrecord.gz"
    assert Manifest.read(tmp_path / "gz").total()["bytes"] < Manifest.read(done).total()["bytes"]

    def ids(folder):
        dataset = pretraining_records(folder, preparation.settings, batch_size=B, seed=3, epochs=range(1))
        return [inputs["input_word_ids"].numpy().tolist() for inputs, _, _ in dataset]

    assert ids(tmp_path / "gz") == ids(done)


def test_the_model_garden_reads_what_we_write(preparation, tmp_path):
    loader = pytest.importorskip("official.nlp.data.pretrain_dataloader")
    for feature_names in ("v1", "v2"):
        changed = replace(preparation, feature_names=feature_names, shards=1, duplicates=1)
        (path,) = prepare(changed, tmp_path / feature_names).files()
        config = loader.BertPretrainDataConfig(
            input_path=str(path),
            global_batch_size=B,
            is_training=False,
            drop_remainder=False,
            seq_length=T,
            max_predictions_per_seq=3,
            use_v2_feature_names=feature_names == "v2",
        )
        theirs = loader.BertPretrainDataLoader(config).load()
        ours = pretraining_records(path, preparation.settings, batch_size=B, part="held_out")
        count = 0
        for expected, (inputs, labels, weights) in zip(theirs, ours, strict=True):
            found = {**inputs, **labels, **weights}
            found["next_sentence_labels"] = found["next_sentence_labels"][:, None]
            assert set(expected) == set(found) - {"place"}
            for name, value in expected.items():
                assert value.dtype == found[name].dtype
                np.testing.assert_array_equal(value, found[name], name)
            count += 1
        assert count > 5


def test_files_of_google_s_program_are_read(preparation, tmp_path):
    program = pytest.importorskip("official.nlp.data.create_pretraining_data")

    class Tokenizer:
        convert_tokens_to_ids = staticmethod(lambda tokens: [TINY_VOCABULARY.index(token) for token in tokens])

    tokens = ["[CLS]", "the", "[MASK]", "sat", "[SEP]", "a", "dog", "[SEP]"]
    row = program.TrainingInstance(tokens, [0] * 5 + [1] * 3, [2], ["cat"], is_random_next=True)
    for v2 in (False, True):
        for gzipped in (False, True):
            path = tmp_path / f"{v2}-{gzipped}"
            program.write_instance_to_example_files([row] * 2, Tokenizer(), T, 3, [str(path)], gzipped, v2)
            data = pretraining_records(path, preparation.settings, batch_size=2, part="held_out")
            ((inputs, labels, weights),) = data.as_numpy_iterator()
            assert inputs["input_word_ids"][1].tolist() == Tokenizer.convert_tokens_to_ids(tokens) + [0] * 8
            assert inputs["input_mask"][1].tolist() == [1] * 8 + [0] * 8
            assert inputs["input_type_ids"][1].tolist() == [0] * 5 + [1] * 3 + [0] * 8
            assert inputs["masked_lm_positions"][1].tolist() == [2, 0, 0]
            assert labels["masked_lm_ids"][1].tolist() == [TINY_VOCABULARY.index("cat"), 0, 0]
            assert weights["masked_lm_weights"][1].tolist() == [1, 0, 0]
            assert labels["next_sentence_labels"].tolist() == [1, 1]


def test_what_is_held_out_is_a_shard_of_its_own(preparation, tmp_path):
    corpus = replace(preparation.corpus, held_out=0.3)
    manifest = prepare(replace(preparation, corpus=corpus), tmp_path)
    assert [path.name for path in manifest.files("held_out")] == ["held_out-00000-of-00001.tfrecord"]
    assert len(manifest.files("train")) == N
    arguments = (preparation.spec, preparation.settings)
    text = pretraining(corpus, *arguments, batch_size=B, part="held_out")
    records = pretraining_records(tmp_path, preparation.settings, batch_size=B, part="held_out")
    for (one, _, _), (other, _, _) in zip(text, records, strict=True):
        assert (one["input_word_ids"].numpy() == other["input_word_ids"].numpy()).all()


def test_whole_shards_are_kept_and_the_rest_is_made(preparation, done, tmp_path):
    before = contents(done)
    names = preparation.names()
    (done / names[0]).unlink()
    (done / names[1]).write_bytes(before[names[1]][:-1] + b"?")
    (done / f".{names[2]}.1234.part").write_bytes(b"half")
    kept = (done / names[2]).stat().st_mtime_ns
    told = []
    prepare(preparation, done, say=lambda *more: told.append(more))
    assert contents(done) == before
    assert (done / names[2]).stat().st_mtime_ns == kept and told[0] == (1, 0, 0)


def test_other_settings_are_refused_with_what_differs(preparation, done, tmp_path):
    before = contents(done)
    other = replace(preparation, shards=2, settings=replace(preparation.settings, masked_share=0.2))
    with pytest.raises(ValueError, match="shards was 3 and is 2.*--overwrite") as error:
        prepare(other, done)
    assert "masked_share was 0.15 and is 0.2" in str(error.value) and contents(done) == before
    prepare(other, done, overwrite=True)
    prepare(other, tmp_path / "new")
    assert contents(done) == contents(tmp_path / "new")


def test_other_text_and_other_vocabularies_are_other_settings(preparation, done, tmp_path):
    write_texts(tmp_path, files=3)
    with pytest.raises(ValueError, match="other settings: corpus was"):
        prepare(replace(preparation, corpus=Corpus.find(tmp_path / "*.txt")), done)
    with pytest.raises(ValueError, match="lowercase was True and is False"):
        prepare(replace(preparation, spec={**preparation.spec, "lowercase": False}), done)
    prepare(replace(preparation, spec={"vocabulary": TINY_VOCABULARY}), done)  # the same tokens, not as a file


def test_a_folder_of_something_else_is_left_alone(preparation, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="new or empty folder.*holds thesis.txt"):
            prepare(preparation, tmp_path, overwrite=overwrite)
    assert list(contents(tmp_path)) == ["thesis.txt"]


def test_overwriting_takes_away_shards_only(preparation, done):
    (done / "notes.txt").write_text("mine")
    prepare(replace(preparation, shards=1), done, overwrite=True)
    assert set(contents(done)) == {MANIFEST, "notes.txt", "train-00000-of-00001.tfrecord"}


def test_a_damaged_manifest_is_told(preparation, done):
    (done / MANIFEST).write_text('{"format": 1')
    with pytest.raises(ValueError, match=r"manifest\.json must be what kbert prepare wrote.*--overwrite"):
        prepare(preparation, done)
    prepare(preparation, done, overwrite=True).verify()


def test_a_folder_has_one_writer(preparation, tmp_path):
    with preparing.alone(tmp_path), pytest.raises(ValueError, match="another is at work"):
        prepare(preparation, tmp_path)
    prepare(preparation, tmp_path)


def test_what_is_not_whole_is_not_read(preparation, done):
    settings = preparation.settings
    manifest = Manifest.read(done)
    first = manifest.files()[0]
    data = first.read_bytes()
    with first.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=rf"as long as its manifest says.*{first.name}"):
        pretraining_records(done, settings, batch_size=B)
    with pytest.raises(ValueError, match=f"missing or damaged: .*{first.name}"):
        manifest.verify()
    first.write_bytes(data)
    del manifest.shards[first.name]
    manifest.write()
    with pytest.raises(ValueError, match="has 2 of 3. Run the same kbert prepare"):
        pretraining_records(done, settings, batch_size=B)


def test_a_part_that_is_not_there_is_told(preparation, done):
    for part, told in (("held_out", "no records of the part held_out. Prepare with --held-out"), ("dev", "got 'dev'")):
        with pytest.raises(ValueError, match=told):
            pretraining_records(done, preparation.settings, batch_size=B, part=part)


def test_another_vocabulary_than_that_of_the_records_is_refused(preparation, done, tmp_path):
    sizes = {"settings": preparation.settings, "batch_size": B}
    pretraining_records(done, spec=preparation.spec, **sizes)
    (tmp_path / "vocab.txt").write_text("\n".join([*TINY_VOCABULARY, "zebra"]), "utf-8")
    with pytest.raises(ValueError, match="tokenizer that made them; .* vocab_size was 28 and is 29, vocabulary was"):
        pretraining_records(done, spec={"vocabulary": str(tmp_path / "vocab.txt")}, **sizes)


def test_labels_of_another_question_are_refused(preparation, done):
    for objective in ("next_sentence", "none"):
        pretraining_records(done, replace(preparation.settings, objective=objective), batch_size=B)
    with pytest.raises(ValueError, match="are for objective next_sentence; got sentence_order"):
        pretraining_records(done, replace(preparation.settings, objective="sentence_order"), batch_size=B)


def test_shards_without_text_are_told(preparation, tmp_path):
    write_texts(tmp_path, files=2)
    few = replace(preparation, corpus=Corpus.find(tmp_path / "*.txt"))
    with pytest.raises(ValueError, match="none for 1 of 3. Use 2 shards, or more text"):
        prepare(few, tmp_path / "out")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="there is no text"):
        prepare(replace(preparation, corpus=Corpus.find(tmp_path / "empty.txt"), shards=1), tmp_path / "none")


def test_settings_that_cannot_be_are_refused(preparation):
    for changes, told in (
        ({"shards": 0}, "shards is 1 to 99999; got 0"),
        ({"duplicates": 0}, "duplicates is 1 to 99999; got 0"),
        ({"feature_names": "v3"}, "v1 or v2; got 'v3'"),
        ({"feature_names": "v1", "settings": replace(preparation.settings, packed=True)}, "packed rows are written"),
        ({"corpus": Corpus.find("-")}, "got standard input"),
    ):
        with pytest.raises(ValueError, match=told):
            replace(preparation, **changes)


KILLED = """
import sys, time
from pathlib import Path
from pipelines import shards
from pipelines.documents import Corpus
from pipelines.preparing import prepare
from pipelines.pretraining import PretrainingData
shards.WINDOW_BLOCKS = 1
texts, vocabulary, out = sys.argv[1:]
settings = PretrainingData(max_length=16, max_predictions=3, seed=7)
preparation = shards.Preparation(
    Corpus.find(texts + "/*.txt"), {"vocabulary": vocabulary, "lowercase": True}, settings, shards=3, duplicates=2)
def say(shards, records, tokens):
    print("whole" if shards else "more", flush=True)
    time.sleep(0.2)  # long enough to be killed in the middle
prepare(preparation, out, say=say)
"""


def test_killed_in_a_shard_it_goes_on_to_the_same_bytes(preparation, done, texts, tiny_vocabulary, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(texts), str(tiny_vocabulary), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        said = ""
        while not re.search("whole\nmore\n", said):
            said += process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    names = set(contents(out))
    assert [name for name in names if name.startswith(".train-")], "it was killed while it wrote a shard"
    assert len(Manifest.read(out).shards) in (1, 2)
    Manifest.read(out).verify()
    kept = {name: (out / name).stat().st_mtime_ns for name in Manifest.read(out).shards}
    prepare(preparation, out)
    assert contents(out) == contents(done)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
