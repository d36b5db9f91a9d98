"""`kbert pretrain`: raw text in, an encoder that knows its language out; a RUN that goes on where it was stopped."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli import data_options as options
from kbert.cli.output import Json, existing, show
from kbert.cli.shard_options import DataService, Shards, Sharing, lost_service_ends
from kbert.cli.strategy_options import RENDEZVOUS, Exchange, RendezvousTimeout, Strategy, training_under

Option = typer.Option
Size = Literal["tiny", "mini", "small", "medium", "base", "large"]


def pretrain(
    steps: Annotated[int, Option(min=1, help="Optimizer steps at --max-length.")],
    out: Annotated[Path, Option(help="Folder of the RUN.")],
    input: options.Input = [],  # noqa: B006 - Typer copies it
    records: Annotated[
        list[str], Option("--records", metavar="GLOB...", help="In place of --input: what `kbert prepare` wrote.")
    ] = [],  # noqa: B006
    vocab: Annotated[Path | None, Option(help="vocab.txt; with --init the preset's own, if not given.")] = None,
    size: Annotated[Size | None, Option(help="Of a model with random weights; mini where there is no --init.")] = None,
    init: Annotated[
        str | None, Option(metavar="PRESET", help="Go on from these weights; else they are random.")
    ] = None,
    lowercase: Annotated[
        bool | None,
        Option("--lowercase/--cased", help="What the vocabulary was made of, where nothing beside it says."),
    ] = None,
    word_vectors: Annotated[
        Path | None, Option(metavar="FILE", help="Start of the token table: of `kbert word-vectors`, or GloVe's.")
    ] = None,
    initializer_range: Annotated[
        float | None, Option(help="Spread of random weights; else 0.02. Narrow models learn sooner from more.")
    ] = None,
    attention_start: Annotated[
        Literal["random", "neighbours"],
        Option(help="neighbours: heads start by looking one or two tokens away; a short training learns far more."),
    ] = "random",
    max_length: options.MaxLength = 128,
    batch_size: Annotated[int, Option(min=1, help="Rows of a step.")] = 32,
    long_steps: Annotated[int, Option(min=0, help="Further steps at --long-length.")] = 0,
    long_length: Annotated[int, Option(min=8, help="Tokens of a row in the --long-steps.")] = 512,
    long_batch_size: Annotated[
        int | None, Option(min=1, help="Rows of a step then; else so many that its tokens stay as many.")
    ] = None,
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
    optimizer: Annotated[Literal["adamw", "lamb"], Option(help="lamb is for batches of thousands of rows.")] = "adamw",
    learning_rate: Annotated[
        float | None, Option(help="The highest; else 1e-4, and for lamb 5e-3 * sqrt(batch size / 32768).")
    ] = None,
    warmup: Annotated[float, Option(help="Share of all steps over which the rate rises.")] = 0.01,
    power: Annotated[float, Option(help="Of the fall of the rate after that; 1 is a line.")] = 1.0,
    weight_decay: Annotated[float, Option(help="Decoupled; none for norms and biases.")] = 0.01,
    accumulate: Annotated[int, Option(min=1, help="Parts of a step, computed one after another: less memory.")] = 1,
    dropout: Annotated[
        float | None, Option(min=0, max=0.9, help="Else that of the size or the preset; a short training needs none.")
    ] = None,
    recompute: Annotated[
        bool, Option("--recompute", help="Less memory, more time: no block keeps what it computed.")
    ] = False,
    dtype: Annotated[Literal["float32", "mixed_bfloat16"], Option(help="What layers compute in.")] = "float32",
    checkpoint_steps: Annotated[int | None, Option(min=1, help="A checkpoint every so many steps.")] = None,
    checkpoint_minutes: Annotated[float, Option(help="And every so many minutes; 0 for none.")] = 10.0,
    evaluate_steps: Annotated[int | None, Option(min=1, help="Score what is held out; else ten times in all.")] = None,
    evaluate_batches: Annotated[int, Option(min=1, help="Batches of what is held out that are scored.")] = 100,
    log_steps: Annotated[
        int | None, Option(min=1, help="A line of metrics.jsonl; else 200 in all, or one in 100.")
    ] = None,
    spike: Annotated[float, Option(help="Stop at a loss over this multiple of the median before it; 0: never.")] = 2.0,
    strategy: Strategy = "auto",
    exchange: Exchange = "float32",
    rendezvous_timeout: RendezvousTimeout = RENDEZVOUS,
    shards: Shards = "batch",
    data_service: DataService = None,
    seed: options.Seed = 0,
    resume: Annotated[bool, Option("--resume/--no-resume", help="Go on with the unfinished RUN in --out.")] = True,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the RUN in --out, each time.")] = False,
    as_json: Json = False,
) -> None:
    """Pre-train a model on raw text.

    Killed, stopped or out of disk, it goes on when started again with the same command: to the same bits.

    \b
    Example:
      kbert vocab --input books/*.txt --size 16000 --out vocab.txt
      kbert pretrain --input books/*.txt --vocab vocab.txt --size mini --steps 20000 --held-out 0.01 --out runs/books
    """
    from kbert.cli.errors import WrongUse

    if bool(input) == bool(records):
        raise WrongUse("--input or --records says what is read: one of the two.")
    if records and long_steps:
        raise WrongUse("--long-steps need --input: records have one length.")
    if data_service and not records:
        raise WrongUse(
            "--data-service reads --records: text goes through Python, which a service cannot run. Prepare it with "
            "kbert prepare --input ... --out FOLDER, and give --records FOLDER."
        )
    if init is None and vocab is None:
        raise WrongUse("--vocab is needed where no --init brings a vocabulary; kbert vocab makes one.")
    if init is not None and size is not None:
        raise WrongUse("--init and --size exclude each other: a preset has its size.")
    if init is not None and attention_start != "random":
        raise WrongUse("--attention-start is for random weights; --init brings learned ones.")
    if init is not None and initializer_range is not None:
        raise WrongUse("--initializer-range is for random weights; --init brings learned ones.")
    preset = Path(init) if init and Path(init).exists() else None  # else a name or an address
    for path, option in ((vocab, "--vocab"), (word_vectors, "--word-vectors"), (preset, "--init")):
        if path is not None and existing(path, option).resolve().is_relative_to(out.resolve()):
            raise WrongUse(f"{option} stands outside of --out, which is the RUN's own; got {path} in {out}.")
    run, again = open_run(out, resume, overwrite)

    from kbert.cli import pretrain_run, pretrain_text
    from kbert.pretraining.recipe import Phase, PretrainingRecipe
    from pipelines.data_service import Service
    from pipelines.pretraining_data import PretrainingData

    phases = [Phase(max_length, batch_size, steps)]
    if long_steps:
        rows = long_batch_size or max(1, batch_size * max_length // long_length // accumulate) * accumulate
        phases.append(Phase(long_length, rows, long_steps))
    total = steps + long_steps
    recipe = PretrainingRecipe(
        tuple(phases),
        optimizer,
        learning_rate,
        warmup,
        weight_decay,
        power=power,
        exchange=exchange,
        accumulate=accumulate,
        checkpoint_steps=checkpoint_steps,
        checkpoint_minutes=checkpoint_minutes or None,
        evaluate_steps=evaluate_steps or max(1, total // 10),
        log_steps=log_steps or min(100, max(1, total // 200)),
        spike=spike or None,
    )
    data = PretrainingData(
        max_length, objective, short_share, masked_share, max_predictions, masking, words, packed, split, seed
    )
    start = pretrain_run.Start(
        *(None if init else size or "mini", init, vocab, lowercase, word_vectors, dtype, recompute, seed, dropout),
        *(attention_start, initializer_range),
    )
    if records:
        text = pretrain_text.Records(tuple(records), held_out > 0, evaluate_batches)
    else:
        text = pretrain_text.raw_text(
            input,
            out,
            again,
            text_key=text_key,
            invalid=invalid,
            held_out=held_out,
            max_unknown=None if force else max_unknown,
            most_batches=evaluate_batches,
        )
    command = shlex.join(["kbert", *sys.argv[1:]])
    sharing = Sharing(shards, Service(data_service) if data_service else None)
    with lost_service_ends(sharing.service), training_under(strategy, run, batch_size, rendezvous_timeout) as own:
        result = pretrain_run.pretrain(own, recipe, data, start, text, sharing, command=command, resume=again)
    result["out"] = str(out)
    show(result, pretrain_run.lines(result), as_json)


def open_run(out: Path, resume: bool, overwrite: bool):
    """The RUN of --out, and whether it was begun before."""
    from kbert.runs import TASK, Run, RunError

    if overwrite or not resume or not (out / TASK).is_file():
        return Run.start(out, overwrite=overwrite), False
    run = Run.open(out)
    if (task := run.task_with("task")["task"]) != "pretrain":
        raise RunError(f"--out names a RUN of kbert pretrain, or a new folder; {out} is one of {task}. Name another.")
    return run, True
