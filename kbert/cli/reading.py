"""Raw text read once from start to end, with progress on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator

from kbert.cli.progress import SECONDS_BETWEEN_LINES
from pipelines.documents import Corpus


class Reading:
    """The blocks of a corpus, or of a part of it, in the order of its files.

    Attributes:
        bytes: of text, read so far.
        broken: lines read so far that were not UTF-8.
    """

    def __init__(self, corpus: Corpus, part: str | None = None):
        self.corpus, self.part, self.bytes, self.broken = corpus, part, 0, 0

    def blocks(self) -> Iterator[bytes]:
        """Blocks of text, and what they count to on stderr."""
        show = self._bar if sys.stderr.isatty() else self._lines
        yield from show(self._counted())

    def _counted(self) -> Iterator[bytes]:
        for block in self.corpus.in_order(self.part):
            self.bytes += len(block.text)
            self.broken += block.broken
            yield block.text

    def _bar(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = ("reading", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=True) as drawn:
            task = drawn.add_task("reading", total=self._size())
            for block in blocks:
                yield block
                drawn.update(task, completed=self.bytes)

    def _lines(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        begin = said = time.perf_counter()
        for block in blocks:
            yield block
            now = time.perf_counter()
            if now - said >= SECONDS_BETWEEN_LINES:
                said = now
                rate, size = self.bytes / (now - begin), self._size()
                left = f"  {max(size - self.bytes, 0) / rate:.0f} s left" if size else ""
                say(f"read {self.bytes / 1e6:,.0f} MB  {rate / 1e6:.1f} MB/s{left}")

    def _size(self) -> int | None:
        """Bytes of all files, about those of the text; None where only reading tells, as with compressed ones."""
        sizes = [getattr(file, "suffix", ".gz") in (".gz", ".xz") or file.stat().st_size for file in self.corpus.files]
        return None if True in sizes else sum(sizes)


def say(line: str) -> None:
    """A line on stderr, at once."""
    print(line, file=sys.stderr, flush=True)
