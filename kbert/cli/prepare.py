"""`kbert prepare`: raw text in, shards of masked rows out, for many trainings or for other programs."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kbert.cli import data_options as options
from kbert.cli.output import Json, existing, show

Option = typer.Option
SECONDS_BETWEEN_LINES = 15.0


def prepare(
    input: options.Input,
    vocab: options.Vocabulary,
    out: Annotated[Path, Option(help="Folder of the shards and of manifest.json; new, empty, or one to go on with.")],
    shards: Annotated[int, Option(min=1, help="Files for training; a multiple of the machines that read them.")] = 10,
    duplicates: Annotated[
        int, Option(min=1, help="Times that the text is gone through, with new pairs and masks each time.")
    ] = 10,
    lowercase: options.Lowercase = None,
    max_length: options.MaxLength = 128,
    objective: options.Objective = "next_sentence",
    short_share: options.ShortShare = 0.1,
    masked_share: options.MaskedShare = 0.15,
    max_predictions: options.MaxPredictions = None,
    masking: options.Masking = "tokens",
    words: options.Words = "pieces",
    packed: options.Packed = False,
    split: options.Split = True,
    text_key: options.TextKey = "text",
    invalid: options.Invalid = "replace",
    held_out: options.HeldOut = 0.0,
    max_unknown: Annotated[
        float, Option(min=0, max=1, help="Refuse a vocabulary with a greater share of [UNK].")
    ] = 0.05,
    force: Annotated[bool, Option("--force", help="Whatever the share of [UNK] is.")] = False,
    feature_names: Annotated[
        Literal["v1", "v2"],
        Option(help="v1: input_ids, segment_ids, as BERT's first release; v2: input_word_ids, input_type_ids."),
    ] = "v2",
    compress: Annotated[bool, Option("--compress", help="gzip the shards.")] = False,
    processes: Annotated[int | None, Option(min=1, help="That make shards; else one for each core.")] = None,
    beam: Annotated[bool, Option("--beam", help="By an Apache Beam pipeline, whose options stand after --.")] = False,
    beam_options: Annotated[
        list[str] | None, typer.Argument(metavar="[-- BEAM OPTION...]", help="With --beam.")
    ] = None,
    seed: options.Seed = 0,
    overwrite: Annotated[bool, Option("--overwrite", help="Make all shards of --out anew.")] = False,
    as_json: Json = False,
) -> None:
    """Write masked rows as TFRecord files.

    In the format of BERT's create_pretraining_data; kbert pretrain --records reads them. Stopped or killed, it goes on
    with the shards that are missing when started again with the same command. Packed rows are for kbert alone: other
    programs would let the texts of a row see one another.

    \b
    Example:
      kbert prepare --input books/*.txt --vocab vocab.txt --shards 16 --out records
      kbert prepare --input text/*.jsonl --vocab vocab.txt --out records --beam -- --runner=FlinkRunner
    """
    from kbert.cli.errors import WrongUse

    if beam_options and not beam:
        raise WrongUse(f"words after -- are options of a Beam pipeline; got {beam_options[0]} without --beam.")
    if beam and processes:
        raise WrongUse("--processes and --beam exclude each other: a runner has its own workers.")
    existing(vocab, "--vocab")

    from kbert.cli.quiet import quiet

    with quiet():
        from kbert.tokenizer_settings import read_tokenizer
        from pipelines.documents import Corpus
        from pipelines.pretraining_data import PretrainingData
        from pipelines.shards import Preparation

    data = PretrainingData(
        max_length, objective, short_share, masked_share, max_predictions, masking, words, packed, split, seed
    )
    spec = read_tokenizer(vocab.parent, vocab, lowercase, vocab.resolve().parent.name)
    corpus = Corpus.find(input, text_key=text_key, invalid=invalid, held_out=held_out)
    preparation = Preparation(corpus, spec, data, shards, duplicates, feature_names, compress)
    making = Making(len(preparation.names()), *tokens_of(preparation, out, overwrite, 1.0 if force else max_unknown))
    with making.shown():
        if beam:
            from pipelines.beam import prepare as make

            manifest = make(preparation, out, beam_options or (), overwrite=overwrite)
        else:
            from pipelines.preparing import prepare as make

            count = processes or os.cpu_count() or 1
            manifest = make(preparation, out, processes=count, overwrite=overwrite, say=making.say)
    result = {"out": str(out), "shards": len(manifest.shards), **manifest.total()}
    result["unknown_share"] = result["unknown"] / max(1, result["tokens"])
    result |= making.figures(result["tokens"])
    show(result, told(result), as_json)


def tokens_of(preparation, out: Path, overwrite: bool, max_unknown: float) -> tuple[int, int | None]:
    """Tokens that are made already, and about how many there will be; None where nothing tells.

    For a new folder the text is surveyed first, and may be refused.
    """
    from pipelines.manifest import Manifest

    manifest = None if overwrite else Manifest.read(out)
    if manifest is None:
        return 0, survey_tokens(preparation, max_unknown)
    manifest.check_same(preparation.plan())
    there = [shard.tokens for name, shard in manifest.shards.items() if (out / name).is_file()]
    return sum(there), sum(there) * manifest.expected // len(there) if there else None


def survey_tokens(preparation, max_unknown: float) -> int:
    """About how many tokens there will be; what the text is like goes to stderr.

    Raises:
        ValueError: too little text for the objective, or too much that the vocabulary lacks.
    """
    from kbert.cli.reading import say
    from pipelines.survey import check_coverage, check_documents, survey
    from pipelines.wordpiece import WordPiece

    corpus = preparation.corpus
    say(f"reading {corpus} ...")
    counts = survey(corpus, WordPiece.from_spec(preparation.spec), "train" if corpus.held_out else None)
    tokens = round(counts.bytes * counts.tokens / max(1, counts.sampled_bytes))
    say(
        f"{counts.documents:,} documents, {counts.lines:,} lines, {counts.bytes / 1e6:,.1f} MB, about {tokens:,} "
        f"tokens; [UNK] {100 * counts.unknown_share:.2f} % of them; {counts.invalid_bytes_lines:,} lines not UTF-8"
    )
    check_documents(counts, preparation.settings.objective)
    check_coverage(counts, max_unknown)
    return tokens * preparation.duplicates


class Making:
    """How far it is, on stderr: a bar on a terminal, a line now and then elsewhere.

    Args:
        shards: that there will be.
        made: tokens that were made before.
        total: about how many tokens there will be, or None.
    """

    def __init__(self, shards: int, made: int, total: int | None):
        self.shards, self.made, self.total = shards, made, total
        self.whole = self.tokens = 0
        self.begin = self.said = time.perf_counter()
        self.bar = self.task = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Draws the bar, where there is a terminal, until the block ends."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = ("prepare", BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=True) as self.bar:
            self.task = self.bar.add_task("prepare", total=self.total, completed=self.made, told="")
            yield

    def say(self, shards: int, records: int, tokens: int) -> None:
        """As `pipelines.preparing.prepare` tells it."""
        self.whole, self.tokens = self.whole + shards, self.tokens + tokens
        now = time.perf_counter()
        rate = self.tokens / (now - self.begin)
        told = f"{self.whole} of {self.shards} shards  {rate:,.0f} tokens/s"
        if self.bar:
            self.bar.update(self.task, completed=self.made + self.tokens, told=told)
        elif now - self.said >= SECONDS_BETWEEN_LINES and self.tokens:
            self.said = now
            left = f"  {max(0, self.total - self.made - self.tokens) / rate:,.0f} s left" if self.total else ""
            print(f"{told}{left}", file=sys.stderr, flush=True)

    def figures(self, tokens: int) -> dict[str, Any]:
        """Of this command alone, when `tokens` there are."""
        seconds = time.perf_counter() - self.begin
        rate = max(0, tokens - self.made) / seconds
        return {"tokens_before": self.made, "seconds": round(seconds, 1), "tokens_per_second": round(rate)}


def told(result: dict[str, Any]) -> list[str]:
    """The result as lines to read."""
    size = f"{result['shards']} shards, {result['bytes'] / 1e6:,.1f} MB"
    rate = f"{result['tokens_per_second']:,} tokens/s, {result['seconds']} s"
    if result["tokens_before"] == result["tokens"]:
        rate = "was finished before"
    elif result["tokens_before"]:
        rate = f"{result['tokens_before']:,} tokens were there; {rate}"
    return [
        f"{result['out']}: {result['records']:,} records, {result['tokens']:,} tokens in {size}",
        f"[UNK] {100 * result['unknown_share']:.2f} % of the tokens; {rate}",
    ]
