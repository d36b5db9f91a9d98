"""How often each word stands in a text, after exactly the normalization that the tokenizer uses.

Normalization never looks past white space, so that a piece of text between two ASCII spaces is normalized once for all
the times that it stands there: English needs the graph for a twentieth of its bytes, Chinese for all of them. Memory is
that of the different words, and of those at most `most_words`.

W words that differ, N characters of all of them, C code points.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.normalize import Normalizer, Rules, rewrite

BREAKS = b" \t\n\r"  # ASCII that ends a word and is no word
# ASCII that normalization removes. Some of it ends a word for `bytes.split`, and so it is taken out first.
REMOVED = bytes(code for code in range(128) if chr(code) not in BREAKS.decode() and not chr(code).isprintable())
WAITING_BYTES = 64 << 20  # of text between two visits to the graph
WAITING_TEXTS = 1 << 19  # that differ, likewise
BATCH_BYTES = 1 << 19  # normalized at once
CODES = sys.maxunicode + 1


@dataclass(frozen=True)
class WordCounts:
    """What a text holds.

    Attributes:
        rules: of the normalization.
        words: words of two characters or more, and how often they stand in the text.
        single: int64 [C], words of one character.
        first: int64 [C], characters that begin a longer word.
        inside: int64 [C], characters that stand later in one.
        long_words: number of words over the tokenizer's limit, which are [UNK] whatever the vocabulary.
        long_characters: in them.
        rare_words: number of words that are not in `words` because there were too many that differ.
    """

    rules: Rules
    words: dict[str, int]
    single: np.ndarray
    first: np.ndarray
    inside: np.ndarray
    long_words: int = 0
    long_characters: int = 0
    rare_words: int = 0

    @property
    def total(self) -> int:
        """Number of words in the text, those of one character included."""
        return sum(self.words.values()) + int(self.single.sum()) + self.long_words + self.rare_words


def count_words(
    blocks: Iterable[bytes | str], rules: Rules, *, max_word_length: int = 200, most_words: int = 3_000_000
) -> WordCounts:
    """Count the words of a text that is given in blocks, none of which ends within a word.

    Where more than `most_words` words differ, the rarest half is left out and counting goes on (as word2vec's tool
    does, Mikolov et al. 2013): what is left out is rare in what was read until then. Its characters stay counted.

    Args:
        blocks: text, str or bytes in UTF-8; a broken byte sequence is removed, as the tokenizer removes it.
        rules: of the normalization; `specials` is empty.
        max_word_length: in characters; see `WordPiece`.
        most_words: that are held in memory at once, about 150 bytes each.

    Example:
        >>> counts = count_words(["The CAT, the cät!"], Rules(lowercase=True, strip_accents=True, split_cjk=True))
        >>> counts.words, int(counts.single.sum())
        ({'the': 2, 'cat': 2}, 2)
    """
    tally = _Tally(rules, max_word_length, most_words)
    waiting, size = Counter(), 0
    for block in blocks:
        waiting.update(_between_spaces(block))
        size += len(block)
        if size > WAITING_BYTES or len(waiting) > WAITING_TEXTS:
            tally.add(waiting)
            waiting, size = Counter(), 0
    tally.add(waiting)
    return tally.counts()


def _between_spaces(block: bytes | str) -> list[bytes]:
    """The texts of a block between ASCII white space, without what normalization removes of ASCII."""
    if isinstance(block, str):
        block = block.encode("utf-8", "surrogatepass")  # half a pair is then a broken byte sequence
    kept = block.translate(None, REMOVED)
    if len(kept) != len(block) and not block.isascii():  # a broken sequence must not become whole by what is taken out
        kept = block.decode("utf-8", "replace").encode().translate(None, REMOVED)
    return kept.split()


class _Tally:
    """Counts so far."""

    def __init__(self, rules: Rules, max_word_length: int, most_words: int):
        self.normalizer, self.max_word_length, self.most_words = Normalizer(rules), max_word_length, most_words
        self.words: dict[bytes, int] = {}
        self.single, self.first, self.inside = (np.zeros(CODES, np.int64) for _ in range(3))
        self.long_words = self.long_characters = self.rare_words = 0

    def add(self, texts: dict[bytes, int]) -> None:
        """Counts the words of `texts`, each as often as it says."""
        for part, times in batches(texts):
            with tf.device("CPU:0"):
                self._add(*part_words(self.normalizer.split(tf.constant(part)), np.array(times)))
        if len(self.words) > self.most_words:
            self._prune()

    def _add(self, words: tf.Tensor, units: tf.RaggedTensor, times: np.ndarray) -> None:
        """Counts `words` [W] that are made of `units` [W, (U)] and stand `times` [W]."""
        lengths, starts = units.row_lengths().numpy(), units.row_splits.numpy()[:-1]
        alone, long = lengths == 1, lengths > self.max_word_length
        np.add.at(self.single, units.values.numpy()[starts[alone]], times[alone])
        self.long_words += int(times[long].sum())
        self.long_characters += int((times * lengths)[long].sum())
        usual = ~(alone | long)
        words, numbers = tf.unique(tf.boolean_mask(words, usual))
        sums = np.bincount(numbers.numpy(), times[usual]).astype(np.int64)  # exact: counts are far below 2 ** 53
        held = self.words
        for word, count in zip(words.numpy().tolist(), sums.tolist(), strict=True):
            held[word] = held.get(word, 0) + count

    def _prune(self) -> None:
        """Leaves out all words as rare as the one in the middle, or rarer: whatever order they came in."""
        times = np.fromiter(self.words.values(), np.int64, len(self.words))
        limit = int(np.partition(times, -(self.most_words // 2))[-(self.most_words // 2)])
        rare = {word: count for word, count in self.words.items() if count <= limit}
        self.words = {word: count for word, count in self.words.items() if count > limit}
        self.rare_words += sum(rare.values())
        self._count_characters([word.decode() for word in rare], np.array([*rare.values()]))

    def _count_characters(self, words: Sequence[str], times: np.ndarray) -> None:
        codes, starts = characters_of(words)
        each = np.repeat(times, np.diff(starts))
        begins = np.zeros(len(codes), bool)
        begins[starts[:-1]] = True
        np.add.at(self.first, codes[begins], each[begins])
        np.add.at(self.inside, codes[~begins], each[~begins])

    def counts(self) -> WordCounts:
        """All that was counted."""
        words = {word.decode(): count for word, count in self.words.items()}
        self._count_characters([*words], np.array([*words.values()], np.int64))
        figures = self.long_words, self.long_characters, self.rare_words
        return WordCounts(self.normalizer.rules, words, self.single, self.first, self.inside, *figures)


def part_words(split, times: np.ndarray) -> tuple[tf.Tensor, tf.RaggedTensor, np.ndarray]:
    """Words of texts that stand `times` [texts]: words [W], their units [W, (U)] and how often each stands [W]."""
    return split.words, split.units, np.repeat(times, np.diff(split.line_splits.numpy()))


def batches(texts: dict[bytes, int]) -> Iterator[tuple[list[bytes], list[int]]]:
    """Texts and their counts, about BATCH_BYTES at a time."""
    part, times, size = [], [], 0
    for text, count in texts.items():
        part.append(text)
        times.append(count)
        size += len(text)
        if size >= BATCH_BYTES:
            yield part, times
            part, times, size = [], [], 0
    if part:
        yield part, times


def characters_of(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Code points uint32 [N] of all words, and where each begins and the last one ends, int64 [W + 1].

    Example:
        >>> codes, starts = characters_of(["ab", "c"])
        >>> codes.tolist(), starts.tolist()
        ([97, 98, 99], [0, 2, 3])
    """
    starts = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=starts[1:])
    return np.frombuffer("".join(words).encode("utf-32-le"), np.uint32), starts


def stands_inside(character: str, rules: Rules) -> bool:
    """Whether a character can stand in a word after others, which ideographs and punctuation do not.

    Example:
        >>> rules = Rules(lowercase=True, strip_accents=True, split_cjk=True)
        >>> [stands_inside(c, rules) for c in "a!漢7"]
        [True, False, False, True]
    """
    return rewrite(character, rules) == (ord(character),)
