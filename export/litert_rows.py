"""Strings -> rows for a TFLite file that takes ids: by the tokenizer of the training, which needs TensorFlow.

B texts, T tokens of a row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from export.serving import ID_TENSORS
from export.tflite.rows import ExactTokenizer, Rows, asked, packed
from pipelines import WordPiece
from pipelines.question_windows import most_query_tokens


def exact_tokenizer(vocabulary: Sequence[str], about: Mapping[str, Any]) -> Callable[..., dict[str, np.ndarray]]:
    """What stands for `tokenize` of a file with text in.

    Args:
        vocabulary, about: what is packed in the file.

    Returns:
        A function of the file's strings, arrays of UTF-8 bytes [B] by name, that gives int32 [B, T]: the id tensors,
        and in `start` and `end` the bytes that each token is of in its text, -1 for none.
    """
    rules = {name: about[name] for name in ("lowercase", "strip_accents", "split_cjk")}
    tokenizer, length = ExactTokenizer(WordPiece(vocabulary, **rules)), max(about["lengths"])

    def tokenize(**texts: np.ndarray) -> dict[str, np.ndarray]:
        pieces = [tokenizer.split(tf.constant(column)) for column in texts.values()]
        if about["task"] == "qa":
            rows = asked(*pieces, tokenizer.specials, length, most_query_tokens(length, about["max_query_length"]))
        else:
            rows = packed(pieces, tokenizer.specials, length)
        rows = Rows(*(part.numpy() for part in rows))
        places = {
            name: np.array([bytes_of(*row) for row in zip(characters, rows.types, *texts.values(), strict=True)])
            for name, characters in (("start", rows.starts), ("end", rows.ends))
        }
        return {**dict(zip(ID_TENSORS, rows[:3], strict=True)), **places}

    return tokenize


def bytes_of(characters: np.ndarray, types: np.ndarray, *texts: bytes) -> np.ndarray:
    """Places in texts, of which `types` says the number of each: characters [T] -> bytes int32 [T]; -1 stays.

    >>> bytes_of(np.array([-1, 2, 2]), np.array([0, 0, 1]), "größer".encode(), "öäü".encode())
    array([-1,  2,  4], dtype=int32)
    """
    before = [np.cumsum([0, *(len(one.encode()) for one in text.decode("utf-8", "replace"))]) for text in texts]
    pairs = zip(characters, types, strict=True)
    return np.array([place if place < 0 else before[kind][place] for place, kind in pairs], np.int32)
