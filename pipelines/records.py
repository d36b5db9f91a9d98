"""Records: rows of pre-training as tf.train.Example, in the format of Google's `create_pretraining_data`, out and in.

R rows, T tokens of a row, P masked tokens, S examples that share a packed row.

Features are lists of int64 and of float, padded to one length in a file, under two sets of names: `v2` are those of
the Model Garden's and of this project's inputs (`input_word_ids`, `input_type_ids`), `v1` those of the first release
(`input_ids`, `segment_ids`); all others agree. Packed rows hold three features more, `input_example_ids`,
`first_positions` and `next_sentence_weights`. A reader that does not know these would let the examples of a row see one
another, so packed rows are written under v2 names only, and are for this project's reader.

The bytes are made here and not by protocol buffers, whose maps have no order of their own: the same rows are the same
bytes, keys in alphabetical order, at many times the speed. Source of the features: Devlin et al. 2019,
https://github.com/google-research/bert, create_pretraining_data.py; of the bytes: protobuf.dev, "Encoding".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.pretraining_data import PretrainingData

NAMES = {"v1": {"input_word_ids": "input_ids", "input_type_ids": "segment_ids"}, "v2": {}}  # ours -> theirs, if other
TOKENS = ("input_word_ids", "input_mask", "input_type_ids")  # [R, T]
MASKED = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")  # [R, P]
LABELS = "next_sentence_labels"  # [R], packed [R, S]
EXAMPLE_IDS, FIRSTS, LABEL_WEIGHTS = PACKED = ("input_example_ids", "first_positions", "next_sentence_weights")
FLOATS = ("masked_lm_weights", LABEL_WEIGHTS)


def serialize(rows: Mapping[str, np.ndarray], feature_names: str = "v2") -> list[bytes]:
    """Rows -> a tf.train.Example each, as `SerializeToString(deterministic=True)` would write it.

    Args:
        rows: what `pretraining.window_rows` gives, as arrays; names that no record has (`place`) are left out.
        feature_names: "v1" or "v2".

    Returns:
        R byte strings.

    Raises:
        ValueError: other feature names; v1 with packed rows.

    Example:
        >>> record = serialize({"input_word_ids": np.array([[2, 300, 3]]), "input_mask": np.ones([1, 3], int)}, "v1")
        >>> tf.train.Example.FromString(record[0]).features.feature["input_ids"].int64_list.value
        [2, 300, 3]
    """
    packed = EXAMPLE_IDS in rows
    check_feature_names(feature_names, packed)
    features = []  # (payloads of the R rows, the bytes before a payload by its length)
    for name, ours in sorted((theirs, ours) for ours, theirs in _named(feature_names).items()):
        if ours in rows:
            encode = _float_lists if ours in FLOATS else _int_lists
            features.append((encode(rows[ours]), _Head(name, b"\x12" if ours in FLOATS else b"\x1a")))
    records = []
    for number in range(len(rows[TOKENS[0]])):
        parts = [part for payloads, head in features for part in (head[len(payloads[number])], payloads[number])]
        whole = b"".join(parts)
        records.append(b"\x0a" + varint(len(whole)) + whole)
    return records


def check_feature_names(feature_names: str, packed: bool) -> None:
    """Raises ValueError unless rows may be written under these names."""
    if feature_names not in NAMES:
        raise ValueError(f"feature names are {' or '.join(NAMES)}; got {feature_names!r}.")
    if packed and feature_names != "v2":
        raise ValueError(
            f"packed rows are written with feature names v2; got {feature_names}: its readers would let the examples "
            "of a row see one another. Use v2, or rows that are not packed."
        )


class _Head(dict):
    """Length of a feature's payload -> all bytes of the map's entry before it: lengths within lengths, and the key."""

    def __init__(self, name: str, kind: bytes):
        super().__init__()
        key = name.encode()
        self.key, self.kind = b"\x0a" + varint(len(key)) + key + b"\x12", kind

    def __missing__(self, length: int) -> bytes:
        head = b""
        if length:  # an empty list has no payload, not one of length 0
            head = b"\x0a" + varint(length)
        head = self.kind + varint(len(head) + length) + head  # Int64List or FloatList in Feature
        head = self.key + varint(len(head) + length) + head  # Feature in the entry
        self[length] = head = b"\x0a" + varint(len(head) + length) + head  # the entry in Features
        return head


def varint(number: int) -> bytes:
    r"""A whole number from 0, seven bits a byte, the lowest first.

    >>> varint(300)
    b'\xac\x02'
    """
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _int_lists(values: np.ndarray) -> list[bytes]:
    """Whole numbers from 0, [R, W] or [R] -> R strings of W varints each."""
    values = _lists(values).astype(np.uint64)  # [R, W]
    most = int(values.max(initial=0))
    if most < 128:
        found = values.astype(np.uint8)
        return [row.tobytes() for row in found]
    width = len(varint(most))
    sevens = (values[:, :, None] >> np.arange(0, 7 * width, 7, dtype=np.uint64)).astype(np.uint8) | 128  # [R, W, width]
    used = np.ones([*values.shape, width], bool)
    for place in range(1, width):
        used[:, :, place] = values >= np.uint64(1 << 7 * place)
    last = used.sum(-1, keepdims=True) - 1  # [R, W, 1], the byte without a following one
    np.put_along_axis(sevens, last, np.take_along_axis(sevens, last, -1) & 127, -1)
    ends = used.sum((1, 2)).cumsum().tolist()
    flat = sevens[used].tobytes()
    return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _float_lists(values: np.ndarray) -> list[bytes]:
    """[R, W] -> R strings of W little-endian float32 each."""
    return [row.tobytes() for row in _lists(values).astype("<f4")]


def _lists(values: np.ndarray) -> np.ndarray:
    """[R, W] or [R] -> [R, W] or [R, 1]; R may be 0."""
    values = np.asarray(values)
    return values if values.ndim == 2 else values[:, None]


@dataclass(frozen=True)
class Contents:
    """What the records of a file hold.

    Args:
        feature_names: "v1" or "v2".
        max_length: T.
        max_predictions: P.
        examples_a_row: S of packed rows, else None.
        labelled: whether they hold next_sentence_labels.
    """

    feature_names: str
    max_length: int
    max_predictions: int
    examples_a_row: int | None
    labelled: bool

    @classmethod
    def of(cls, record: bytes, source: str) -> "Contents":
        """What a record holds, and so all of its file.

        Raises:
            ValueError: it is no tf.train.Example, or not one of pre-training; `source` says where it came from.
        """
        rule = f"a record of pre-training holds {', '.join((*TOKENS, *MASKED))} (or the first release's names)"
        remedy = "Give files of kbert prepare or of create_pretraining_data."
        try:
            features = tf.train.Example.FromString(record).features.feature
        except Exception as error:  # the class differs between the implementations of protocol buffers
            raise ValueError(f"{rule}; {source} holds no tf.train.Example. {remedy}") from error
        width = {name: len(feature.int64_list.value or feature.float_list.value) for name, feature in features.items()}
        feature_names = next((key for key in NAMES if _named(key)["input_word_ids"] in width), None)
        ours = _named(feature_names or "v2")
        if lacking := [name for name in (*TOKENS, *MASKED) if ours[name] not in width]:
            raise ValueError(f"{rule}; {source} lacks {', '.join(lacking)}. {remedy}")
        slots = width.get(FIRSTS) if EXAMPLE_IDS in width else None
        return cls(feature_names, width[ours["input_mask"]], width["masked_lm_ids"], slots, LABELS in width)

    def check(self, settings: PretrainingData, source: str) -> None:
        """Raises ValueError unless these are records of such settings."""
        packed = self.examples_a_row is not None
        for name, asked, found in (
            ("max_length", settings.max_length, self.max_length),
            ("max_predictions", settings.predictions, self.max_predictions),
            ("packed", settings.packed, packed),
        ):
            if asked != found:
                raise ValueError(
                    f"{name} is that of the records, {found} in {source}; got {asked}. Use {name}={found}."
                )
        if settings.pairs and not self.labelled:
            raise ValueError(
                f"objective {settings.objective} needs next_sentence_labels; {source} has none. Use objective='none'."
            )

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings [R] -> rows: int32 and float32 tensors under this project's names, next_sentence_labels [R].

        In the graph. InvalidArgumentError: a record that does not hold what the first one of the files did.
        """
        width = dict.fromkeys(TOKENS, self.max_length) | dict.fromkeys(MASKED, self.max_predictions)
        if self.examples_a_row is not None:
            width |= dict.fromkeys((FIRSTS, LABEL_WEIGHTS), self.examples_a_row) | {EXAMPLE_IDS: self.max_length}
        if self.labelled:
            width[LABELS] = self.examples_a_row or 1
        theirs = _named(self.feature_names)
        features = {
            theirs[name]: tf.io.FixedLenFeature([number], tf.float32 if name in FLOATS else tf.int64)
            for name, number in width.items()
        }
        found = tf.io.parse_example(serialized, features)
        rows = {name: found[theirs[name]] for name in width}
        rows = {name: value if name in FLOATS else tf.cast(value, tf.int32) for name, value in rows.items()}
        if self.labelled and self.examples_a_row is None:
            rows[LABELS] = rows[LABELS][:, 0]
        return rows


def _named(feature_names: str) -> dict[str, str]:
    """This project's name of each feature -> the file's."""
    return {name: NAMES[feature_names].get(name, name) for name in (*TOKENS, *MASKED, LABELS, *PACKED)}
