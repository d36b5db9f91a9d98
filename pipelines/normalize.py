"""Normalization of Google's BERT, exact, as one table over code points and vector operations in the graph.

Source: `tokenization.py` of https://github.com/google-research/bert: drop control and format characters, put spaces
around CJK ideographs, lower-case, decompose (NFD) and drop marks (Mn), split at white space and at punctuation. It all
is a function of one code point, the final sigma apart (`str.lower` writes it by its neighbours), so that a table made
with Python's own `unicodedata` holds it. One difference is left: marks that are not Mn but have a combining class
(Hangul tone marks, musical stems) stay in the order in which they are written, where NFD sorts two in a row.

B lines, N code points of all lines, U units (code points after normalization), W words. Offsets count characters.
"""

import bisect
import functools
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

PAGE = 128  # code points of one page of the table
ALONE = 1 << 21  # a unit with this bit is a word of its own (punctuation, CJK); code points need 21 bits
NOTHING = -1 << 30  # plus any code point: negative, which stands for no unit
SPACE, SIGMA, FINAL_SIGMA = 0x20, 0x3A3, 0x3C2
CASED, IGNORABLE = 1, 2  # what str.lower sees when it looks for the neighbours of a sigma
UNIFIED = (  # ideographs, as Google's tokenizer lists them; of no case, and without a decomposition
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF)),
)
CJK = (*UNIFIED, (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))
CJK_EDGES = tuple(sorted(edge for first, last in CJK for edge in (first, last + 1)))
# Of the other planes none holds an assigned character, private use apart; what is not assigned stays as it is.
PLANES = (range(0x40000), range(0xE0000, 0xF0000))


MARKERS = 0xFDD0  # noncharacters, which Unicode leaves to a program's own use: the first ones stand for special tokens
NO_MARKER = 0xFDEF  # stands for a marker written in a text: like it, a character that no vocabulary knows


class Rules(NamedTuple):
    """How a vocabulary's texts were normalized, and which special tokens stay whole where a text spells them."""

    lowercase: bool
    strip_accents: bool
    split_cjk: bool
    specials: tuple[str, ...] = ()


class Table(NamedTuple):
    """Of a code point c, `rows[cells[pages[c // PAGE] + c % PAGE]]` is (first unit - c, more units, sigma context)."""

    pages: np.ndarray  # int32 [P]
    cells: np.ndarray  # int32 [pages that differ * PAGE]
    rows: np.ndarray  # int32 [rows that differ, units + 1]


class Words(NamedTuple):
    """Words of B lines, with what maps them back to the characters."""

    words: tf.Tensor  # string [W]; a special token that stays whole is spelled out
    units: tf.RaggedTensor  # int32 [W, (U)]; such a token is one unit
    line_splits: tf.Tensor  # int64 [B + 1], the words of a line
    starts: tf.Tensor  # int32 [U], where the unit's character starts in its line
    ends: tf.Tensor  # int32 [U]


def is_punctuation(character: str) -> bool:
    """Google's rule: ASCII that is neither letter, digit, space nor control, and Unicode's categories P*."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")


def is_cjk(code: int) -> bool:
    """Whether Google's tokenizer sets spaces around a code point: ideographs, not kana or hangul."""
    return bisect.bisect_right(CJK_EDGES, code) % 2 == 1


def rewrite(character: str, rules: Rules) -> tuple[int, ...]:
    """The units of one character: code points, SPACE, or with the ALONE bit; empty where it is removed.

    Example:
        >>> rules = Rules(lowercase=True, strip_accents=True, split_cjk=True)
        >>> rewrite("É", rules) == (ord("e"),), rewrite("!", rules) == (ord("!") | ALONE,), rewrite(chr(0), rules)
        (True, True, ())
    """
    code, category = ord(character), unicodedata.category(character)
    if MARKERS <= code < MARKERS + len(rules.specials):
        return (code | ALONE,)
    if character in "\t\n\r" or category == "Zs":
        return (SPACE,)
    if code == 0xFFFD or category in ("Cc", "Cf"):
        return ()
    alone = ALONE if rules.split_cjk and is_cjk(code) else 0
    text = character.lower() if rules.lowercase else character
    text = unicodedata.normalize("NFD", text) if rules.strip_accents else text
    if text == character and category in ("Lo", "Ll", "So"):  # most of Unicode
        return (code | alone,)
    if rules.strip_accents:
        text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    return tuple(SPACE if c.isspace() else ord(c) | (ALONE if is_punctuation(c) else alone) for c in text)


def sigma_context(characters: Iterable[str]) -> dict[str, int]:
    """CASED or IGNORABLE for the characters that are one of them when `str.lower` decides on a final sigma."""
    visible = [c for c in characters if not c.isspace() and c != "Σ"]
    at_end = " ".join(f"aΣ{c}" for c in visible).lower().split(" ")
    before_letter = " ".join(f"aΣ{c}a" for c in visible).lower().split(" ")
    context = {"Σ": CASED}
    for c, end, inside in zip(visible, at_end, before_letter, strict=True):
        if end[1] == "σ":
            context[c] = CASED
        elif inside[1] == "σ":
            context[c] = IGNORABLE
    return context


@functools.cache
def build_table(rules: Rules) -> Table:
    """The table of `rewrite` over all code points, pages that repeat stored once (0.4 MB)."""
    characters = [*assigned_characters()]
    characters += [chr(MARKERS + number) for number in range(len(rules.specials))]
    context = sigma_context(characters) if rules.lowercase else {}
    changed = {}
    for character in characters:
        units, code = rewrite(character, rules), ord(character)
        seen = context.get(character, 0) if units else IGNORABLE  # what is removed is not there for a sigma
        if units != (code,) or seen:
            changed[code] = units[0] - code if units else NOTHING, units[1:], seen
    width = max(len(rest) for _, rest, _ in changed.values())
    numbers = {(0, *[NOTHING] * width, 0): 0, (ALONE, *[NOTHING] * width, 0): 1}  # stays as it is; is a word as it is
    table = np.zeros(sys.maxunicode + 1, np.int32)
    for first, last in CJK if rules.split_cjk else ():
        table[first : last + 1] = 1
    for code, (first, rest, seen) in changed.items():
        row = (first, *rest, *[NOTHING] * (width - len(rest)), seen)
        table[code] = numbers.setdefault(row, len(numbers))
    starts = {}  # of each page that differs from those before it
    pages = [starts.setdefault(page.tobytes(), len(starts) * PAGE) for page in table.reshape(-1, PAGE)]
    cells = np.frombuffer(b"".join(starts), np.int32)
    return Table(np.array(pages, np.int32), cells, np.array(list(numbers), np.int32))


@functools.cache
def assigned_characters() -> tuple[str, ...]:
    """Assigned characters in order, but private ones and those of UNIFIED, which are all treated alike."""
    codes = np.concatenate([np.asarray(plane) for plane in PLANES])
    for first, last in UNIFIED:
        codes = codes[(codes < first) | (codes > last)]
    return tuple(c for c in map(chr, codes.tolist()) if unicodedata.category(c) not in ("Cn", "Co", "Cs"))


class Normalizer:
    """`build_table` as constants of a graph, and the operations that read it. Nothing changes after the constructor."""

    def __init__(self, rules: Rules):
        self.rules = rules
        self._pages, self._cells, self._rows = (tf.constant(part) for part in build_table(rules))

    def split(self, texts: tf.Tensor) -> Words:
        """Normalized words of `texts`, string [B] in UTF-8; a broken byte sequence is one U+FFFD, which is removed."""
        # The line feed is white space: it ends the last word, and stands between the sigmas of two lines.
        codes = tf.strings.unicode_decode(tf.strings.join([self._mark(texts), "\n"]), "UTF-8")  # [B, (N)]
        units, width = self._units(codes.flat_values)  # [N * width]
        present = tf.where(units >= 0)[:, 0]
        units = tf.gather(units, present)  # [U and spaces]
        ends_word = (units == SPACE) | (units >= ALONE)
        begins_word = tf.concat([[True], ends_word[:-1]], 0) | (units >= ALONE)
        letters = tf.where(units != SPACE)[:, 0]  # [U]
        first = tf.where(tf.gather(begins_word, letters))[:, 0]  # [W]
        characters = tf.gather(present, letters) // width  # [U] of the N
        units = tf.RaggedTensor.from_row_splits(
            tf.gather(units, letters) & (ALONE - 1), tf.concat([first, tf.shape(letters, tf.int64)], 0), validate=False
        )
        line_splits = tf.searchsorted(tf.gather(characters, first), codes.row_splits, out_type=tf.int64)
        starts, ends = self._places(codes, characters)
        return Words(self._spell(units, first), units, line_splits, starts, ends)

    def _units(self, codes: tf.Tensor) -> tuple[tf.Tensor, int]:
        """Units [N * width] of code points [N], negative where a character has fewer than `width`."""
        page = tf.gather(self._pages, tf.bitwise.right_shift(codes, PAGE.bit_length() - 1))
        rows = tf.gather(self._rows, tf.gather(self._cells, page + tf.bitwise.bitwise_and(codes, PAGE - 1)))
        first = codes + rows[:, 0]
        if self.rules.lowercase:
            first = tf.cond(
                tf.reduce_any(codes == SIGMA), lambda: write_final_sigmas(first, codes, rows[:, -1]), lambda: first
            )
        width = self._rows.shape[1] - 1
        return tf.reshape(tf.concat([first[:, None], rows[:, 1:-1]], 1), [-1]), width

    def _mark(self, texts: tf.Tensor) -> tf.Tensor:
        """`texts` with one marker for each special token."""
        if self.rules.specials:
            last = MARKERS + len(self.rules.specials) - 1
            texts = tf.strings.regex_replace(texts, rf"[\x{{{MARKERS:X}}}-\x{{{last:X}}}]", chr(NO_MARKER))
        for code, token in enumerate(self.rules.specials, start=MARKERS):
            texts = tf.strings.regex_replace(texts, re.escape(token), chr(code))
        return texts

    def _spell(self, units: tf.RaggedTensor, first: tf.Tensor) -> tf.Tensor:
        """Strings [W] of words in units; `first` are the places of their first units."""
        words = tf.strings.unicode_encode(units, "UTF-8")
        specials = self.rules.specials
        if specials:
            marker = tf.gather(units.values, first) - MARKERS
            spelled = tf.gather(tf.constant(specials), tf.clip_by_value(marker, 0, len(specials) - 1))
            words = tf.where((marker >= 0) & (marker < len(specials)), spelled, words)
        return words

    def _places(self, codes: tf.RaggedTensor, characters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Starts and ends [U], counted in their lines, of the code points numbered `characters` [U] in `codes`."""
        lines = tf.gather(codes.row_splits, tf.gather(codes.value_rowids(), characters))  # [U], where their lines start
        if not self.rules.specials:
            starts = tf.cast(characters - lines, tf.int32)
            return starts, starts + 1
        marker = codes.flat_values - MARKERS
        lengths = tf.constant([len(token) for token in self.rules.specials])
        is_marker = (marker >= 0) & (marker < len(self.rules.specials))
        lengths = tf.where(is_marker, tf.gather(lengths, tf.where(is_marker, marker, 0)), 1)
        places = tf.concat([[0], tf.cumsum(lengths)], 0)  # [N + 1]
        lines = tf.gather(places, lines)
        return tf.gather(places, characters) - lines, tf.gather(places, characters + 1) - lines


def write_final_sigmas(units: tf.Tensor, codes: tf.Tensor, context: tf.Tensor) -> tf.Tensor:
    """`units` [N] with FINAL_SIGMA for each SIGMA of `codes` that follows a cased character and precedes none.

    Characters that `context` says to be IGNORABLE are skipped on both sides (Unicode 3.13, Final_Sigma).
    """
    seen = tf.where(context != IGNORABLE)[:, 0]
    cased = tf.gather(context, seen) == CASED
    after_cased = tf.concat([[False], cased[:-1]], 0)
    before_cased = tf.concat([cased[1:], [False]], 0)
    final = tf.boolean_mask(seen, (tf.gather(codes, seen) == SIGMA) & after_cased & ~before_cased)
    return tf.tensor_scatter_nd_update(units, final[:, None], tf.fill(tf.shape(final), FINAL_SIGMA))
