"""Options that say which text is read and which examples are made of it, the same for every command that does so.

Each is a type for a parameter of a command; the parameter's default is that of the pipeline.
"""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

Input = Annotated[
    list[str],
    Option("--input", metavar="GLOB...", help="Text files: .txt or .jsonl, also .gz and .xz; - is standard input."),
]
TextKey = Annotated[str, Option(help="Key of the text in a line of .jsonl.")]
Invalid = Annotated[
    Literal["replace", "refuse"], Option(help="Bytes that are not UTF-8: become U+FFFD and are counted, or stop.")
]
HeldOut = Annotated[
    float, Option(min=0, max=0.5, help="Share of the text that is never trained on, for the evaluation.")
]
Vocabulary = Annotated[Path, Option("--vocab", help="vocab.txt, as `kbert vocab` makes it.")]
Lowercase = Annotated[
    bool | None, Option("--lowercase/--cased", help="What the vocabulary was made of, where nothing beside it says.")
]

MaxLength = Annotated[int, Option(min=8, help="Tokens of a row, special tokens included.")]
Objective = Annotated[
    Literal["next_sentence", "sentence_order", "none", "contiguous"],
    Option(
        help="What is asked of two segments: does the second follow (BERT), are they in order (ALBERT). Or single "
        "segments: none, of whole sentences; contiguous, cut where a row is full."
    ),
]
ShortShare = Annotated[float, Option(min=0, max=1, help="Share of the examples that are made shorter at random.")]
Split = Annotated[bool, Option("--split/--lines", help="Split lines into sentences, or take a line as a sentence.")]
Packed = Annotated[bool, Option("--packed", help="Put several short examples into a row.")]
MaskedShare = Annotated[float, Option(min=0, max=1, help="Share of the tokens that are predicted.")]
MaxPredictions = Annotated[
    int | None, Option(min=1, help="Most predictions of a row; else the masked share of a full row.")
]
Masking = Annotated[Literal["tokens", "words", "spans"], Option(help="What is masked as one.")]
Words = Annotated[
    str,
    Option(
        metavar="pieces|spaces|FILE",
        help="Where words begin: pieces (those without ##), spaces (of the text), FILE (a word list, for Chinese).",
    ),
]
Seed = Annotated[int, Option(help="Of every random choice.")]
