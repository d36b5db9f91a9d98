"""A survey: what is in a corpus, and whether it is enough for what it is wanted for, in one pass that keeps no text.

Tokens are counted on a sample: the SAMPLE blocks with the least CRC, so that they lie anywhere in the text and are the
same each time.
"""

import heapq
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import tensorflow as tf

from pipelines.blocks import BLOCK, Block
from pipelines.documents import NO_TEXT, Corpus
from pipelines.wordpiece import WordPiece

SAMPLE = 64  # blocks: about 4 MiB
EXAMPLES = 5  # words that are shown
SHOWN_LINES = 1000  # of which unknown words are counted
MAX_UNKNOWN = 0.05


@dataclass(frozen=True)
class Survey:
    """Counts of a corpus: documents as they are written (one that fills many blocks is one), lines with text in them,
    their bytes and characters without line ends, lines that were not UTF-8. Of the sample: bytes, tokens, those among
    them that are [UNK], and the words that are so most often; 0 without a vocabulary."""

    documents: int
    lines: int
    bytes: int
    characters: int
    invalid_bytes_lines: int
    sampled_bytes: int = 0
    tokens: int = 0
    unknown: int = 0
    unknown_words: tuple[str, ...] = ()

    @property
    def unknown_share(self) -> float:
        """The share of the sample's tokens that are [UNK], 0 to 1."""
        return self.unknown / max(1, self.tokens)


def survey(corpus: Corpus, wordpiece: WordPiece | None = None, part: str | None = None) -> Survey:
    """Counts a corpus, or its part "train" or "held_out", in one pass.

    Raises:
        ValueError: there is no text; and what `read_blocks` raises.
        OSError: a file that cannot be read.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_text("Déjà vu.\\nAgain.\\n\\nAnother document.", encoding="utf-8")
        >>> counts = survey(Corpus.find(path))
        >>> counts.documents, counts.lines, counts.bytes, counts.characters
        (2, 3, 33, 31)
    """
    sample = []  # a heap: its first is the one to leave
    documents = lines = size = characters = broken = 0
    before = None
    for count, block in enumerate(corpus.in_order(part)):
        text, ends = block.text, block.text.count(b"\n")
        documents += text.count(b"\n\n") + _is_left_open(before, block)
        lines += ends - text.count(b"\n\n")
        size += len(text) - ends
        characters += (len(text) if text.isascii() else len(text.decode())) - ends
        broken += block.broken
        if wordpiece is not None:
            entry = (-zlib.crc32(text), -count, text[: 2 * BLOCK])
            heapq.heappushpop(sample, entry) if len(sample) == SAMPLE else heapq.heappush(sample, entry)
        before = block
    if before is None:
        raise ValueError(NO_TEXT.format(corpus))
    documents += _is_left_open(before, None)
    counted = (0, 0, 0, ()) if wordpiece is None else _count_tokens((text for _, _, text in sorted(sample)), wordpiece)
    return Survey(documents, lines, size, characters, broken, *counted)


def _is_left_open(block: Block | None, following: Block | None) -> bool:
    """Whether a block ends within a document and the one after it, of another part or none, does not go on with it."""
    if block is None or block.text.endswith(b"\n\n"):
        return False
    return following is None or (following.file, following.number) != (block.file, block.number + 1)


def _count_tokens(texts: Iterable[bytes], wordpiece: WordPiece) -> tuple[int, int, int, tuple[str, ...]]:
    """Bytes, tokens, unknown tokens and the most frequent unknown words of texts."""
    size = tokens = unknown = shown = 0
    words = Counter()
    for text in texts:
        lines = tf.constant(text.split(b"\n"))
        ids = wordpiece.tokenize(lines)
        is_unknown = ids == wordpiece.unk_id
        size += len(text) - text.count(b"\n")
        tokens += int(tf.size(ids.values))
        unknown += int(tf.math.count_nonzero(is_unknown.values))
        some = tf.boolean_mask(lines, tf.reduce_any(is_unknown, axis=1))[: max(0, SHOWN_LINES - shown)]
        words.update(_unknown_words(some, wordpiece))
        shown += len(some)
    return size, tokens, unknown, tuple(word for word, _ in words.most_common(EXAMPLES))


def _unknown_words(lines: tf.Tensor, wordpiece: WordPiece) -> list[str]:
    words = []
    rows = (part.to_list() for part in wordpiece.tokenize_with_offsets(lines))
    for line, ids, starts, ends in zip(lines.numpy(), *rows, strict=True):
        text = line.decode("utf-8", "replace")
        places = zip(ids, starts, ends, strict=True)
        words += [text[start:end] for token, start, end in places if token == wordpiece.unk_id]
    return words


def check_documents(counts: Survey, objective: str) -> None:
    """Raises ValueError where `objective` is "next_sentence" and there is but one document."""
    if objective == "next_sentence" and counts.documents < 2:
        raise ValueError(
            f"next-sentence pairs need a second document to draw from; got {counts.documents}. "
            "Use --objective sentence_order, or put blank lines between documents."
        )


def check_coverage(counts: Survey, max_unknown: float = MAX_UNKNOWN) -> None:
    """Raises ValueError where over a share `max_unknown` of the tokens, 0 to 1, is [UNK].

    Example:
        >>> check_coverage(Survey(9, 9, 99, 99, 0, 99, 50, 20, ("文", "字")))
        Traceback (most recent call last):
        ...
        ValueError: at most 5.0 % of the tokens may be [UNK]; with this vocabulary 40.0 % are, most often '文', '字'...
    """
    if counts.unknown_share > max_unknown:
        words = ", ".join(map(repr, counts.unknown_words))
        raise ValueError(
            f"at most {100 * max_unknown:.1f} % of the tokens may be [UNK]; with this vocabulary "
            f"{100 * counts.unknown_share:.1f} % are, most often {words}. Learn one on this text (`kbert vocab`), say "
            "which case it was made for (--cased or --lowercase), or use --force."
        )
