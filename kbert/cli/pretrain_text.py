"""The text of `kbert pretrain`: files, standard input or records; what they hold, and their batches."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf

from kbert.cli.errors import WrongUse
from kbert.cli.reading import say
from kbert.cli.shard_options import Sharing
from kbert.cli.strategy_options import among_workers
from kbert.pretraining.training import Phase
from kbert.replica_batches import own_part
from kbert.runs import INPUT
from kbert.whole_files import beside
from pipelines.dealing import deal
from pipelines.documents import Corpus
from pipelines.pretraining import pretraining
from pipelines.pretraining_data import PretrainingData
from pipelines.survey import check_coverage, check_documents, survey
from pipelines.word_segments import PIECES, SPACES
from pipelines.wordpiece import WordPiece

Batches = tuple[list[Callable], list[tf.data.Dataset]]  # of each phase: for training, and of what is held out


@dataclass(frozen=True)
class RawText:
    """Files of raw text.

    Args:
        input: names and globs.
        text_key, invalid, held_out: as in `pipelines.documents.Corpus`.
        max_unknown: share of [UNK] over which the vocabulary is refused; None for any.
        most_batches: of held-out text that are scored.
        kept: names of files in the RUN that are part of the text.
    """

    input: tuple[str, ...]
    text_key: str
    invalid: str
    held_out: float
    max_unknown: float | None
    most_batches: int
    kept: tuple[str, ...] = ()

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.find(self.input, text_key=self.text_key, invalid=self.invalid, held_out=self.held_out)

    def files(self) -> list[Path]:
        return [file for file in self.corpus.files if file.name not in self.kept]

    def settings(self, data: PretrainingData) -> dict[str, Any]:
        """As task.json says them."""
        names = ("text_key", "invalid", "held_out")
        said = {"input": list(self.input), **{name: getattr(self, name) for name in names}}
        return {**said, "data_fingerprint": self.corpus.fingerprint(), **words(data)}

    def survey(self, spec: Mapping, data: PretrainingData) -> dict[str, Any]:
        """Figures of the text, also told on stderr.

        Raises:
            ValueError: too little of it for the objective, or too much that the vocabulary lacks.
        """
        say(f"reading {self.corpus} ...")
        counts = survey(self.corpus, WordPiece.from_spec(spec), "train" if self.held_out else None)
        tokens = round(counts.bytes * counts.tokens / max(1, counts.sampled_bytes))
        say(
            f"{counts.documents:,} documents, {counts.lines:,} lines, {counts.bytes / 1e6:,.1f} MB, about {tokens:,} "
            f"tokens; [UNK] {100 * counts.unknown_share:.2f} % of them; {counts.invalid_bytes_lines:,} lines not UTF-8"
        )
        check_documents(counts, data.objective)
        if self.max_unknown is not None:
            check_coverage(counts, self.max_unknown)
        return {
            **{name: getattr(counts, name) for name in ("documents", "lines", "bytes", "characters")},
            "lines_not_utf8": counts.invalid_bytes_lines,
            "tokens_about": tokens,
            "unknown_share": counts.unknown_share,
            "unknown_words": " ".join(counts.unknown_words),
        }

    def batches(self, spec: Mapping, data: PretrainingData, phases: Sequence[Phase], sharing: Sharing) -> Batches:
        rows = list(zip(rows_of(data, phases), [phase.batch_size for phase in phases], strict=True))
        parts, corpus = sharing.parts, self.corpus
        if parts > 1:
            corpus = replace(corpus, dealt=dealt(corpus.files, parts, data))
        share = {"worker": sharing.part, "num_workers": parts}

        def part(own: PretrainingData, size: int) -> Callable:
            return lambda after: marked(
                pretraining(corpus, spec, own, batch_size=size // parts, after=after, **share), parts
            )

        train = [part(own, size) for own, size in rows]
        if not self.held_out:
            return train, []
        scored = [pretraining(self.corpus, spec, own, batch_size=size, part="held_out") for own, size in rows]
        return train, [batches.take(self.most_batches) for batches in scored]


@dataclass(frozen=True)
class Records:
    """Files of records, and folders of `kbert prepare`; masks are those of the files.

    Args:
        records: names, globs and folders.
        held_out: whether the folders' part of that name is scored.
        most_batches: of it that are.
    """

    records: tuple[str, ...]
    held_out: bool
    most_batches: int
    kept: tuple[str, ...] = ()

    def files(self) -> list[Path]:
        from pipelines.record_batches import record_files

        return record_files(self.records)

    def settings(self, data: PretrainingData) -> dict[str, Any]:
        """As task.json says them."""
        fingerprint = Corpus(tuple(self.files())).fingerprint()
        return {"records": list(self.records), "held_out": self.held_out, "data_fingerprint": fingerprint}

    def survey(self, spec: Mapping, data: PretrainingData) -> dict[str, Any]:
        files = self.files()
        return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}

    def batches(self, spec: Mapping, data: PretrainingData, phases: Sequence[Phase], sharing: Sharing) -> Batches:
        from pipelines.record_batches import pretraining_records
        from pipelines.service_batches import service_records

        (phase,) = phases
        parts, files = sharing.parts, self.files()
        if parts > 1:
            files = [files[number] for number in dealt(files, parts, data)[sharing.part]]
        given = {"settings": data, "batch_size": phase.batch_size // parts, "spec": spec}
        read = pretraining_records
        if sharing.service:
            sharing.service.check()
            read, given["service"] = service_records, sharing.service
        train = [lambda after: marked(read(files, after=after, seed=data.seed, **given), parts)]
        if not self.held_out:
            return train, []
        given = {"settings": data, "batch_size": phase.batch_size, "spec": spec}
        return train, [pretraining_records(self.records, **given, part="held_out").take(self.most_batches)]


def dealt(files: Sequence[Path], parts: int, data: PretrainingData) -> tuple[tuple[int, ...], ...]:
    """Numbers of the files that each worker reads."""
    return deal([path.stat().st_size for path in files], parts, data.seed)


def marked(batches: tf.data.Dataset, parts: int) -> tf.data.Dataset:
    """Batches that say whether they are a worker's own."""
    return own_part(batches) if parts > 1 else batches


def rows_of(data: PretrainingData, phases: Sequence[Phase]) -> list[PretrainingData]:
    """The rows of each phase: those of `data`, in its length.

    A number of predictions that was given is that of the first phase, and grows with the length.
    """
    made = []
    for phase in phases:
        most = data.max_predictions and -(-data.max_predictions * phase.max_length // phases[0].max_length)
        made.append(replace(data, max_length=phase.max_length, max_predictions=most))
    return made


def words(data: PretrainingData) -> dict[str, Any]:
    """What the list of words holds, where there is one."""
    return {} if data.words in (PIECES, SPACES) else {"words_digest": digest(Path(data.words))}


def raw_text(input: Sequence[str], out: Path, again: bool, **settings) -> RawText:
    """Files, and standard input as a file of the RUN in `out`: so a resume, `again`, reads what was read then.

    Args:
        settings: of `RawText`.

    Raises:
        WrongUse: a file that lies in `out`, or standard input of one worker among several.
    """
    if "-" in input and among_workers():
        raise WrongUse(
            "--input of several workers is files, the same on all; got -, standard input. Save it in a file."
        )
    saved, kept = out / INPUT, ()
    if "-" in input:
        kept = (INPUT,)
        if not (again and saved.is_file()):
            say(f"saving standard input as {saved} ...")
            with beside(saved) as unfinished, unfinished.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
    names = tuple(str(saved) if name == "-" else name for name in input)
    text = RawText(names, kept=kept, **settings)
    for path in text.files():
        if path.resolve().is_relative_to(out.resolve()):
            raise WrongUse(f"--input stands outside of --out, which is the RUN's own; got {path} in {out}.")
    return text


def digest(path: Path) -> str:
    """16 hexadecimal digits that differ where files do."""
    if not path.is_file():
        raise FileNotFoundError(f"a file of that name must exist; got {path}. Check the path.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
