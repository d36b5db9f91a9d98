"""What a TFLite file says -> the answers of the SavedModel: numbers of labels become names, bytes become characters.

B texts, T tokens of a row, C classes, W words, E entities.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def read_classes(said: Arrays, rows: Arrays, texts: Sequence[np.ndarray], about: Mapping[str, Any]) -> dict:
    """`classes`, `scores`, `label`."""
    names, scores = about["labels"], said["scores"]
    label = (
        said["label"] if "label" in said else encoded(names)[scores.argmax(1)]
    )  # files for MediaPipe have no strings
    return {"classes": classes(scores, names), "scores": scores, "label": label}


def read_several(said: Arrays, rows: Arrays, texts: Sequence[np.ndarray], about: Mapping[str, Any]) -> dict:
    """`classes`, `scores`, and in `label` all that were chosen."""
    names, separator = about["labels"], about["separator"]
    here = said["chosen"] if "chosen" in said else said["scores"] >= np.array(about["thresholds"], np.float32)
    chosen = [separator.join(name for name, is_here in zip(names, row, strict=True) if is_here) for row in here]
    return {"classes": classes(said["scores"], names), "scores": said["scores"], "label": encoded(chosen)}


def read_numbers(said: Arrays, rows: Arrays, texts: Sequence[np.ndarray], about: Mapping[str, Any]) -> dict:
    """What is said."""
    return dict(said)


def read_spans(said: Arrays, rows: Arrays, texts: Sequence[np.ndarray], about: Mapping[str, Any]) -> dict:
    """`answer`, `start`, `end` in characters of the context, `score`, `null_score`."""
    answers, starts, ends = [], [], []
    for row, context in enumerate(texts[1]):
        first, last = int(said["start"][row]), int(said["end"][row])  # tokens of the row
        begin, end = (-1, -1) if first < 0 else (int(rows["start"][row, first]), int(rows["end"][row, last]))
        answers.append(context[begin:end] if begin >= 0 else b"")
        starts.append(characters(context, begin))
        ends.append(characters(context, end))
    found = {"answer": np.array(answers, object), "start": np.array(starts, np.int32), "end": np.array(ends, np.int32)}
    return {**found, "score": said["score"], "null_score": said["null_score"]}


def read_tags(said: Arrays, rows: Arrays, texts: Sequence[np.ndarray], about: Mapping[str, Any]) -> dict:
    """Words with their tags, and the entities that these spell: as `export.tasks.tag`."""
    lines = [
        words_of(said["tag"][row], said["score"][row], rows["start"][row], rows["end"][row], text)
        for row, text in enumerate(texts[0])
    ]
    labels = about["labels"]
    words = {
        "tokens": [
            [text[word["begin"] : word["end"]] for word in line] for line, text in zip(lines, texts[0], strict=True)
        ],
        "tags": [[labels[word["tag"]].encode() for word in line] for line in lines],
        "starts": [[word["start"] for word in line] for line in lines],
        "ends": [[word["stop"] for word in line] for line in lines],
        "scores": [[word["score"] for word in line] for line in lines],
    }
    entities = [entities_of(line, labels) for line in lines]
    of_entities = {
        "entities": [
            [text[one["begin"] : one["end"]] for one in found] for found, text in zip(entities, texts[0], strict=True)
        ],
        "entity_labels": [[one["label"].encode() for one in found] for found in entities],
        "entity_starts": [[one["start"] for one in found] for found in entities],
        "entity_ends": [[one["stop"] for one in found] for found in entities],
        "entity_scores": [[one["score"] for one in found] for found in entities],
    }
    return {name: padded(values, name) for name, values in {**words, **of_entities}.items()}


def words_of(tags: np.ndarray, scores: np.ndarray, starts: np.ndarray, ends: np.ndarray, text: bytes) -> list[dict]:
    """The words of a text, from its tokens [T]: a token with a place and no tag goes on with the word before it."""
    words: list[dict] = []
    for token in np.flatnonzero(starts[: len(tags)] >= 0):
        end = int(ends[token])
        if tags[token] < 0 and words:
            words[-1]["end"] = end
        elif tags[token] >= 0:
            words.append(
                {"tag": int(tags[token]), "score": float(scores[token]), "begin": int(starts[token]), "end": end}
            )
    for word in words:
        word["start"], word["stop"] = characters(text, word["begin"]), characters(text, word["end"])
    return words


def entities_of(words: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> list[dict]:
    """What legal sequences of IOB2 or BIOES tags spell; see `export.entities.find_entities`."""
    found: list[dict] = []
    for word in words:
        prefix, _, kind = labels[word["tag"]].partition("-")
        if prefix in ("B", "S") and kind:
            found.append({"label": kind, "words": [word]})
        elif prefix in ("I", "E") and kind and found:
            found[-1]["words"].append(word)
    return [
        {
            "label": one["label"],
            **{name: one["words"][0][name] for name in ("begin", "start")},
            **{name: one["words"][-1][name] for name in ("end", "stop")},
            "score": float(np.mean([word["score"] for word in one["words"]])),
        }
        for one in found
    ]


def characters(text: bytes, place: int) -> int:
    """How many characters come before a byte; -1 for none.

    >>> characters("größer".encode(), 6), characters(b"", -1)
    (4, -1)
    """
    return len(text[:place].decode("utf-8", "replace")) if place >= 0 else -1


def classes(scores: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """The names of the classes for each text, [B, C]."""
    return np.tile(encoded(labels), [len(scores), 1])


def encoded(strings: Sequence[str]) -> np.ndarray:
    """Strings as UTF-8."""
    return np.array([string.encode() for string in strings], object)


def padded(lines: Sequence[Sequence], name: str) -> np.ndarray:
    """Lists as rows of the longest one's length, padded with b"" or -1."""
    width = max(map(len, lines), default=0)
    if name in ("tokens", "tags", "entities", "entity_labels"):
        kind, fill = object, b""
    else:
        kind, fill = (np.float32 if name.endswith("scores") else np.int32), -1
    rows = np.full([len(lines), width], fill, kind)
    for row, line in zip(rows, lines, strict=True):
        row[: len(line)] = line
    return rows


READERS: Mapping[str, Callable] = MappingProxyType(
    {
        "classify": read_classes,
        "multilabel": read_several,
        "regress": read_numbers,
        "embed": read_numbers,
        "tag": read_tags,
        "qa": read_spans,
    }
)
