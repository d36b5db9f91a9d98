"""`kbert features`: vectors of tokens from chosen layers."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kbert.cli.output import Json

Option = typer.Option


def features(
    model: Annotated[str, typer.Argument(metavar="PRESET|RUN", help="Whose encoder reads the texts.")],
    input: Annotated[
        Path | None, Option(help="Texts: .txt (one a line), .tsv, .csv, .jsonl; else stdin, one a line.")
    ] = None,
    layers: Annotated[
        str, Option(metavar="N,N,...", help="0 is the embeddings, 1 the first block, -1 the last, -2 the one before.")
    ] = "-1",
    mix: Annotated[
        Literal["none", "last", "sum", "mean"], Option(help="One vector a token from these layers; none keeps each.")
    ] = "none",
    words: Annotated[bool, Option("--words", help="Vectors of words instead of their pieces.")] = False,
    pieces: Annotated[Literal["mean", "first"], Option(help="Vector of a word: of its pieces.")] = "mean",
    out: Annotated[Path | None, Option(help="FILE.npz or FILE.jsonl; else JSON lines on stdout.")] = None,
    text_column: Annotated[str | None, Option(help="Column of the text, by default sentence.")] = None,
    max_length: Annotated[int | None, Option(min=3, help="Tokens of a window over longer texts.")] = None,
    batch_size: Annotated[int, Option(min=1, help="Windows at once.")] = 32,
    lowercase: Annotated[bool | None, Option("--lowercase/--cased", help="Where the model does not say.")] = None,
    as_json: Json = False,
) -> None:
    """Write the vectors that layers of a model give to each token or word, not pooled.

    Prints a JSON object a text: {"text", "tokens", "starts", "ends", "vectors"}; starts and ends count characters,
    vectors are [token][layer][width], or [token][width] with --mix. Words are split as BERT splits them, at spaces and
    around punctuation and ideographs.

    \b
    Example:
      kbert features minilm-l6 --input texts.txt --layers -1,-2,-3,-4 --mix mean --words --out vectors.npz
    """
    from kbert.cli.errors import WrongUse
    from kbert.cli.text_stream import stream_texts

    numbers = parsed(layers)
    if out is not None and out.suffix not in (".npz", ".jsonl"):
        raise WrongUse(f"--out is a name that ends in .npz or .jsonl; got {out}.")
    texts = stream_texts(None, input, text_column)

    from kbert.cli import vector_files
    from kbert.cli.progress import bar
    from kbert.cli.token_vectors import TokenVectors
    from kbert.encoder import Encoder
    from kbert.whole_files import beside

    encoder = Encoder.from_preset(model, lowercase=lowercase)
    vectors = TokenVectors(encoder, numbers, mix, pieces if words else None, max_length, batch_size)
    found, written = vectors.of(texts), {"texts": 0, "tokens": 0}

    watched = input is not None and sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())

    def count(passed) -> None:
        with bar(None, "texts", shown=watched) as advance:
            for one in passed:
                written["texts"], written["tokens"] = written["texts"] + 1, written["tokens"] + len(one.tokens)
                advance(1)

    if out is None:
        count(vector_files.write_lines(found, sys.stdout))
    elif out.suffix == ".npz":
        count(vector_files.write_npz(found, out, numbers))
    else:
        with beside(out) as unfinished, unfinished.open("w", encoding="utf-8") as stream:
            count(vector_files.write_lines(found, stream))
    if as_json:
        shape = list(vectors.shape)
        print(json.dumps({"out": out and str(out), **written, "layers": numbers, "mix": mix, "shape": shape}))
    elif out is not None:
        what = "words" if words else "tokens"
        print(f"{out}: vectors {list(vectors.shape)} of {written['tokens']:,} {what} of {written['texts']:,} texts")


def parsed(layers: str) -> list[int]:
    """Numbers with commas between them.

    >>> parsed("-1,-2, 0")
    [-1, -2, 0]

    Raises:
        WrongUse: something else.
    """
    from kbert.cli.errors import WrongUse

    try:
        return [int(layer) for layer in layers.split(",")]
    except ValueError:
        raise WrongUse(
            f"--layers is whole numbers with commas between; got {layers!r}. Write --layers -1,-2."
        ) from None
