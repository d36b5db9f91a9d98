"""`kbert show-batch`: what a model sees in pre-training, as text."""

import sys
from typing import Annotated

import typer

from kbert.cli import data_options as options
from kbert.cli.output import Json, existing, show

PREDICTED = r"\[[^\s→]+→\S+?\]|\[=\S+?\]"


def show_batch(
    vocab: options.Vocabulary,
    input: options.Input = [],  # noqa: B006 - Typer copies it
    records: Annotated[
        list[str], typer.Option("--records", metavar="GLOB...", help="In place of --input: what `kbert prepare` wrote.")
    ] = [],  # noqa: B006
    lowercase: options.Lowercase = None,
    rows: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 8,
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
    seed: options.Seed = 0,
    as_json: Json = False,
) -> None:
    """Show masked rows as text, as kbert pretrain makes them.

    [MASK→cat] is a mask over "cat", [dog→cat] a random word in its place, [=cat] a word that is predicted as it stands.

    \b
    Example:
      kbert show-batch --input books/*.txt --vocab vocab.txt --masking words --rows 4
    """
    from kbert.cli.errors import WrongUse

    if bool(input) == bool(records):
        raise WrongUse("--input or --records says what is read: one of the two.")
    existing(vocab, "--vocab")

    from kbert.cli.quiet import quiet

    with quiet():
        from kbert.tokenizer_settings import read_tokenizer
        from pipelines.batch_text import batch_text
        from pipelines.documents import Corpus
        from pipelines.pretraining import pretraining, reading_errors
        from pipelines.pretraining_data import PretrainingData
        from pipelines.record_batches import pretraining_records
        from pipelines.wordpiece import WordPiece

    settings = PretrainingData(
        max_length, objective, short_share, masked_share, max_predictions, masking, words, packed, split, seed
    )
    spec = read_tokenizer(vocab.parent, vocab, lowercase, vocab.resolve().parent.name)
    wordpiece = WordPiece.from_spec(spec)
    with quiet(), reading_errors():
        if records:
            data = pretraining_records(records, settings, batch_size=rows, seed=seed)
        else:
            corpus = Corpus.find(input, text_key=text_key, invalid=invalid, held_out=held_out)
            data = pretraining(corpus, spec, settings, batch_size=rows)
        batch = next(iter(data))
    lines = batch_text(*batch, wordpiece, objective=objective)
    if not as_json and sys.stdout.isatty():
        show_coloured(lines)
    else:
        show({"rows": "\n".join(lines).strip().split("\n\n")}, lines, as_json)


def show_coloured(lines: list[str]) -> None:
    """Prints lines on a terminal, predicted tokens in a colour."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        text = Text(line)
        text.highlight_regex(PREDICTED, "bold magenta")
        console.print(text)
