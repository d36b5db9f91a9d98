"""Batches for a tagger: sentences of words -> rows of pieces, and where in its row each word begins.

N words of all sentences, S sentences, R rows (windows of sentences), B rows of a batch, T tokens, W words of a row.

A sentence of more pieces than a row has is seen through windows; each word is tagged in the one that shows its first
piece with the most context (`pipelines.windows`).

A text that comes without words is cut by the tokenizer, at punctuation too: "U.S." is four. So that a tagger is taught
what it is asked, in training each such part of a word carries a tag of its own, which goes on with that of the first:
B-LOC I-LOC I-LOC I-LOC. For scoring a word is a word of the file, and its first piece answers for it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.orders import FileOrder, GroupedOrder
from pipelines.packing import SINGLE_SPECIALS
from pipelines.row_batches import Rows, open_wordpiece, row_batches, tokenize_all
from pipelines.tag_schemes import of_part
from pipelines.tasks.tag import TaggingExamples, read_tagging
from pipelines.tasks.texts import Paths
from pipelines.windows import most_context, windows
from pipelines.word_segments import continues
from pipelines.wordpiece import WordPiece

NO_PIECE = -1  # the position of a word of which the tokenizer leaves nothing


class Tagged(NamedTuple):
    """What carries a tag, in order: int64 [M] each. place: of its first piece among all, NO_PIECE without any."""

    sentence: np.ndarray
    place: np.ndarray
    tag: np.ndarray


def tagging(
    files: Paths | TaggingExamples,
    spec: dict,
    *,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int | None = None,
    labels: Sequence[str] | None = None,
    window: int | None = None,
    parts: bool | None = None,
    epochs: range | None = None,
) -> tf.data.Dataset:
    """Files of tagged sentences -> batches for a tagger.

    Over eight parameters, as this is a line that users type.

    Args:
        files: files and globs as `read_tagging` takes them, or the examples that it has read.
        spec: `model.tokenizer_spec`.
        batch_size: rows in a batch; the last batch of an epoch may have fewer.
        max_length: the most tokens in a row, special tokens included.
        seed: shuffles, and groups rows of like length. None keeps the order of the files, for evaluation.
        labels: the tags in the order of their ids; None takes those of the model, `spec["labels"]`.
        window: a sentence too long for a row is seen through windows that start every so many pieces; None is half
            of a row.
        parts: the parts of a word at punctuation and ideographs carry tags, as they will where raw text is served.
            None: in training, which is where there is a seed.
        epochs: as in `pipelines.classification`.

    Returns:
        A dataset of known cardinality, of (inputs, labels int32 [B, W], weights float32 [B, W]). Inputs are `pack`'s
        three tensors int32 [B, T]; `word_positions`, int32 [B, W], the place in its row of each word's first piece, 0
        where there is no word and -1 for a word without a piece, which weighs nothing; `text_numbers`, int32 [B], the
        sentence that a row is of.

    Raises:
        ValueError: max_length over the model's positions or without room for a word, a window below 1; and what
            `read_tagging` raises.
        FileNotFoundError: no such file.
    """
    labels = spec["labels"] if labels is None else labels
    examples = files
    if not isinstance(files, TaggingExamples):
        examples = read_tagging(files, labels=labels)
    elif labels is not None and tuple(labels) != files.labels:
        raise ValueError(
            f"the examples' tags must be the model's, in its order: {', '.join(labels)}; got "
            f"{', '.join(files.labels)}. Use read_tagging(..., labels=model.labels)."
        )
    if max_length <= SINGLE_SPECIALS:
        raise ValueError(f"max_length must be over {SINGLE_SPECIALS}, the special tokens of a row; got {max_length}.")
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    rows = tagged_rows(examples, wordpiece, max_length, window, seed is not None if parts is None else parts)
    order = FileOrder() if seed is None else GroupedOrder(seed)
    return row_batches(rows, wordpiece, order, batch_size, max_length, _finish, epochs)


def _finish(inputs: dict, targets: dict) -> tuple:
    positions = targets["positions"].to_tensor(0)  # [B, W]
    inputs = {**inputs, "word_positions": positions, "text_numbers": targets["texts"]}
    return inputs, targets["tags"].to_tensor(0), tf.cast(positions > 0, tf.float32)


def tagged_rows(
    examples: TaggingExamples, wordpiece: WordPiece, max_length: int, window: int | None = None, parts: bool = False
) -> Rows:
    """The rows of sentences, with targets `positions` and `tags`, ragged int32 [R, (W)], and `texts`, int32 [R]."""
    pieces = _pieces(examples, wordpiece)  # [N, (P)]
    counts = np.array([len(words) for words in examples.words], np.int64)
    words = np.concatenate([[0], np.cumsum(counts)])  # [S + 1]
    splits = tf.gather(pieces.row_splits, words)
    room = max_length - SINGLE_SPECIALS
    stride = max(room // 2, 1) if window is None else window
    cut = windows(tf.RaggedTensor.from_row_splits(pieces.values, splits), room, stride)
    tagged = _tagged(examples, pieces, counts, continues(wordpiece.vocabulary) if parts else None)

    owners, firsts = cut.owners.numpy(), splits.numpy()
    shown = most_context(cut)
    row = shown.value_rowids().numpy()  # [tokens of all rows]
    at = np.arange(len(row)) - shown.row_splits.numpy()[row]  # place in the row's pieces
    kept = shown.values.numpy()
    home, spot = np.zeros([2, len(pieces.values) + 1], np.int64)  # of a piece: the row that decides, its place there
    everywhere = (firsts[owners] + cut.starts.numpy())[row] + at
    home[everywhere[kept]], spot[everywhere[kept]] = row[kept], at[kept]

    has = tagged.place >= 0
    begin, end = firsts[tagged.sentence], firsts[tagged.sentence + 1]
    near = np.maximum.accumulate(tagged.place)  # a word without a piece goes with the one before it
    near = np.clip(near, begin, np.maximum(end - 1, begin))
    rows = np.where(end > begin, home[near], np.searchsorted(owners, tagged.sentence))
    positions = np.where(has, spot[near] + 1, NO_PIECE)
    lengths = np.bincount(rows, minlength=len(owners))

    def ragged(values):
        return tf.RaggedTensor.from_row_lengths(tf.constant(values, tf.int32), lengths)

    targets = {"positions": ragged(positions), "tags": ragged(tagged.tag), "texts": cut.owners}
    return Rows((cut.ids,), targets)


def _pieces(examples: TaggingExamples, wordpiece: WordPiece) -> tf.RaggedTensor:
    """The pieces of all words, int32 [N, (P)]; no rule of BERT's looks across white space, so words go one by one."""
    number: dict[str, int] = {}
    words = [number.setdefault(word, len(number)) for sentence in examples.words for word in sentence]
    return tf.gather(tokenize_all(tf.constant(list(number), tf.string), wordpiece), tf.constant(words, tf.int64))


def _tagged(examples: TaggingExamples, pieces: tf.RaggedTensor, counts: np.ndarray, goes_on: np.ndarray | None):
    """The words with their tags, or where it is known which pieces go on with a word, the parts of all words."""
    sentence = np.repeat(np.arange(len(counts)), counts)  # [N]
    tags = np.array([tag for ids in examples.tag_ids for tag in ids], np.int64)
    splits = pieces.row_splits.numpy()
    if goes_on is None:
        return Tagged(sentence, np.where(splits[1:] > splits[:-1], splits[:-1], NO_PIECE), tags)
    begins = np.flatnonzero(~goes_on[pieces.values.numpy()])  # [M]
    word = np.searchsorted(splits, begins, side="right") - 1
    is_first = np.diff(word, prepend=-1) > 0
    is_last = np.append(is_first[1:], True)[: len(word)]
    return Tagged(sentence[word], begins, _part_tags(examples)[tags[word], is_first * 1, is_last * 1])


def _part_tags(examples: TaggingExamples) -> np.ndarray:
    """Ids of the tags of parts: int64 [C, 2, 2], by the word's tag, whether the part is its first, and its last."""
    index = {label: place for place, label in enumerate(examples.labels)}
    return np.array(
        [
            [
                [index.get(of_part(label, first, last, examples.scheme), own) for last in (False, True)]
                for first in (False, True)
            ]
            for own, label in enumerate(examples.labels)
        ]
    )
