"""Files of records -> batches for pre-training, the same as `pretraining.pretraining` makes of text.

A *window* is about 4,096 records, read in turns from the 8 shards that are open at a time, and shuffled; shards come in
another order in each epoch. Order and shuffling are functions of (seed, epoch, window), and `place` says how far a
batch went: to go on after it, the windows before are read and dropped, so nothing is kept but the place.
"""

import gzip
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.manifest import check_objective, record_files
from pipelines.pretraining import UnreadableText, as_batch
from pipelines.pretraining_data import PretrainingData
from pipelines.records import Contents
from pipelines.shards import check_tokenizer

WINDOW = 4096  # records that are shuffled together
AT_ONCE = 8  # shards that a window is read from
GZIP_START = b"\x1f\x8b\x08"
UNREADABLE = (OSError, EOFError, zlib.error)
LONGEST = 1 << 28  # bytes of a record; more is damage, and would ask for that much memory
Place = Sequence[int]  # epoch, window, number of the record in its window
plain = tf.autograph.experimental.do_not_convert


def pretraining_records(
    files: str | Path | Sequence[str | Path],
    settings: PretrainingData,
    *,
    batch_size: int,
    after: Place | None = None,
    part: str = "train",
    epochs: range | None = None,
    seed: int = 0,
    worker: int = 0,
    num_workers: int = 1,
    spec: Mapping | None = None,
) -> tf.data.Dataset:
    """Batches of records, as `pretraining.pretraining` makes them of text; over eight parameters, as that one.

    Files of `kbert prepare` and of Google's `create_pretraining_data` are read, gzipped or not; which names their
    features have is told from the first record. The masks are those of the files: an epoch repeats them.

    Args:
        files: files, globs, or folders that `kbert prepare` filled.
        settings: the `PretrainingData` that the files were made with; max_length, packed, the number of predictions and
            whether there is an objective are held to the files.
        batch_size: rows of a batch, exact in the part "train".
        after: the `place` of the last row that was used, to go on with the next; None from the start.
        part: "train", shuffled; or "held_out", one pass in the order of the files with the smaller last batch kept.
        epochs: the passes that are made; None goes on for ever.
        seed: of the order.
        worker, num_workers: this worker reads every num_workers-th file, from file `worker` on.
        spec: `model.tokenizer_spec`; where given and the files have a manifest, it must be what they were made with.

    Returns:
        A dataset of (inputs, labels, weights).

    Raises:
        FileNotFoundError: no such file.
        ValueError: files of other settings or another tokenizer, without a record, of another size than their manifest
            says, or fewer than the workers.
        tf.errors.OpError: while it is read, a file that is damaged or of another kind; see `reading_errors`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}.")
    paths = record_files(files, part)
    if len(paths) < num_workers:
        raise ValueError(
            f"every worker has a file of its own; got {len(paths)} for {num_workers} workers. Prepare with --shards "
            f"{num_workers} or a multiple of it."
        )
    contents = checked(paths, settings, spec)
    train = part == "train"
    reader = _Reader(paths[worker::num_workers], contents, seed if train else None)
    epochs = (epochs if epochs is not None else count()) if train else range(1)
    windows = tf.data.Dataset.from_generator(
        lambda: reader.windows(epochs, after),
        output_signature=(tf.TensorSpec([3], tf.int64), tf.TensorSpec([None], tf.string)),
    )

    @plain
    def number(first, records):
        rows = tf.range(tf.size(records, tf.int64))  # [R]
        return records, first + rows[:, None] * tf.constant([0, 0, 1], tf.int64)  # place of each: [R, 3]

    @plain
    def batch(records, place):
        return as_batch(rows_of(records, contents, settings) | {"place": place})

    rows = windows.map(number).rebatch(batch_size, drop_remainder=train)
    return rows.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def rows_of(records: tf.Tensor, contents: Contents, settings: PretrainingData) -> dict[str, tf.Tensor]:
    """Records, string [R] -> rows, with an answer for pairs only where the settings have them; a graph function."""
    rows = contents.parse(records)
    return {name: rows[name] for name in rows if settings.pairs or not name.startswith("next_sentence")}


def checked(paths: Sequence[Path], settings: PretrainingData, spec: Mapping | None) -> Contents:
    """What files of records hold, once it is known that they are of these settings and of this tokenizer.

    Raises:
        ValueError: they are of others, or hold nothing.
    """
    contents = contents_of(paths)
    contents.check(settings, str(paths[0]))
    check_objective(paths, settings.objective)
    if spec is not None:
        check_tokenizer(paths, spec)
    return contents


def contents_of(paths: Sequence[Path]) -> Contents:
    """What the records of these files hold, by the first that there is.

    Raises:
        ValueError: no file holds a record, or the first is damaged or no record of pre-training.
    """
    for path in paths:
        for records in _pieces(path, 1):
            return Contents.of(records.numpy()[0], str(path))
    raise ValueError(f"files of records hold at least one; the {len(paths)} given are empty, the first is {paths[0]}.")


@dataclass(frozen=True)
class _Reader:
    """The files of a worker; seed None keeps their order and that of their records."""

    paths: list[Path]
    contents: Contents
    seed: int | None

    def windows(self, epochs: Sequence[int], after: Place | None) -> Iterator[tuple[np.ndarray, tf.Tensor]]:
        """(place of the first, records [R]) of each window after a place."""
        last = tuple(map(int, (-1, -1, -1) if after is None else after))
        for epoch in epochs:
            number = -1
            if epoch < last[0]:
                continue
            for number, pieces in enumerate(self._epoch(epoch)):
                if (epoch, number) < last[:2]:
                    continue
                records = tf.concat(pieces, axis=0)  # [R]
                start = last[2] + 1 if (epoch, number) == last[:2] else 0
                order = self._order(len(records), epoch, number + 1)[start:]
                if len(order):
                    yield np.array([epoch, number, start], np.int64), tf.gather(records, order)
            if number < 0:
                raise ValueError(
                    f"files of records hold at least one; those of this worker are empty: {self.paths[0]}."
                )

    def _epoch(self, epoch: int) -> Iterator[list[tf.Tensor]]:
        """The windows of an epoch, not shuffled yet, each as its pieces."""
        at_once = 1 if self.seed is None else AT_ONCE
        waiting = deque(self.paths[place] for place in self._order(len(self.paths), epoch, 0))
        reading, pieces = deque(), []
        while waiting or reading:
            while waiting and len(reading) < at_once:
                reading.append(self._read(waiting.popleft()))
            piece = next(reading[0], None)
            if piece is None:
                reading.popleft()
                continue
            reading.rotate(-1)
            pieces.append(piece)
            if sum(map(len, pieces)) >= WINDOW:
                yield pieces
                pieces = []
        if pieces:
            yield pieces

    def _read(self, path: Path) -> Iterator[tf.Tensor]:
        try:
            for number, records in enumerate(_pieces(path, -(-WINDOW // AT_ONCE))):
                if number == 0 and (found := Contents.of(records.numpy()[0], str(path))) != self.contents:
                    raise ValueError(f"all files hold what the first one does, {self.contents}; {path} holds {found}.")
                yield records
        except ValueError as error:
            raise UnreadableText(str(error)) from error

    def _order(self, size: int, epoch: int, number: int) -> np.ndarray:
        """A permutation of `size` things, int64; number 0 is for the files, window w takes w + 1."""
        if self.seed is None or size == 0:
            return np.arange(size)
        seeds = tf.random.experimental.stateless_fold_in(tf.constant([self.seed, epoch], tf.int64), number)
        return tf.random.experimental.index_shuffle(tf.range(size), seed=seeds, max_index=size - 1).numpy()


def _pieces(path: Path, size: int) -> Iterator[tf.Tensor]:
    """The records of a file, `size` at a time, strings [R].

    Raises:
        ValueError: the file is not there any more, or is damaged; names it.
    """
    try:
        with path.open("rb") as file:
            gzipped = file.read(3) == GZIP_START
        yield from _unzipped(path, size) if gzipped else tf.data.TFRecordDataset(str(path)).batch(size)
    except (*UNREADABLE, tf.errors.OpError) as error:
        said = str(getattr(error, "message", error)).partition("}} ")
        raise ValueError(
            f"a shard holds whole records with right checksums; {path} does not: {(said[2] or said[0]).strip()}. "
            "Bring it back from a copy, or run the kbert prepare that made it: it makes what is damaged again."
        ) from error


def _unzipped(path: Path, size: int) -> Iterator[tf.Tensor]:
    """As `_pieces`; TensorFlow's reader takes a gzip file whose end is missing for a shorter one."""
    with gzip.open(path) as file:
        records = []
        while head := file.read(12):  # the length and its checksum
            length = int.from_bytes(head[:8], "little")
            record = file.read(length + 4) if length < LONGEST else b""  # and its checksum, as good as that of gzip
            if len(record) < length + 4:
                raise EOFError("a truncated record")
            records.append(record[:length])
            if len(records) == size:
                yield tf.constant(records)
                records = []
        if records:
            yield tf.constant(records)
