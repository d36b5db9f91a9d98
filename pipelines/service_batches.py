"""Prepared records -> batches for pre-training, by way of a tf.data service: any number of workers makes one order.

An epoch is all blocks of BLOCK records of the files, in random order; AT_ONCE of them are a *window*, whose records are
shuffled. A window is a function of the files, the seed and its number, all of it in the graph. So the numbers are what
the service hands out to its workers, and windows are put into their order where they are read: who made them, and how
many were at work, changes nothing; and `place` says where to go on, as everywhere.

N blocks of all files, R records of a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.data_service import Service
from pipelines.manifest import MANIFEST, Manifest
from pipelines.pretraining import as_batch
from pipelines.pretraining_data import PretrainingData
from pipelines.record_batches import checked, rows_of
from pipelines.records import Contents

BLOCK = 256  # records; a window reads over those before its blocks, so shards want to be many rather than long
AT_ONCE = 8  # blocks of a window
ENDLESS = 1 << 40  # windows, more than anybody trains on
plain = tf.autograph.experimental.do_not_convert


def service_records(
    files: Sequence[Path],
    settings: PretrainingData,
    service: Service,
    *,
    batch_size: int,
    after: Sequence[int] | None = None,
    epochs: range | None = None,
    seed: int = 0,
    spec: Mapping | None = None,
) -> tf.data.Dataset:
    """Batches of records that the workers of a tf.data service read, shuffle and parse.

    The order is a function of files, settings and seed, and not of how many workers the service has; it is another
    order than that of `pretraining_records`. Every record comes once an epoch.

    Args:
        files: of `kbert prepare`, beside their manifest; the service's workers find them under the same names.
        settings, after, epochs, seed, spec: as in `pretraining_records`.
        service: asked when the dataset is read.
        batch_size: B, rows of a batch; of given `epochs` the last batch may have fewer.

    Returns:
        A dataset of (inputs, labels, weights), as `pretraining_records` makes it.

    Raises:
        ValueError: files of other settings or another tokenizer, or without a manifest.
        tf.errors.OpError: while it is read, with the words of `ServiceLost` or `UnreadableText`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}.")
    windows = Windows.of(files, settings, seed, checked(files, settings, spec))
    first, last = (0, ENDLESS) if epochs is None else (epochs.start * windows.an_epoch, epochs.stop * windows.an_epoch)
    done = 0  # rows of the first window
    if after is not None:
        epoch, window, row = map(int, after)
        first, done = max(first, epoch * windows.an_epoch + window), row + 1
    numbers = tf.data.Dataset.range(first, last)
    # In their order on each worker, several at a time.
    made = numbers.interleave(windows.rows, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def in_order() -> Iterator[dict[str, np.ndarray]]:
        skip = done
        for rows in service.in_order(made, range(first, last)):
            yield {name: values[skip:] for name, values in rows.items()}
            skip = 0

    rows = tf.data.Dataset.from_generator(in_order, output_signature=made.element_spec[1])
    batches = rows.rebatch(batch_size, drop_remainder=epochs is None).map(plain(lambda rows: as_batch(dict(rows))))
    return batches.prefetch(tf.data.AUTOTUNE)


@dataclass(frozen=True)
class Windows:
    """The windows of files of records.

    Args:
        names, kinds: of the files, string [F]: their absolute names and compressions.
        file, begin: of each block, int64 [N]: the number of its file and of its first record.
        contents, settings: what the records hold, and what is made of it.
        seed: of the orders.
    """

    names: tf.Tensor
    kinds: tf.Tensor
    file: np.ndarray
    begin: np.ndarray
    contents: Contents
    settings: PretrainingData
    seed: int

    @classmethod
    def of(cls, files: Sequence[Path], settings: PretrainingData, seed: int, contents: Contents) -> "Windows":
        counts = _counts(files)
        begins = [np.arange(0, count, BLOCK) for count in counts]
        return cls(
            tf.constant([str(path.resolve()) for path in files]),
            tf.constant(["GZIP" if path.suffix == ".gz" else "" for path in files]),
            np.repeat(np.arange(len(files)), [len(begin) for begin in begins]),
            np.concatenate(begins),
            contents,
            settings,
            seed,
        )

    @property
    def an_epoch(self) -> int:
        """How many windows there are in an epoch."""
        return -(-len(self.file) // AT_ONCE)

    @plain
    def rows(self, number: tf.Tensor) -> tf.data.Dataset:
        """The number of a window, int64 -> a dataset of one element: the number, and rows [R, ...] with their place."""
        epoch, window = number // self.an_epoch, number % self.an_epoch
        blocks = tf.range(window * AT_ONCE, tf.minimum((window + 1) * AT_ONCE, len(self.file)))
        blocks = self._shuffled(blocks, len(self.file), epoch, tf.constant(0, tf.int64))
        file = tf.gather(self.file, blocks)
        parts = (tf.gather(self.names, file), tf.gather(self.kinds, file), tf.gather(self.begin, blocks))

        @plain
        def read(name, kind, begin):
            return tf.data.TFRecordDataset(name, compression_type=kind).skip(begin).take(BLOCK)

        @plain
        def shuffle(records):
            count = tf.size(records, tf.int64)
            numbers = tf.range(count)
            records = tf.gather(records, self._shuffled(numbers, count, epoch, window + 1))
            place = tf.stack([tf.fill([count], epoch), tf.fill([count], window), numbers], axis=1)  # [R, 3]
            return number, rows_of(records, self.contents, self.settings) | {"place": place}

        return tf.data.Dataset.from_tensor_slices(parts).flat_map(read).batch(AT_ONCE * BLOCK).map(shuffle)

    def _shuffled(self, places: tf.Tensor, size, epoch: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """What stands at these places of a permutation of `size` things; number 0 is for the blocks of an epoch."""
        seed = tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(self.seed, tf.int64), epoch]), number)
        return tf.random.experimental.index_shuffle(places, seed=seed, max_index=tf.cast(size, tf.int64) - 1)


def _counts(files: Sequence[Path]) -> list[int]:
    """Records of each file, as the manifests say.

    Raises:
        ValueError: a file that none speaks of; or no record in all of them.
    """
    manifests = {folder: Manifest.read(folder) for folder in {path.parent for path in files}}
    counts = []
    for path in files:
        shard = manifests[path.parent].shards.get(path.name) if manifests[path.parent] else None
        if shard is None:
            raise ValueError(
                f"a tf.data service reads files whose number of records {MANIFEST} says; got {path} without. Make "
                "them with kbert prepare, or read them without --data-service."
            )
        counts.append(shard.records)
    if not sum(counts):
        raise ValueError(
            f"files of records hold at least one; the {len(files)} given are empty, the first is {files[0]}."
        )
    return counts
