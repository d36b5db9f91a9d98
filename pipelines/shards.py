"""Shards: what is prepared of a corpus, and the file of records that one shard is.

Shard s of N holds what worker s of N would compute in K epochs of `pretraining.pretraining`, window after window, the
rows of each in random order. It depends on the settings, N and s alone: the same bytes on any machine.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.blocks import StandardInput
from pipelines.documents import Corpus
from pipelines.manifest import Manifest, Shard, sha256
from pipelines.masking import replacements
from pipelines.pretraining import WINDOW_BLOCKS, window_rows
from pipelines.pretraining_data import PretrainingData
from pipelines.records import check_feature_names, serialize
from pipelines.vocab import read_vocabulary
from pipelines.word_segments import PIECES, SPACES
from pipelines.wordpiece import WordPiece

MOST = 99_999  # shards, that five digits can number
More = Callable[[int, int], None]  # is told of records and tokens that were written


@dataclass(frozen=True)
class Preparation:
    """What is prepared.

    Args:
        corpus: the text; what it holds out goes into a shard of its own, once.
        spec: `model.tokenizer_spec`, or a dict with `vocabulary` (a path) and `lowercase`.
        settings: which rows are made of it; their seed is that of everything.
        shards: files for training. A training on W machines wants a multiple of W.
        duplicates: epochs that are made, each with new pairs and masks; `dupe_factor` of Google's program.
        feature_names: "v2", or "v1" for programs that read those of the first release.
        compress: gzip the shards.

    Raises:
        ValueError: no shards or duplicates, v1 with packed rows, or standard input, which can be read only once.
    """

    corpus: Corpus
    spec: Mapping[str, Any]
    settings: PretrainingData
    shards: int = 10
    duplicates: int = 10
    feature_names: str = "v2"
    compress: bool = False

    def __post_init__(self):
        check_feature_names(self.feature_names, self.settings.packed)
        for name in ("shards", "duplicates"):
            if not 1 <= getattr(self, name) <= MOST:
                raise ValueError(f"{name} is 1 to {MOST}; got {getattr(self, name)}.")
        if any(isinstance(source, StandardInput) for source in self.corpus.files):
            raise ValueError(
                "text is prepared from files, as it is read several times; got standard input. Save it first."
            )

    def names(self) -> list[str]:
        """The files that a folder will hold, in their order."""
        parts = {"held_out": 1} if self.corpus.held_out else {}
        ending = ".tfrecord.gz" if self.compress else ".tfrecord"
        return [
            f"{part}-{number:05}-of-{of:05}{ending}"
            for part, of in (parts | {"train": self.shards}).items()
            for number in range(of)
        ]

    def plan(self) -> dict[str, Any]:
        """All that the bytes depend on, for the manifest."""
        words = self.settings.words
        return {
            "corpus": self.corpus.fingerprint(),
            "held_out": self.corpus.held_out,
            "tokenizer": tokenizer_plan(self.spec),
            "settings": asdict(self.settings) | ({} if words in (PIECES, SPACES) else {"words": sha256(Path(words))}),
            "shards": self.shards,
            "duplicates": self.duplicates,
            "feature_names": self.feature_names,
            "compress": self.compress,
        }

    def check_text(self) -> None:
        """Raises ValueError where the text has too few blocks for the shards; reads no further than it must."""
        if len(self.corpus.files) >= self.shards:
            return
        places, missing = set(), set(range(self.shards))  # a block goes to the shard of its file's and its own number
        for block in self.corpus.in_order("train"):
            places.add(block.file + block.number)
            missing.discard((block.file + block.number) % self.shards)
            if not missing:
                return
        if not places:
            return  # no text at all is told by whom it is asked of

        def enough(shards: int) -> bool:
            return shards <= len(self.corpus.files) or len({place % shards for place in places}) == shards

        raise ValueError(
            f"each shard needs a block of text, about 64 KiB; there is none for {len(missing)} of {self.shards}. "
            f"Use {next(filter(enough, range(self.shards, 0, -1)))} shards, or more text."
        )


def tokenizer_plan(spec: Mapping[str, Any]) -> dict[str, Any]:
    """All of a `tokenizer_spec` that ids depend on; the vocabulary by its SHA-256, wherever its file is."""
    vocabulary, lowercase = spec["vocabulary"], bool(spec.get("lowercase", True))
    tokens = read_vocabulary(vocabulary) if isinstance(vocabulary, str | Path) else tuple(vocabulary)
    strip_accents = spec.get("strip_accents")
    return {
        "vocab_size": len(tokens),
        "vocabulary": hashlib.sha256("\n".join(tokens).encode()).hexdigest(),
        "lowercase": lowercase,
        "strip_accents": lowercase if strip_accents is None else bool(strip_accents),
        "split_cjk": bool(spec.get("split_cjk", True)),
    }


def check_tokenizer(paths: Sequence[Path], spec: Mapping[str, Any]) -> None:
    """Raises ValueError where a manifest beside the files says that their ids are another tokenizer's."""
    plan = tokenizer_plan(spec)
    for folder in sorted({path.parent for path in paths}):
        manifest = Manifest.read(folder)
        made_by = manifest.plan["tokenizer"] if manifest else plan
        if wrong := [key for key in plan if plan[key] != made_by.get(key)]:
            told = ", ".join(f"{key} was {made_by.get(key)!r} and is {plan[key]!r}" for key in wrong)
            raise ValueError(
                f"records are read with the tokenizer that made them; of {folder} {told}. Use that vocabulary, or "
                "prepare the text anew."
            )


class RowMaker:
    """`window_rows` as a graph, built once with its tokenizer."""

    def __init__(self, spec: Mapping[str, Any], settings: PretrainingData):
        self.wordpiece = WordPiece.from_spec(spec)
        replacements(self.wordpiece.vocabulary)  # raises where there are none
        scalar = tf.TensorSpec([], tf.int64)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), scalar, scalar], autograph=False)
        def rows(texts, epoch, window):
            return window_rows(texts, self.wordpiece, settings, epoch, window)

        self._rows = rows

    def make(self, texts: list[bytes], epoch: int, window: int) -> dict[str, np.ndarray]:
        """The rows of a window, as `window_rows` describes them."""
        numbers = (tf.constant(number, tf.int64) for number in (epoch, window))
        return {name: values.numpy() for name, values in self._rows(tf.constant(texts), *numbers).items()}


class ShardMaker:
    """Makes the shards of a preparation, one after another."""

    def __init__(self, preparation: Preparation):
        self.preparation = preparation
        self.rows = RowMaker(preparation.spec, preparation.settings)

    def make(self, name: str, path: Path, more: More = lambda records, tokens: None) -> Shard:
        """Writes the shard of this name, one of `Preparation.names()`, to a path, and says what it holds.

        Raises:
            ValueError: what the corpus has to say; no text for this shard.
        """
        kind = tf.io.TFRecordOptions(compression_type="GZIP" if self.preparation.compress else "")
        total = np.zeros(3, np.int64)  # records, tokens, [UNK]
        with tf.io.TFRecordWriter(str(path), kind) as writer:
            for rows in self._windows(name):
                for record in serialize(rows, self.preparation.feature_names):
                    writer.write(record)
                real = rows["input_mask"] == 1
                unknown = real & (
                    rows["input_word_ids"] == self.rows.wordpiece.unk_id
                )  # [UNK] is neither hidden nor put in
                total += (len(real), real.sum(), unknown.sum())
                more(len(real), int(real.sum()))
        return Shard(*total.tolist(), path.stat().st_size, sha256(path))

    def _windows(self, name: str) -> Iterator[dict[str, np.ndarray]]:
        """The rows of each window of a shard."""
        part, worker, num_workers = re.fullmatch(r"(\w+)-(\d+)-of-(\d+)\..*", name).groups()
        worker, num_workers = int(worker), int(num_workers)
        corpus, settings = self.preparation.corpus, self.preparation.settings
        for epoch in range(self.preparation.duplicates if part == "train" else 1):
            blocks = corpus.blocks(seed=settings.seed, epoch=epoch, part=part, worker=worker, num_workers=num_workers)
            for count in itertools.count():
                texts = list(itertools.islice(blocks, WINDOW_BLOCKS))
                if not texts:
                    break
                yield self.rows.make(texts, epoch, count * num_workers + worker)
