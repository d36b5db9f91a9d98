"""Workers that read files of their own: each file to one of them, parts that make the batch, a resume of as many."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_workers import ended, start, weights

import kbert
from kbert.cli.shard_options import Sharing
from kbert.replica_batches import ReplicaBatches, own_part
from kbert.waiting import WaitClock
from pipelines.dealing import deal
from pipelines.documents import Corpus


def test_every_file_is_dealt_once_and_to_everyone_about_as_many_bytes():
    sizes = np.random.default_rng(0).integers(1, 1000, 41).tolist()
    dealt = deal(sizes, 3, seed=7)
    assert sorted(sum(dealt, ())) == list(range(41))
    loads = [sum(sizes[number] for number in own) for own in dealt]
    assert max(loads) - min(loads) <= min(sizes) + 100
    assert dealt == deal(sizes, 3, seed=7)


def test_the_seed_deals_files_of_one_size_anew_and_nobody_goes_without():
    assert deal([5] * 8, 3, seed=1) != deal([5] * 8, 3, seed=2)
    assert all(deal([0, 0, 9], 3, seed=1))


def test_fewer_files_than_workers_are_refused_with_the_other_mode():
    with pytest.raises(ValueError, match="as many files as workers, 3; got 2. Use --shards batch"):
        deal([4, 4], 3, seed=0)


def test_a_dealt_corpus_gives_every_block_of_an_epoch_to_one_worker(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"line {number}\n")
    found = Corpus.find(tmp_path / "*.txt")
    dealt = Corpus(found.files, dealt=((4,), (0, 1, 2, 3)))
    parts = [list(dealt.blocks(seed=0, epoch=1, worker=worker, num_workers=2)) for worker in range(2)]
    assert parts[0] == [b"line 4\n\n"] and sorted(parts[1]) == [b"line %d\n\n" % number for number in range(4)]
    assert dealt.fingerprint() == found.fingerprint()


class Workers:
    """What ReplicaBatches asks of a strategy of two workers with two replicas each, seen from the second one."""

    num_replicas_in_sync = 4

    def experimental_distribute_values_from_function(self, function):
        class Context:
            def __init__(self, number):
                self.replica_id_in_sync_group = number

        return [function(Context(number)) for number in (2, 3)]


def test_a_part_is_cut_among_the_replicas_of_its_worker_alone_whatever_is_made_of_it():
    rows = tf.data.Dataset.range(10).batch(5)
    shared = [[part.numpy().tolist() for part in parts] for parts in ReplicaBatches(rows, Workers())]
    own = ReplicaBatches(own_part(rows).map(lambda x: x).prefetch(1), Workers())
    assert shared == [[[2], [3, 4]], [[7], [8, 9]]]
    assert [[part.numpy().tolist() for part in parts] for parts in own] == [[[0, 1], [2, 3, 4]], [[5, 6], [7, 8, 9]]]


def test_waiting_is_what_the_reader_waits_for_and_not_what_it_computes():
    """A slow source is waited for; a fast one that a slow reader asks is not."""
    source = tf.data.Dataset.range(5).map(lambda x: tf.numpy_function(slow, [x], tf.int64))
    clock, idle = WaitClock(), WaitClock()
    assert list(clock.measured(source).as_numpy_iterator()) == list(range(5))
    assert clock.seconds >= 5 * 0.05
    for _ in idle.measured(tf.data.Dataset.range(5)):
        slow(0)
    assert 0 < idle.seconds < 0.05 * 5


def slow(x):
    import time

    time.sleep(0.05)
    return x


def test_a_batch_that_the_workers_cannot_share_and_another_number_of_them_are_refused(monkeypatch):
    monkeypatch.setattr(Sharing, "parts", 3)
    with pytest.raises(ValueError, match="multiple of the workers, 3; got 8. Change --batch-size, or use --shards bat"):
        Sharing("file").check([6, 8], {})
    with pytest.raises(ValueError, match="as it was begun with, 2; got 3. Start as many, or .* --shards batch"):
        Sharing("file").check([6], {"shard_workers": 2})
    Sharing("file").check([6, 9], {"shard_workers": 3})


def test_a_model_remembers_a_place_for_each_part():
    model = kbert.Pretrainer(kbert.SIZES["tiny"], parts=2)
    assert model.place.numpy().tolist() == [[0, 0, -1], [0, 0, -1]]
    assert kbert.Pretrainer.from_config(model.get_config()).parts == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five files of text for two workers, one of them long, and a vocabulary of their words."""
    folder, random = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    names = [a + b for a in "bcdfgklm" for b in ("ana", "ilo", "uru")]
    for name, lines in (("text", 90), ("1", 40), ("2", 50), ("3", 30), ("4", 60)):
        text = [" ".join(random.choice(names, 7)) + "." + ("\n" if i % 5 == 4 else "") for i in range(lines)]
        (folder / f"{name}.txt").write_text("\n".join(text))
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *names]))
    return folder


def last(folder: Path, out: str, worker: int = 0) -> str:
    return (folder / f"{out}.{worker}.log").read_text().splitlines()[-1]


def test_workers_with_files_of_their_own_resume_exactly_and_only_as_many(folder):
    more = {worker: ("--input", *map(str, sorted(folder.glob("?.txt"))), "--shards", "file") for worker in range(2)}
    assert ended(start(folder, "whole", more=more)) == [0, 0], last(folder, "whole")
    for name in ("checkpoints", "config.json", "model.safetensors"):  # as if it had been killed after step 20
        assert (folder / "whole" / name).exists()
    before = weights(folder / "whole")
    lines = [json.loads(line) for line in (folder / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= line["wait_share"] <= 1 for line in lines if "wait_share" in line)
    (folder / "whole" / "config.json").unlink()
    steps = sorted((folder / "whole" / "checkpoints").glob("step-*"))
    steps[-1].unlink()
    assert ended(start(folder, "whole", count=1, more=more)) == [1]
    assert "as many workers as it was begun with, 2; got 1" in last(folder, "whole")
    assert ended(start(folder, "whole", more=more)) == [0, 0], last(folder, "whole")
    after = weights(folder / "whole")
    assert all(np.array_equal(before[name], after[name]) for name in before)
