"""On which texts a device's tokenizer gives other ids than the exact one, which training and SavedModels have."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from export.tflite.rows import DeviceTokenizer, Pieces
from pipelines import WordPiece

AT_ONCE = 1000  # texts
LONGEST = 60  # characters of a text or of its pieces, as they are shown


def check_texts(spec: Mapping[str, Any], texts: Sequence[str], show: int = 3) -> dict[str, Any]:
    """Counts the texts whose ids differ.

    Args:
        spec: a model's `tokenizer_spec`.
        texts: of any length; each by itself.
        show: how many that differ are told.

    Returns:
        `texts` and `differ`, numbers; `shown`, a dict of `text` and its pieces `exact` and `device`, of each shown.

    Raises:
        ValueError: devices cannot tokenize for this model at all.
    """
    wordpiece, differ, shown = WordPiece.from_spec(spec), 0, []
    for text, exact, device in both_ids(wordpiece, texts):
        if exact != device:
            differ += 1
            if len(shown) < show:
                pieces = {"exact": spelled(wordpiece, exact), "device": spelled(wordpiece, device)}
                shown.append({"text": text[:LONGEST], **pieces})
    return {"texts": len(texts), "differ": differ, "shown": shown}


def both_ids(wordpiece: WordPiece, texts: Sequence[str]) -> Iterator[tuple[str, list[int], list[int]]]:
    """Each text with its exact ids and a device's."""
    device = DeviceTokenizer(wordpiece)
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        lines = tf.constant(list(part))
        yield from zip(part, wordpiece.tokenize(lines).to_list(), lists(device.split(lines)), strict=True)


def lists(pieces: Pieces) -> list[list[int]]:
    """The ids of each text."""
    ids, splits = pieces.ids.numpy().tolist(), pieces.splits.numpy().tolist()
    return [ids[begin:end] for begin, end in zip(splits[:-1], splits[1:], strict=True)]


def spelled(wordpiece: WordPiece, ids: Sequence[int]) -> str:
    """Ids as the vocabulary's pieces."""
    return " ".join(wordpiece.vocabulary[number] for number in ids)[:LONGEST]
