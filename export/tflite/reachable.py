"""The tokens that text can become, and a table's rows for them alone.

A vocabulary has tokens that no text becomes: [unused0] and its kind, which are parted at their brackets, and pieces as
##! of characters that are words by themselves. A file that takes text leaves their rows out.

V tokens of the vocabulary, N tokens of a batch.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines import WordPiece
from pipelines.wordpiece import SUFFIX

BEFORE = "a"  # a piece is asked for behind it
FEW = 8  # tokens in a row; shorter runs stay in the table


def reachable(wordpiece: WordPiece, tokenizers: Sequence) -> np.ndarray:
    """Which tokens some text becomes, bool [V]; those that a row or a user of ids needs count as such.

    A token is where its own text becomes it and nothing else; a piece of a word, where it and a letter before it are
    one word.

    Args:
        tokenizers: `DeviceTokenizer` or `ExactTokenizer`; any of them may give a token.
    """
    vocabulary = wordpiece.vocabulary
    inner = np.array([token.startswith(SUFFIX) and token != SUFFIX for token in vocabulary])
    texts = [
        BEFORE + token.removeprefix(SUFFIX) if is_inner else token
        for token, is_inner in zip(vocabulary, inner, strict=True)
    ]
    found = np.zeros(len(vocabulary), bool)
    for tokenizer in tokenizers:
        pieces = tokenizer.split(tf.constant(texts))
        ids, splits = pieces.ids.numpy(), pieces.splits.numpy()
        words = np.add.reduceat(np.append(~inner[ids], False), splits[:-1]) * (np.diff(splits) > 0)  # that began in it
        alone = (np.diff(splits) == 1) & (np.append(ids, -1)[splits[:-1]] == np.arange(len(vocabulary)))
        found |= np.where(inner, words == 1, alone)
    specials = (wordpiece.pad_id, wordpiece.unk_id, wordpiece.cls_id, wordpiece.sep_id, wordpiece.mask_id)
    found[[one for one in specials if one is not None]] = True
    return found


class KeptRows:
    """Ids of the vocabulary -> rows of a table that lacks long runs of them; what is left out reads as [UNK].

    Args:
        found: bool [V], see `reachable`.
        unknown: id of [UNK].

    >>> rows = KeptRows(np.arange(30) % 25 < 10, unknown=1)
    >>> int(rows.kept.sum()), rows(tf.constant([0, 9, 10, 24, 25, 29])).numpy().tolist()
    (15, [0, 9, 1, 1, 10, 14])
    """

    def __init__(self, found: np.ndarray, unknown: int):
        gone = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(int)))  # where runs begin and end
        begins, ends = gone[::2], gone[1::2]
        long = ends - begins >= FEW
        self.begins, self.ends = begins[long].astype("int32"), ends[long].astype("int32")
        self.kept = np.ones(len(found), bool)
        for begin, end in zip(self.begins, self.ends, strict=True):
            self.kept[begin:end] = False
        self.unknown = int(self.kept[:unknown].sum())

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 [N] -> int32 [N]."""
        if not len(self.begins):
            return ids
        each = ids[:, tf.newaxis]  # [N, 1]
        less = tf.reduce_sum(tf.cast(each >= self.ends, tf.int32) * (self.ends - self.begins), 1)  # [N]
        gone = tf.reduce_any((each >= self.begins) & (each < self.ends), 1)
        return tf.where(gone, self.unknown, ids - less)
