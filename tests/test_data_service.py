"""A tf.data service with real dispatchers and workers over loopback: every row once, one order, a clear end."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from test_record_batches import write
from test_records import rows, settings
from test_replicas import clean, ports

from kbert.cli import main
from pipelines import data_service, service_batches
from pipelines.data_service import Service, ServiceLost
from pipelines.manifest import Manifest, Shard
from pipelines.records import serialize
from pipelines.service_batches import service_records

COUNTS = (13, 7, 29, 1, 18)  # records of the shards
TOTAL, B = sum(COUNTS), 3
RETRY = 138


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(service_batches, "BLOCK", 4)
    monkeypatch.setattr(service_batches, "AT_ONCE", 3)
    monkeypatch.setattr(data_service, "LOOK_SECONDS", 1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A folder as `kbert prepare` leaves it; its records differ in the first id, from 100 on."""
    folder = tmp_path_factory.mktemp("records")
    content = rows(TOTAL)
    content["input_word_ids"][:, 0] = 100 + np.arange(TOTAL)
    records, listed = serialize(content), {}
    for number, count in enumerate(COUNTS):
        path = folder / f"train-{number:05}-of-{len(COUNTS):05}.tfrecord{'.gz' * (number % 2)}"
        start = sum(COUNTS[:number])
        write(path, records[start : start + count], "GZIP" if number % 2 else "")
        listed[path.name] = Shard(count, 0, 0, path.stat().st_size, "")
    Manifest(folder, {"settings": {"objective": "next_sentence"}}, len(COUNTS), listed).write()
    return folder


class Servers:
    """A dispatcher and workers of this process."""

    def __init__(self, workers: int):
        service = tf.data.experimental.service
        self.dispatcher = service.DispatchServer()
        place = self.dispatcher.target.partition("://")[2]
        self.workers = [service.WorkerServer(service.WorkerConfig(place)) for _ in range(workers)]

    def stop(self):
        for server in (*self.workers, self.dispatcher):
            server.stop()

    def read(self, folder, **changed):
        """(ids of the rows, places) of each batch of two epochs."""
        arguments = {"batch_size": B, "epochs": range(2), "seed": 5} | changed
        files = sorted(folder.glob("*.tfrecord*"))
        batches = service_records(files, settings(), Service(self.dispatcher.target), **arguments)
        return [
            (inputs["input_word_ids"][:, 0].numpy().tolist(), list(map(tuple, inputs["place"].numpy().tolist())))
            for inputs, _, _ in batches
        ]


@pytest.fixture(scope="module")
def one():
    servers = Servers(1)
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def three():
    servers = Servers(3)
    yield servers
    servers.stop()


def ids_of(batches):
    return [number for ids, _ in batches for number in ids]


def test_every_record_comes_once_an_epoch_and_epochs_differ(shards, three):
    found = ids_of(three.read(shards))
    first, second = found[:TOTAL], found[TOTAL:]
    assert sorted(first) == sorted(second) == list(range(100, 100 + TOTAL))
    assert first != second and first != sorted(first)


def test_three_workers_make_the_order_of_one(shards, one, three):
    assert three.read(shards) == one.read(shards) != one.read(shards, seed=6)


def test_going_on_after_a_place_is_as_if_never_stopped(shards, three):
    """68 records are 22 batches and 2 records an epoch, so that batches cross windows and epochs."""
    whole = three.read(shards)
    for stop in (0, 4, 22, 40):
        assert three.read(shards, after=whole[stop][1][-1]) == whole[stop + 1 :], stop


def test_batches_have_what_was_written(shards, one):
    content = rows(TOTAL)
    files = sorted(shards.glob("*.tfrecord*"))
    given = (files, settings(), Service(one.dispatcher.target))
    endless = service_records(*given, batch_size=B)
    assert endless.element_spec[0]["input_word_ids"].shape == [B, content["input_word_ids"].shape[1]]
    for inputs, labels, weights in service_records(*given, batch_size=B, epochs=range(1)):
        numbers = inputs["input_word_ids"].numpy()[:, 0] - 100
        for name, value in {**inputs, **labels, **weights}.items():
            if name not in ("input_word_ids", "place"):
                np.testing.assert_array_equal(value, content[name][numbers], name)


def test_files_that_no_manifest_counts_are_refused_with_the_remedy(tmp_path, one):
    write(tmp_path / "a.tfrecord", serialize(rows(3)))
    with pytest.raises(ValueError, match="manifest.json says; got .*a.tfrecord without. Make them with kbert prepare"):
        one.read(tmp_path)


def test_what_a_worker_cannot_read_is_said_in_the_words_of_its_cause(shards, tmp_path, one):
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    files = sorted(tmp_path.glob("*.tfrecord*"))
    batches = service_records(files, settings(), Service(one.dispatcher.target), batch_size=B, epochs=range(1))
    for path in files[1:]:
        path.unlink()
    with pytest.raises(tf.errors.OpError, match="UnreadableText: a worker of grpc://.* No such file"):
        list(batches)


def test_a_service_that_never_was_or_has_no_workers_is_lost_in_bounded_time(shards, monkeypatch):
    (port,) = ports(1)
    away = Service(f"grpc://localhost:{port}")
    with pytest.raises(ServiceLost, match="does not answer .*refused.*; start it with kbert data-service"):
        away.check()
    assert away.lost
    monkeypatch.setattr(data_service, "PATIENCE_SECONDS", 2)
    with pytest.raises(tf.errors.OpError, match="has given nothing for 2 s: its workers are away"):
        Servers(0).read(shards)


def test_a_part_that_never_comes_is_a_lost_worker():
    service = Service("grpc://localhost:1")
    service.elements = lambda dataset: iter([(np.int64(1), "b"), (np.int64(0), "a"), (np.int64(3), "d")])
    found = service.in_order(None, range(4))
    assert [next(found), next(found)] == ["a", "b"] and not service.lost
    with pytest.raises(ServiceLost, match="lost a worker, and with it part 2 of the data"):
        next(found)
    assert service.lost


def test_text_is_refused_with_what_prepares_it(capsys):
    words = ["--input", "a.txt", "--vocab", "v.txt", "--steps", "1", "--out", "o", "--data-service", "grpc://a:1"]
    assert main(["pretrain", *words]) == 2
    assert "kbert prepare --input" in capsys.readouterr().err
    assert main(["data-service"]) == main(["data-service", "--join", "grpc://a:1", "--workers", "0"]) == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of a text, as `kbert prepare` makes them."""
    folder, random = tmp_path_factory.mktemp("service"), np.random.default_rng(0)
    names = [a + b for a in "bcdf" for b in ("ana", "ilo", "uru")]
    lines = [" ".join(random.choice(names, 7)) + "." + ("\n" if i % 5 == 4 else "") for i in range(200)]
    (folder / "text.txt").write_text("\n".join(lines))
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *names]))
    files = ["--input", folder / "text.txt", "--vocab", folder / "vocab.txt", "--out", folder / "records"]
    made = ["--shards", "1", "--duplicates", "3", "--max-length", "24", "--processes", "1", "--lowercase"]
    assert main(["prepare", *map(str, files), *made]) == 0
    return folder


def kbert(folder, *words, **streams) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "kbert", *words], cwd=folder, env=clean(), text=True, **streams)


def serve(folder, *words):
    """A service as a process, and its address."""
    started = kbert(folder, "data-service", "--host", "localhost", *words, stdout=subprocess.PIPE)
    line = started.stdout.readline()
    assert line.startswith("grpc://localhost:") and line.strip().endswith("Ctrl-C ends it")
    return started, line.split(": ")[0]


def pretrain(folder, out, address, **streams):
    """A training of more steps than a reader has batches in hand."""
    recipe = ["--steps", "200", "--checkpoint-steps", "10", "--batch-size", "48", "--max-length", "24"]
    model = ["--size", "tiny", "--vocab", "vocab.txt", "--lowercase", "--records", "records"]
    return kbert(folder, "pretrain", *model, *recipe, "--data-service", address, "--out", out, "--json", **streams)


def test_a_training_whose_service_goes_ends_in_a_line_and_goes_on_exactly_with_more_workers(folder):
    service, address = serve(folder, "--port", "0")
    cut = pretrain(folder, "cut", address, stderr=subprocess.PIPE)
    while not list((folder / "cut" / "checkpoints").glob("step-*0.safetensors")):
        assert cut.poll() is None
        time.sleep(0.05)
    os.kill(service.pid, signal.SIGKILL)
    told = cut.communicate(timeout=300)[1].splitlines()
    assert cut.returncode == RETRY and service.wait(60) == -signal.SIGKILL
    assert told[-1].startswith("kbert: ") and f"tf.data service {address} does not answer" in told[-1]
    assert not [line for line in told if "heartbeat" in line]

    service, address = serve(folder, "--port", address.rpartition(":")[2], "--workers", "0")
    joined, same = serve(folder, "--join", address, "--workers", "2")
    assert same == address
    trainings = [pretrain(folder, out, address, stdout=subprocess.PIPE) for out in ("cut", "whole")]
    figures = [json.loads(training.communicate(timeout=300)[0].splitlines()[-1]) for training in trainings]
    assert all(figure["steps"] == 200 and 0 <= figure["wait_share"] <= 1 for figure in figures)
    first, second = ((folder / out / "model.safetensors").read_bytes() for out in ("cut", "whole"))
    assert first == second
    for one, number in ((joined, signal.SIGINT), (service, signal.SIGTERM)):
        one.send_signal(number)
        assert one.wait(60) == 0
