"""`kbert cut-vocab`: a trained model without the tokens that a text never uses."""

from typing import Annotated

import typer

from kbert.cli.data_options import Input, Invalid, TextKey
from kbert.cli.extend_vocab import Lowercase, Out, Overwrite, Source, size_line, sizes
from kbert.cli.output import Json, show


def cut_vocab(
    source: Source,
    input: Input,
    out: Out,
    min_count: Annotated[int, typer.Option(min=1, help="How often the text must use a token for it to stay.")] = 1,
    text_key: TextKey = "text",
    invalid: Invalid = "replace",
    lowercase: Lowercase = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a model smaller by the tokens that a text never uses.

    Characters stay, so that no other text becomes [UNK]. On the given text the answers stay the same, bit for bit.
    A RUN stays a RUN.

    \b
    Example:
      kbert cut-vocab minilm-l6 --input data/*.txt --out small-minilm
    """
    from kbert.cli.quiet import quiet
    from kbert.cli.reading import Reading

    with quiet():
        from kbert.presets import open_preset
        from kbert.vocabulary_surgery import cut
        from pipelines import WordPiece
        from pipelines.documents import Corpus

        preset = open_preset(source, lowercase=lowercase)
    reading = Reading(Corpus.find(input, text_key=text_key, invalid=invalid))
    made = cut(preset, reading.blocks(), out, WordPiece.from_spec, min_count=min_count, overwrite=overwrite)
    result = {
        "source": source,
        "folder": str(out),
        "used": made.used,
        "text_bytes": reading.bytes,
        "text_tokens": made.corpus_tokens,
        "lines_not_utf8": reading.broken,
        **sizes(made),
    }
    told = [f"{out}: the text, {made.corpus_tokens:,} tokens, uses {made.used:,} different ones", size_line(made)]
    show(result, told, as_json)
