"""Documents: files of raw text, streamed as blocks in an order that is a pure function of (seed, epoch, worker).

In an epoch files come in a random order, up to OPEN of them are read in turn, and a buffer of SHUFFLED bytes mixes
their blocks: memory does not grow with the text. `blocks.py` says what a block is.

What is held out is chosen by the CRC of a block's text, so that it stays the same when files are added, moved or
renamed, and a block that stands in the text twice is never on both sides. Of a small text, under SMALL blocks, or where
no block is chosen so, it is the last part: the share asked for, to a line, and at least one line.
"""

import hashlib
import itertools
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipelines import files
from pipelines.blocks import BLOCK, INVALID, Block, Source, StandardInput, read_blocks
from pipelines.mixing import shuffle, take_turns

OPEN = 16  # files read at a time
SHUFFLED = 16 << 20  # bytes that wait to be drawn: 256 blocks
SMALL = 64  # blocks
ENDS = 1 << 16  # bytes of a file's start and of its end that tell it from others
PARTS = ("train", "held_out")
NO_TEXT = "at least one document is needed; there is no text in {}. Check the names."


@dataclass(frozen=True)
class Corpus:
    """Files of raw text, as `Corpus.find` finds them.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("One line.\\nTwo lines.\\n\\n\\nAnother document.", encoding="utf-8")
        >>> list(Corpus.find(folder / "*.txt").blocks(seed=0, epoch=0))
        [b'One line.\\nTwo lines.\\n\\nAnother document.\\n\\n']
    """

    files: tuple[Source, ...]
    text_key: str = "text"
    invalid: str = "replace"
    held_out: float = 0.0
    dealt: tuple[tuple[int, ...], ...] | None = None  # numbers of each worker's files, see `dealing`; None: by turns

    def __post_init__(self):
        if self.invalid not in INVALID:
            raise ValueError(f"invalid is one of {', '.join(INVALID)}; got {self.invalid!r}.")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out is a share of the text, from 0 to under 1; got {self.held_out}.")
        if self.held_out and any(isinstance(source, StandardInput) for source in self.files):
            raise ValueError(
                f"held_out={self.held_out} needs files: standard input can be read only once. Save it in a file first."
            )

    @classmethod
    def find(
        cls,
        paths: str | Path | Sequence[str | Path],
        *,
        text_key: str = "text",
        invalid: str = "replace",
        held_out: float = 0.0,
    ) -> "Corpus":
        """Names, globs and "-" (standard input) -> the corpus; a file that is matched twice is there once.

        Args:
            paths: plain text, one line a sentence or a paragraph and an empty line between documents; or JSONL
                (.jsonl, .ndjson, .json), one document an object; also as .gz and .xz.
            text_key: the key of the text in JSONL.
            invalid: "replace" puts U+FFFD for each byte sequence that is not UTF-8, "refuse" raises where one is read.
            held_out: the share of the text, 0 to under 1, that `blocks` gives to the part "held_out".

        Raises:
            FileNotFoundError: a name or a glob that matches no file.
            ValueError: no name, a setting out of its range, a share held out of standard input.
        """
        found = {}
        for name in [paths] if isinstance(paths, str | Path) else paths:
            if str(name) == "-":
                found.setdefault("-", StandardInput())
                continue
            for path in files.find(name):
                found.setdefault(path.resolve(), path)
        return cls(tuple(found.values() or files.find([])), text_key, invalid, held_out)

    def __str__(self) -> str:
        names = ", ".join(map(str, self.files[:3]))
        return names + (f" and {len(self.files) - 3} more" if len(self.files) > 3 else "")

    def blocks(
        self, *, seed: int, epoch: int, part: str = "train", worker: int = 0, num_workers: int = 1
    ) -> Iterator[bytes]:
        """The text of an epoch as blocks of UTF-8, about 64 KiB each; the same for the same arguments.

        Args:
            seed, epoch: decide on the order of "train"; "held_out" comes in the order of the files.
            part: "train", or "held_out": the two are all of the text, and nothing is in both.
            worker: gets its own share: of `num_workers`, numbers from 0, each block goes to one. With fewer files than
                workers each of them reads all files and drops what others have.

        Raises:
            ValueError: an unknown part, a worker out of range, nothing held out, no text for this worker; from the
                iterator also what `read_blocks` raises.
        """
        if not 0 <= worker < num_workers:
            raise ValueError(f"worker is from 0 to num_workers - 1, {num_workers - 1}; got {worker}.")
        by_file = len(self.files) >= num_workers
        mine = range(worker, len(self.files), num_workers) if by_file else range(len(self.files))
        mine = self.dealt[worker] if self.dealt else mine
        order = random.Random(f"{seed}/{epoch}/{worker if by_file else 'all'}")
        if part == "held_out":
            blocks = self._of_part(itertools.chain.from_iterable(map(self._read, mine)), part)
        else:
            blocks = self._of_part(take_turns(map(self._read, order.sample(mine, len(mine))), OPEN), part)
        if not by_file:
            blocks = (block for block in blocks if (block.file + block.number) % num_workers == worker)
        if part != "held_out":
            blocks = shuffle(blocks, order, SHUFFLED)
        return self._some((block.text for block in blocks), part, worker, num_workers)

    def in_order(self, part: str | None = None) -> Iterator[Block]:
        """All blocks, or those of a part, in the order of the files, with their places; raises as `blocks` does."""
        blocks = itertools.chain.from_iterable(map(self._read, range(len(self.files))))
        return blocks if part is None else self._of_part(blocks, part)

    def fingerprint(self) -> str:
        """64 hexadecimal digits that change when the order, a size, the first or the last 64 KiB of a file changes, or
        a setting of this object; not with folders, names and times. Standard input is taken to be the same always."""
        digest = hashlib.sha256(repr((BLOCK, self.text_key, self.invalid, float(self.held_out))).encode())
        for source in self.files:
            if isinstance(source, StandardInput):
                digest.update(b"standard input")
                continue
            with source.open("rb") as file:
                start, size = file.read(ENDS), file.seek(0, 2)
                file.seek(max(0, size - ENDS))
                digest.update(b"%d" % size + hashlib.sha256(start).digest() + hashlib.sha256(file.read()).digest())
        return digest.hexdigest()

    def _read(self, number: int) -> Iterator[Block]:
        return read_blocks(self.files[number], file=number, text_key=self.text_key, invalid=self.invalid)

    def _some(self, texts: Iterator[bytes], part: str, worker: int, num_workers: int) -> Iterator[bytes]:
        first = next(texts, None)
        if first is None and num_workers > 1 and part == "held_out":
            return  # others may have some
        if first is None and num_workers > 1:
            raise ValueError(
                f"each worker needs a block of text, 64 KiB; there is none for worker {worker} of {num_workers} in "
                f"{self}. Use fewer workers, or more text."
            )
        if first is None:
            raise ValueError(NO_TEXT.format(self))
        yield first
        yield from texts

    def _of_part(self, blocks: Iterator[Block], part: str) -> Iterator[Block]:
        if part not in PARTS:
            raise ValueError(f"part is one of {', '.join(PARTS)}; got {part!r}.")
        if not self.held_out:
            if part == "held_out":
                raise ValueError("nothing of this corpus is held out. Give a share, such as held_out=0.01.")
            return blocks
        return (cut for block in blocks if (cut := self._cut(block, part)).text)

    def _cut(self, block: Block, part: str) -> Block:
        """What of a block belongs to a part: all or nothing; where the last part of a small text begins, some."""
        if self._tail is None:
            start = 0 if is_chosen(block, self.held_out) else len(block.text)
        else:
            file, number, byte = self._tail
            place = (block.file, block.number)
            start = byte if place == (file, number) else len(block.text) if place < (file, number) else 0
        return block._replace(text=block.text[start:] if part == "held_out" else block.text[:start])

    @cached_property
    def _tail(self) -> tuple[int, int, int] | None:
        """Where what is held out begins, (file, block, byte of it); None where blocks are chosen by their text."""
        chosen, size = False, 0
        for count, block in enumerate(self.in_order(), start=1):
            chosen, size = chosen or is_chosen(block, self.held_out), size + len(block.text)
            if count >= SMALL and chosen:
                return None
        return find_tail(self.in_order(), size - round(size * self.held_out), str(self))


def is_chosen(block: Block, share: float) -> bool:
    """Whether a block is one of a share of all blocks, by its text."""
    return zlib.crc32(block.text) < share * 2**32


def find_tail(blocks: Iterator[Block], place: int, name: str) -> tuple[int, int, int]:
    """(file, block, byte) of the first line, but one, that begins at byte `place` of the blocks or after it; or else of
    the last line.

    Raises:
        ValueError: there are not two lines, one for each side.
    """
    last = None
    for block in blocks:
        text, where = block.text, (block.file, block.number)
        if last and place <= 0:
            return *where, 0
        start = text.find(b"\n", max(0, place - 1)) + 1
        start += text.startswith(b"\n", start)  # an empty line belongs to what it ends
        last_line = text.rfind(b"\n", 0, len(text.rstrip(b"\n"))) + 1
        if 0 < start <= last_line:
            return *where, start
        alone = last is None and not last_line
        last, place = (*where, last_line), place - len(text)
    if last is None:
        raise ValueError(NO_TEXT.format(name))
    if alone:
        raise ValueError(f"to hold some text out two lines are needed; there is one in {name}. Use held_out=0.")
    return last
