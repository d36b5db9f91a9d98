"""Laws of records: protocol buffers' own bytes, what is read is what was written, Google's names, damage is named."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.pretraining_data import PretrainingData
from pipelines.records import EXAMPLE_IDS, NAMES, Contents, check_feature_names, serialize, varint

R, T, P, S = 7, 11, 3, 2


def rows(count=R, packed=False, seed=0, most=30522):
    """Rows whose numbers all differ; ids of one, two and three bytes."""
    random = np.random.default_rng(seed)
    length = random.integers(4, T + 1, [count, 1])
    mask = (np.arange(T) < length).astype(np.int32)
    found = {
        "input_word_ids": random.integers(0, most, [count, T]).astype(np.int32) * mask,
        "input_mask": mask,
        "input_type_ids": mask * (np.arange(T) > 2),
        "masked_lm_positions": np.sort(random.integers(1, T, [count, P])).astype(np.int32),
        "masked_lm_ids": random.integers(0, most, [count, P]).astype(np.int32),
        "masked_lm_weights": (np.arange(P) < random.integers(1, P + 1, [count, 1])).astype(np.float32),
        "next_sentence_labels": random.integers(0, 2, [count, S] if packed else [count]).astype(np.int32),
    }
    if packed:
        found[EXAMPLE_IDS] = mask + mask * (np.arange(T) > 4)
        found["first_positions"] = random.integers(0, T, [count, S]).astype(np.int32)
        found["next_sentence_weights"] = random.random([count, S]).astype(np.float32)
    return found


def settings(**changes):
    return PretrainingData(**{"max_length": T, "max_predictions": P} | changes)


def by_protocol_buffers(row, feature_names):
    features = {}
    for name, value in row.items():
        value = np.atleast_1d(value)
        if value.dtype == np.float32:
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=value.tolist()))
        else:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=value.tolist()))
        features[NAMES[feature_names].get(name, name)] = feature
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


@pytest.mark.parametrize("feature_names, packed", [("v1", False), ("v2", False), ("v2", True)])
@pytest.mark.parametrize("most", [100, 128, 30522, 2**31 - 1])
def test_bytes_are_those_of_protocol_buffers(feature_names, packed, most):
    given = rows(packed=packed, most=most)
    expected = [by_protocol_buffers({name: given[name][i] for name in given}, feature_names) for i in range(R)]
    assert serialize({**given, "place": np.zeros([R, 3])}, feature_names) == expected


def test_the_longest_rows_are_those_of_protocol_buffers():
    """Payloads of over 127 and over 16,383 bytes: lengths of one, two and three bytes within one another."""
    row = {"input_word_ids": np.arange(9000) + 20000, "input_mask": np.ones(9000, int), "masked_lm_ids": np.arange(130)}
    assert serialize({name: value[None] for name, value in row.items()}) == [by_protocol_buffers(row, "v2")]


def test_an_empty_list_is_that_of_protocol_buffers():
    row = {"input_word_ids": np.arange(5), "masked_lm_ids": np.zeros(0, int)}
    assert serialize({name: value[None] for name, value in row.items()}) == [by_protocol_buffers(row, "v2")]


def test_no_rows_are_no_records():
    assert serialize({name: value[:0] for name, value in rows().items()}) == []


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16383, 16384, 2**31 - 1])
def test_a_varint_is_read_back(number):
    message = tf.train.Int64List.FromString(b"\x08" + varint(number))
    assert list(message.value) == [number]


@pytest.mark.parametrize("feature_names, packed", [("v1", False), ("v2", False), ("v2", True)])
def test_rows_come_back_as_they_were(feature_names, packed):
    given = rows(packed=packed)
    records = serialize(given, feature_names)
    contents = Contents.of(records[0], "here")
    assert contents == Contents(feature_names, T, P, S if packed else None, True)
    found = contents.parse(tf.constant(records))
    assert set(found) == set(given)
    for name, value in given.items():
        assert found[name].dtype == (tf.float32 if value.dtype == np.float32 else tf.int32)
        np.testing.assert_array_equal(found[name], value, name)


def test_packed_rows_are_not_written_for_readers_that_would_mix_them():
    with pytest.raises(ValueError, match="packed rows are written with feature names v2; got v1"):
        serialize(rows(packed=True), "v1")
    with pytest.raises(ValueError, match="feature names are v1 or v2; got 'v3'"):
        check_feature_names("v3", packed=False)


def test_settings_are_held_to_the_records():
    contents = Contents.of(serialize(rows(), "v1")[0], "a.tfrecord")
    contents.check(settings(), "a.tfrecord")
    for changed in ({"max_length": T + 1}, {"max_predictions": P - 1}, {"packed": True}):
        with pytest.raises(ValueError, match=r"is that of the records, .* in a\.tfrecord; got .*\. Use "):
            contents.check(settings(**changed), "a.tfrecord")
    unlabelled = {name: value for name, value in rows().items() if name != "next_sentence_labels"}
    contents = Contents.of(serialize(unlabelled)[0], "a.tfrecord")
    contents.check(settings(objective="none"), "a.tfrecord")
    with pytest.raises(ValueError, match="next_sentence needs next_sentence_labels; a.tfrecord has none"):
        contents.check(settings(), "a.tfrecord")


def test_what_is_no_record_of_pretraining_is_told():
    with pytest.raises(ValueError, match="a.tfrecord holds no tf.train.Example"):
        Contents.of(b"\xff\xff\xff", "a.tfrecord")
    other = tf.train.Example(features=tf.train.Features(feature={"image": tf.train.Feature()}))
    with pytest.raises(ValueError, match="a.tfrecord lacks input_word_ids"):
        Contents.of(other.SerializeToString(), "a.tfrecord")
