"""`kbert word-vectors`: vectors of a vocabulary's tokens, learned from which of them stand near which."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from typer import Option

from kbert.cli import data_options as options
from kbert.cli.output import Json, existing, show

SHOWN = (1 / 50, 1 / 20, 1 / 8, 1 / 3)  # words with their neighbours, by where they stand among all, the frequent first
NEIGHBOURS = 5


def word_vectors(
    vocab: options.Vocabulary,
    input: options.Input,
    out: Annotated[Path, Option(help="File to write, in GloVe's format: a token and its numbers a line.")],
    width: Annotated[int, Option(min=1, help="Numbers of a vector; that of --size mini is 256.")] = 256,
    window: Annotated[int, Option(min=1, help="How many places away a token is still near.")] = 5,
    lowercase: options.Lowercase = None,
    text_key: options.TextKey = "text",
    invalid: options.Invalid = "replace",
    held_out: options.HeldOut = 0.0,
    seed: options.Seed = 0,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Learn word vectors from text, as a start for `kbert pretrain --word-vectors`.

    Give the same --held-out as there: what is held out is not read. Pieces with ## have vectors too.

    \b
    Example:
      kbert word-vectors --input books/*.txt --vocab vocab.txt --held-out 0.01 --out vectors.txt
    """
    existing(vocab, "--vocab")
    if out.is_dir():
        raise FileExistsError(f"--out names a file to write; got the folder {out}. Add /vectors.txt.")
    if out.exists() and not overwrite:
        raise FileExistsError(f"--out names a new file; {out} is there. Name another, or give --overwrite.")

    from kbert.cli.quiet import quiet
    from kbert.cli.reading import Reading, say

    with quiet():
        from kbert.pretraining import cooccurrence
        from kbert.tokenizer_settings import read_tokenizer
        from pipelines.documents import Corpus
        from pipelines.wordpiece import WordPiece

    begin = time.perf_counter()
    wordpiece = WordPiece.from_spec(read_tokenizer(vocab.parent, vocab, lowercase, vocab.resolve().parent.name))
    tokens = wordpiece.vocabulary
    special = {number for number, token in enumerate(tokens) if token.startswith("[") and token.endswith("]")}
    reading = Reading(Corpus.find(input, text_key=text_key, invalid=invalid, held_out=held_out), part="train")
    counts = cooccurrence.count_pairs(documents(reading, wordpiece), len(tokens), window, special)
    say(f"factoring {counts.nnz:,} pairs that differ ...")
    found = cooccurrence.vectors(counts, width, seed)
    written = write(out, tokens, found)
    result = {
        "out": str(out),
        "tokens": written,
        "unseen": len(tokens) - len(special) - written,
        "width": width,
        "text_bytes": reading.bytes,
        "lines_not_utf8": reading.broken,
        "pairs": counts.nnz,
        "near": {tokens[number]: nearest(found, tokens, number) for number in examples(counts, tokens)},
        "seconds": round(time.perf_counter() - begin, 1),
    }
    show(result, told(result), as_json)


def documents(reading, wordpiece) -> Iterator:
    """The tokens of each document, or of what a block has of it, int32 [N]."""
    import numpy as np

    for block in reading.blocks():
        tokens = wordpiece.tokenize(block.split(b"\n\n"))
        yield from np.split(tokens.flat_values.numpy(), tokens.row_splits.numpy()[1:-1])


def write(out: Path, tokens: tuple[str, ...], found) -> int:
    """Writes the vectors that are not 0, and returns how many."""
    from kbert.whole_files import beside

    known = found.any(axis=1).nonzero()[0]
    with beside(out) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for number in known:
            file.write(f"{tokens[number]} {' '.join(f'{value:.5g}' for value in found[number])}\n")
    return len(known)


def examples(counts, tokens: tuple[str, ...]) -> dict:
    """Some words that stand in the text, frequent ones and rare ones."""
    import numpy as np

    times = np.asarray(counts.sum(axis=1)).ravel()
    words = [number for number in np.argsort(-times, kind="stable") if times[number] and tokens[number].isalpha()]
    return dict.fromkeys(words[int(place * len(words))] for place in SHOWN if words)


def nearest(found, tokens: tuple[str, ...], number: int) -> list[str]:
    """The tokens whose vectors are most like that of one."""
    likeness = found @ found[number]
    return [tokens[number] for number in (-likeness).argsort()[1 : NEIGHBOURS + 1]]


def told(result: dict) -> list[str]:
    """The result as lines to read."""
    broken = f", {result['lines_not_utf8']:,} lines not UTF-8" if result["lines_not_utf8"] else ""
    read = f"text  {result['text_bytes'] / 1e6:,.1f} MB, {result['pairs']:,} pairs that differ"
    unseen = f", {result['unseen']:,} stand in no text and have none" if result["unseen"] else ""
    return [
        f"{result['out']}: {result['tokens']:,} tokens with {result['width']} numbers each{unseen}",
        f"{read}{broken}, {result['seconds']} s",
        *(f"near {token}: {', '.join(near)}" for token, near in result["near"].items()),
    ]
