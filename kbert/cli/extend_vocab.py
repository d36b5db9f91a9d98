"""`kbert extend-vocab`: new words in the vocabulary of a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json, existing, show

Source = Annotated[str, typer.Argument(metavar="PRESET", help="minilm-l6, a folder, a RUN, hf://... or kaggle://...")]
Out = Annotated[Path, typer.Option(help="Folder to write.")]
Lowercase = Annotated[bool | None, typer.Option("--lowercase/--cased", help="Where PRESET does not say.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the preset that is in --out.")]


def extend_vocab(
    source: Source,
    words: Annotated[Path, typer.Option(help="New words, one a line, as the tokenizer normalizes them.")],
    out: Out,
    use_unused: Annotated[
        bool, typer.Option("--use-unused", help="Take the places of [unusedN] tokens while there are any.")
    ] = False,
    lowercase: Lowercase = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Add words to a model's vocabulary.

    A new word starts as the mean of the pieces that it was split into. The result loads as any model does.

    \b
    Example:
      kbert extend-vocab minilm-l6 --words words.txt --out own-minilm
    """
    from kbert.cli.quiet import quiet

    existing(words, "--words")
    with quiet():
        from kbert.presets import open_preset
        from kbert.vocabulary_surgery import extend
        from pipelines import WordPiece
        from pipelines.files import lines

        made = extend(
            open_preset(source, lowercase=lowercase),
            [line for _, line in lines(words)],
            out,
            WordPiece.from_spec,
            use_unused=use_unused,
            overwrite=overwrite,
        )
    result = {
        "source": source,
        "folder": str(out),
        "added": len(made.added),
        "skipped": made.skipped,
        "unknown_before": list(made.unknown),
        **sizes(made),
    }
    told = [f"{out}: {len(made.added):,} words added, {made.skipped:,} were there already", size_line(made)]
    if made.unknown:
        told.append(f"[UNK] was a part of {len(made.unknown):,}: {' '.join(made.unknown[:10])}")
    show(result, told, as_json)


def sizes(made) -> dict[str, float]:
    """Sizes before and after, for JSON."""
    return {
        "tokens_before": made.before.tokens,
        "tokens_after": made.after.tokens,
        "mb_before": made.before.bytes / 1e6,
        "mb_after": made.after.bytes / 1e6,
    }


def size_line(made) -> str:
    """Sizes before and after, to read."""
    before, after = made.before, made.after
    megabytes = f"{before.bytes / 1e6:,.1f} -> {after.bytes / 1e6:,.1f} MB of weights"
    return f"{before.tokens:,} -> {after.tokens:,} tokens, {megabytes}"
