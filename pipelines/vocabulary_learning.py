"""Learning a WordPiece vocabulary from text (Wu et al. 2016, section 4.1), by the `tokenizers` package's trainer.

Special tokens come first in BERT's order, then every character, then what the trainer merges, in its order. The
trainer breaks ties by ids, and gives ids to characters in the order of a hash that differs between processes. So it is
handed the whole alphabet as if it were special tokens: same text, same vocabulary, bit for bit.

W words that differ, N characters of all of them, C code points.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.normalize import Rules
from pipelines.vocab import CLS, MASK, PAD, SEP, UNK, check_vocabulary
from pipelines.word_counts import CODES, WordCounts, characters_of, count_words, stands_inside

INSIDE = "##"
MOST_FED = 50_000_000  # words given to the trainer, which counts them one by one
MOST_DIFFERENT = 1_000_000  # words given to the trainer, which needs about 1.5 kB for each
WORDS_A_LINE = 1000


@dataclass(frozen=True)
class Coverage:
    """What a vocabulary makes of the text that it was learned from.

    Attributes:
        words: number of words in the text.
        unknown_words: of those, become [UNK].
        characters: number of characters in its words.
        unknown_characters: of those, stand in no token.
        missing: those characters with their counts, the most frequent first.
    """

    words: int
    unknown_words: int
    characters: int
    unknown_characters: int
    missing: tuple[tuple[str, int], ...]


def learn_vocabulary(
    blocks: Iterable[bytes | str],
    size: int,
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    split_cjk: bool = True,
    min_count: int = 2,
    reserved: Sequence[str] = (),
    max_word_length: int = 200,
) -> list[str]:
    """A vocabulary of exactly `size` tokens, learned from text; see `learn`.

    Args:
        blocks: text, str or bytes in UTF-8, none of which ends within a word.
        size: number of tokens, special ones included.
        lowercase, strip_accents, split_cjk, max_word_length: of the normalization; see `pipelines.WordPiece`.
        min_count, reserved: see `learn`.

    Raises:
        ValueError: the text has no word, or gives fewer tokens than `size`, or more characters.

    Example:
        >>> learn_vocabulary(["low lower lowest\\n"] * 3, 19)[5:]
        ['e', 'l', 'o', 'r', 's', 't', 'w', '##e', '##l', '##o', '##r', '##s', '##t', '##w']
    """
    rules = rules_of(lowercase, strip_accents, split_cjk)
    return learn(count_words(blocks, rules, max_word_length=max_word_length), size, min_count, reserved)


def rules_of(lowercase: bool, strip_accents: bool | None = None, split_cjk: bool = True) -> Rules:
    """The tokenizer's settings as rules; None for `strip_accents` is the same as `lowercase`."""
    return Rules(lowercase, lowercase if strip_accents is None else strip_accents, split_cjk)


def learn(counts: WordCounts, size: int, min_count: int = 2, reserved: Sequence[str] = ()) -> list[str]:
    """A vocabulary of exactly `size` tokens: special tokens, characters, merges.

    [PAD] is token 0, `reserved` ones follow, then [UNK] [CLS] [SEP] [MASK]: with 99 of them all stand where Google's
    files have them. Characters come in the order of their code points, first those that begin a word, then, with ##,
    those inside. A letter has both forms, even where the text has one: a word that is new, of letters that are not, is
    never [UNK]. An ideograph or a comma, which is a word of its own, has no form with ##.

    Args:
        counts: of the text's words.
        size: number of tokens, special ones included.
        min_count: a character or a pair of tokens that stands less often in the text becomes no token.
        reserved: tokens that no text gives, for uses to come.

    Raises:
        ValueError: `size` is not what the text can give; says what it can.
    """
    special = [PAD, *reserved, UNK, CLS, SEP, MASK]
    check_vocabulary(special, source="the special and reserved tokens")
    if not counts.total:
        raise ValueError("a vocabulary is learned from text; got a text without a word. Check the files.")
    alphabet = find_alphabet(counts, min_count)
    least = len(special) + len(alphabet)
    if size < least:
        raise ValueError(
            f"a vocabulary holds the special tokens and every character of the text, here {len(special)} and "
            f"{len(alphabet):,}; got size {size:,}. Use a size of {least:,} or more, or a min_count over {min_count}."
        )
    tokens = train(counts, special, alphabet, size, min_count)
    if len(tokens) < size:
        raise ValueError(
            f"a size of {size:,} is more than this text gives: {len(tokens):,} tokens ({len(special)} special, "
            f"{len(alphabet):,} characters, {len(tokens) - least:,} of several characters). "
            f"Use a size of {len(tokens)} or less{', a lower min_count,' if min_count > 1 else ''} or more text."
        )
    return tokens


def find_alphabet(counts: WordCounts, min_count: int) -> list[str]:
    """The characters that stand `min_count` times or more, in their forms with and without ##."""
    counted = counts.single + counts.first + counts.inside
    characters = [chr(code) for code in np.flatnonzero(counted >= max(min_count, 1)).tolist()]
    inside = [c for c in characters if counts.inside[ord(c)] or stands_inside(c, counts.rules)]
    return characters + [INSIDE + c for c in inside]


def train(counts: WordCounts, special: list[str], alphabet: list[str], size: int, min_count: int) -> list[str]:
    """`special`, `alphabet` and what the trainer makes of the words that are spelled in it, at most `size` tokens.

    The trainer takes no counts, but words, one by one; of a text with more than MOST_FED, it gets that many, each word
    in proportion to its count. Of words that differ it gets the MOST_DIFFERENT most frequent.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    words = sorted(counts.words.items(), key=lambda pair: (-pair[1], pair[0]))
    known = spelled([word for word, _ in words], alphabet)
    words = [pair for pair, is_known in zip(words, known, strict=True) if is_known][:MOST_DIFFERENT]
    times = np.array([count for _, count in words], np.int64)
    share = min(1.0, MOST_FED / max(int(times.sum()), 1))
    if share < 1:  # rounded so that the sum of the first ones is right, however rare they are
        times = np.diff(np.floor(np.cumsum(times) * share).astype(np.int64), prepend=0)
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=max(1, round(min_count * share)),
        show_progress=False,
        special_tokens=special + alphabet,
    )
    tokenizer.train_from_iterator(repeated([word for word, _ in words], times.tolist()), trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def spelled(words: Sequence[str], alphabet: Iterable[str]) -> np.ndarray:
    """bool [W]: which words of two characters or more have all their characters in the alphabet, ## or not.

    Example:
        >>> spelled(["ab", "ba", "abc"], ["a", "##b", "c"]).tolist()
        [True, False, False]
    """
    codes, starts = characters_of(words)
    if not len(codes):
        return np.zeros(0, bool)
    begin, inside = forms(alphabet)
    known = inside[codes]
    known[starts[:-1]] = begin[codes[starts[:-1]]]
    return np.logical_and.reduceat(known, starts[:-1])


def forms(tokens: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """bool [C] twice: code points that are a token, and that are one after ##."""
    begin, inside = np.zeros(CODES, bool), np.zeros(CODES, bool)
    for token in tokens:
        if len(token) == 1:
            begin[ord(token)] = True
        elif len(token) == 3 and token.startswith(INSIDE):
            inside[ord(token[2])] = True
    return begin, inside


def repeated(words: Sequence[str], times: Sequence[int]) -> Iterator[str]:
    """Lines of words with a space between, each word as often as `times` says.

    Example:
        >>> list(repeated(["a", "b"], [1, 2]))
        ['a b b']
    """
    line: list[str] = []
    for word, count in zip(words, times, strict=True):
        while count > 0:
            taken = min(count, WORDS_A_LINE - len(line))
            line += [word] * taken
            count -= taken
            if len(line) == WORDS_A_LINE:
                yield " ".join(line)
                line = []
    if line:
        yield " ".join(line)


def measure_coverage(counts: WordCounts, vocabulary: Iterable[str]) -> Coverage:
    """How much of a text becomes [UNK] under a vocabulary that was learned from it.

    Such a one splits every word of whose characters it has all, so that these decide. Words that were too rare to be
    held count as known.
    """
    begin, inside = forms(vocabulary)
    words = [*counts.words]
    times = np.array([*counts.words.values()], np.int64)
    unknown = int(times[~spelled(words, vocabulary)].sum()) + int(counts.single[~begin].sum()) + counts.long_words
    missing = np.where(begin, 0, counts.single + counts.first) + np.where(inside, 0, counts.inside)
    order = sorted(np.flatnonzero(missing).tolist(), key=lambda code: (-missing[code], code))
    characters = int((counts.single + counts.first + counts.inside).sum()) + counts.long_characters
    lost = int(missing.sum()) + counts.long_characters
    told = tuple((chr(code), int(missing[code])) for code in order)
    return Coverage(counts.total, unknown, characters, lost, told)
