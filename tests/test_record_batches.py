"""Laws of reading records: every record once an epoch, exact continuation, orders under a seed, damage is named."""

import numpy as np
import pytest
import tensorflow as tf
from test_records import P, S, T, rows, settings

from pipelines import record_batches
from pipelines.pretraining import UnreadableText, reading_errors
from pipelines.record_batches import pretraining_records
from pipelines.records import serialize

B = 3
COUNTS = (13, 0, 29, 7, 1, 18)  # records of the shards
TOTAL = sum(COUNTS)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(record_batches, "WINDOW", 16)
    monkeypatch.setattr(record_batches, "AT_ONCE", 4)


def write(path, records, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Files whose records differ in the first id, from 100 on."""
    folder = tmp_path_factory.mktemp("records")
    content = rows(TOTAL)
    content["input_word_ids"][:, 0] = 100 + np.arange(TOTAL)
    records = serialize(content, "v1")
    for number, count in enumerate(COUNTS):
        start = sum(COUNTS[:number])
        write(folder / f"part-{number}.tfrecord", records[start : start + count], "GZIP" if number % 2 else "")
    return folder


def read(files, **changed):
    """Batches as (ids of the rows, places)."""
    arguments = {"batch_size": B, "epochs": range(1), "seed": 5} | changed
    found = []
    with reading_errors():
        for inputs, _, _ in pretraining_records(files, arguments.pop("settings", settings()), **arguments):
            ids = inputs["input_word_ids"][:, 0].numpy().tolist()
            found.append((ids, [tuple(place) for place in inputs["place"].numpy().tolist()]))
    return found


def ids_of(batches):
    return [number for ids, _ in batches for number in ids]


def test_every_record_comes_once_an_epoch(shards):
    found = ids_of(read(shards / "*.tfrecord", batch_size=4))  # 4 divides the total
    assert sorted(found) == list(range(100, 100 + TOTAL)) and found != sorted(found)


def test_batches_have_what_was_written(shards):
    content = rows(TOTAL)
    inputs, labels, weights = next(iter(pretraining_records(shards / "*.tfrecord", settings(), batch_size=B, seed=5)))
    numbers = inputs["input_word_ids"].numpy()[:, 0] - 100
    for found in ({**inputs}, labels, weights):
        for name, value in found.items():
            if name == "input_word_ids":
                np.testing.assert_array_equal(value[:, 1:], content[name][numbers, 1:])
            elif name != "place":
                np.testing.assert_array_equal(value, content[name][numbers], name)
    assert set(inputs) == {"input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions", "place"}
    assert (set(labels), set(weights)) == ({"masked_lm_ids", "next_sentence_labels"}, {"masked_lm_weights"})


def test_shapes_are_static(shards):
    inputs, labels, weights = pretraining_records(shards / "*.tfrecord", settings(), batch_size=B).element_spec
    assert inputs["input_word_ids"] == tf.TensorSpec([B, T], tf.int32)
    assert inputs["place"] == tf.TensorSpec([B, 3], tf.int64)
    assert labels["next_sentence_labels"] == tf.TensorSpec([B], tf.int32)
    assert weights["masked_lm_weights"] == tf.TensorSpec([B, P], tf.float32)


def test_packed_rows_bring_what_parts_them(tmp_path):
    content = rows(6, packed=True)
    write(tmp_path / "packed.tfrecord", serialize(content))
    dataset = pretraining_records(tmp_path / "packed.tfrecord", settings(packed=True), batch_size=6, part="held_out")
    ((inputs, labels, weights),) = dataset.as_numpy_iterator()
    for name in ("input_example_ids", "first_positions"):
        np.testing.assert_array_equal(inputs[name], content[name])
    assert labels["next_sentence_labels"].shape == weights["next_sentence_weights"].shape == (6, S)
    np.testing.assert_array_equal(weights["next_sentence_weights"], content["next_sentence_weights"])


def test_no_objective_has_no_labels_of_pairs(shards):
    dataset = pretraining_records(shards / "*.tfrecord", settings(objective="none"), batch_size=B)
    assert [list(part) for part in dataset.element_spec[1:]] == [["masked_lm_ids"], ["masked_lm_weights"]]


def test_seed_and_epoch_decide_on_the_order(shards):
    """4 divides 68, so that no row is left over."""
    both, again, other = (read(shards / "*.tfrecord", epochs=range(2), seed=seed, batch_size=4) for seed in (5, 5, 6))
    assert both == again != other
    first, second = ids_of(both)[:TOTAL], ids_of(both)[TOTAL:]
    assert first != second and ids_of(other)[:TOTAL] != first
    assert ids_of(read(shards / "*.tfrecord", epochs=range(1, 2), batch_size=4)) == second


def test_records_of_a_window_come_from_several_files(shards):
    first = np.array(ids_of(read(shards / "*.tfrecord", batch_size=16))[:16]) - 100
    assert len(set(np.searchsorted(np.cumsum(COUNTS), first, "right"))) >= 3


def test_going_on_after_a_place_is_as_if_never_stopped(shards):
    """68 records are 22 batches and 2 records an epoch, so that batches cross windows and epochs."""
    whole = read(shards / "*.tfrecord", epochs=range(2))
    for stop in (0, 4, 21, 22, 40, len(whole) - 1):
        after = np.array(whole[stop][1][-1])
        assert read(shards / "*.tfrecord", epochs=range(2), after=after) == whole[stop + 1 :], stop


def test_epochs_never_end_unless_told(shards):
    endless = pretraining_records(shards / "*.tfrecord", settings(), batch_size=B, seed=5)
    first = [place[0] for inputs, _, _ in endless.take(60) for place in inputs["place"].numpy().tolist()]
    assert set(first) == {0, 1, 2} and first == sorted(first)


def test_held_out_is_one_pass_in_the_order_of_the_files_and_keeps_the_last_batch(shards):
    found = read(shards / "*.tfrecord", part="held_out", epochs=None)
    assert ids_of(found) == list(range(100, 100 + TOTAL))
    assert len(found[-1][0]) == TOTAL % B


def test_workers_share_the_files(shards):
    parts = [ids_of(read(shards / "*.tfrecord", worker=worker, num_workers=4, batch_size=1)) for worker in range(4)]
    assert sorted(sum(parts, [])) == list(range(100, 100 + TOTAL)) and min(map(len, parts)) > 0
    with pytest.raises(ValueError, match="every worker has a file of its own; got 6 for 7 workers"):
        read(shards / "*.tfrecord", num_workers=7)


def test_what_cannot_be_is_refused(shards, tmp_path):
    with pytest.raises(ValueError, match="batch_size is at least 1; got 0"):
        read(shards / "*.tfrecord", batch_size=0)
    with pytest.raises(ValueError, match="max_length is that of the records, 11 in .*; got 12. Use max_length=11"):
        read(shards / "*.tfrecord", settings=settings(max_length=12))
    with pytest.raises(FileNotFoundError, match="holds manifest.json"):
        read(tmp_path)
    write(tmp_path / "empty.tfrecord", [])
    with pytest.raises(ValueError, match="the 1 given are empty, the first is .*empty.tfrecord"):
        read(tmp_path / "empty.tfrecord")


def truncated(data):
    return data[:-60]


def flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 64]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped])
@pytest.mark.parametrize("number", [2, 5])  # plain, gzipped
def test_a_damaged_file_is_named(shards, tmp_path, damage, number):
    data = damage((shards / f"part-{number}.tfrecord").read_bytes())
    (tmp_path / "good.tfrecord").write_bytes((shards / "part-0.tfrecord").read_bytes())
    (tmp_path / "wrong.tfrecord").write_bytes(data)
    with pytest.raises(UnreadableText, match=r"right checksums; .*wrong\.tfrecord does not: .*\. Bring it back"):
        read(tmp_path / "*.tfrecord")


def test_files_of_another_kind_are_named(shards, tmp_path):
    (tmp_path / "good.tfrecord").write_bytes((shards / "part-0.tfrecord").read_bytes())
    write(tmp_path / "other.tfrecord", serialize(rows(4), "v2"))
    with pytest.raises(UnreadableText, match=r"all files hold what the first one does, .*other\.tfrecord holds"):
        read(tmp_path / "*.tfrecord")
