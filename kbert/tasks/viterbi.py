"""Decoding of tags: the best sequence that spells entities, by TensorFlow Text's Viterbi operation.

B sentences, W words, C tags. Scoring and serving both call `best_tags`.
"""

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

SCHEMES = ("iob2", "bioes", "none")
TAG = re.compile(r"([BIES])-(.+)", re.DOTALL)


def parted(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag, "" and the tag itself where it has no prefix.

    >>> parted("B-LOC"), parted("O"), parted("NOUN")
    (('B', 'LOC'), ('O', ''), ('', 'NOUN'))
    """
    if tag == "O":
        return "O", ""
    found = TAG.fullmatch(tag)
    return (found[1], found[2]) if found else ("", tag)


def scheme_of(labels: Sequence[str]) -> str:
    """What labels are written in: "iob2", "bioes", or "none" where any is neither "O" nor has a prefix."""
    prefixes = {parted(label)[0] for label in labels}
    if "" in prefixes:
        return "none"
    return "bioes" if prefixes & {"E", "S"} else "iob2"


def legal_transitions(labels: Sequence[str], scheme: str) -> np.ndarray:
    """Which tag may follow which: bool [C + 1, C + 1], from row to column; the last of both is a sentence's border.

    IOB2: I-X follows B-X or I-X. BIOES: also, what B-X opens goes on as I-X and ends as E-X.

    >>> legal_transitions(["O", "B-X", "I-X"], "iob2").astype(int).tolist()
    [[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 1]]
    """
    tags = [*map(parted, labels), ("O", "")]
    if scheme == "none":
        return np.ones([len(tags)] * 2, bool)

    def legal(before, after):
        (prefix, kind), (following, other) = before, after
        if following in "IE":
            return prefix in "BI" and kind == other
        return scheme == "iob2" or prefix not in "BI"

    return np.array([[legal(before, after) for after in tags] for before in tags])


def best_tags(logits: tf.Tensor, lengths: tf.Tensor, legal: np.ndarray, transitions=None) -> tf.Tensor:
    """The legal sequence of tags with the greatest sum of logits, and of transitions where there are such.

    Args:
        logits: float32 [B, W, C].
        lengths: int32 [B], words of each sentence.
        legal: see `legal_transitions`.
        transitions: float32 [C, C], learned, from row to column.

    Returns:
        int32 [B, W], -1 behind a sentence's end.

    Source: Viterbi 1967; `tensorflow_text.viterbi_constrained_sequence`.
    """
    import tensorflow_text

    weights = np.zeros(legal.shape, "float32")
    if transitions is not None:
        weights[:-1, :-1] = transitions
    tags = tensorflow_text.viterbi_constrained_sequence(
        logits, lengths, allowed_transitions=legal, transition_weights=weights, use_log_space=True
    )
    return tags.to_tensor(-1, shape=tf.shape(logits)[:2])
