"""`kbert vocab`: a vocabulary learned from text."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from kbert.cli.data_options import Input, Invalid, TextKey
from kbert.cli.output import Json, show

EXAMPLES = 8  # tokens shown


def vocab(
    input: Input,
    size: Annotated[int, typer.Option(min=5, help="Tokens, special ones included; BERT's English has 30522.")],
    out: Annotated[Path, typer.Option(help="vocab.txt to write; tokenizer_config.json is written beside it.")],
    cased: Annotated[bool, typer.Option("--cased", help="Keep capitals and accents.")] = False,
    keep_accents: Annotated[
        bool, typer.Option("--keep-accents", help="Lower-case, but keep accents: for languages that need them.")
    ] = False,
    unused: Annotated[
        int, typer.Option(min=0, help="[unusedN] tokens after [PAD]; 99 puts the others in Google's places.")
    ] = 0,
    min_count: Annotated[int, typer.Option(min=1, help="A rarer character or pair of tokens becomes no token.")] = 2,
    text_key: TextKey = "text",
    invalid: Invalid = "replace",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Learn a WordPiece vocabulary from text.

    The text is normalized as the model will see it. tokenizer_config.json, beside the vocabulary, says how.

    \b
    Example:
      kbert vocab --input data/*.txt.xz --size 16000 --out own/vocab.txt
    """
    from kbert.cli.quiet import quiet
    from kbert.cli.reading import Reading, say

    settings = {"lowercase": not cased, "strip_accents": False if keep_accents else None, "split_cjk": True}
    beside = tokenizer_config(settings)
    refuse_replacing(out, beside, overwrite)
    with quiet():
        from pipelines.documents import Corpus
        from pipelines.vocabulary_learning import find_alphabet, learn, measure_coverage, rules_of
        from pipelines.word_counts import count_words

    begin = time.perf_counter()
    reading = Reading(Corpus.find(input, text_key=text_key, invalid=invalid))
    counts = count_words(reading.blocks(), rules_of(**settings))
    say(f"learning from {counts.total:,} words, of which {len(counts.words):,} differ ...")
    tokens = learn(counts, size, min_count, [f"[unused{number}]" for number in range(unused)])
    coverage = measure_coverage(counts, tokens)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out.with_name("tokenizer_config.json"), beside)
    write_whole(out, "".join(f"{token}\n" for token in tokens))
    characters = len(find_alphabet(counts, min_count))
    learned = tokens[5 + unused + characters :]
    result = {
        "vocabulary": str(out),
        "size": len(tokens),
        "special": 5 + unused,
        "characters": characters,
        "learned": len(learned),
        **settings,
        "text_bytes": reading.bytes,
        "lines_not_utf8": reading.broken,
        "words": coverage.words,
        "unknown_words": coverage.unknown_words,
        "text_characters": coverage.characters,
        "unknown_characters": coverage.unknown_characters,
        "missing": dict(coverage.missing[:EXAMPLES]),
        "first": learned[:EXAMPLES],
        "longest": sorted(learned, key=lambda token: -len(token))[:EXAMPLES],
        "seconds": round(time.perf_counter() - begin, 1),
    }
    show(result, told(result), as_json)


def tokenizer_config(settings: dict[str, Any]) -> str:
    """What tokenizer_config.json says for these settings."""
    import tempfile

    from kbert.tokenizer_settings import write_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings"
        write_tokenizer(path, settings, 512)
        return path.read_text(encoding="utf-8")


def refuse_replacing(out: Path, beside: str, overwrite: bool) -> None:
    """Raises FileExistsError where a vocabulary, or other settings than its own beside it, would be replaced."""
    if out.is_dir():
        raise FileExistsError(f"--out names a file to write; got the folder {out}. Add /vocab.txt.")
    if overwrite:
        return
    if out.exists():
        raise FileExistsError(f"--out names a new file; {out} is there. Name another, or give --overwrite.")
    settings = out.with_name("tokenizer_config.json")
    if settings.exists() and json.loads(settings.read_text(encoding="utf-8")) != json.loads(beside):
        raise FileExistsError(
            f"{settings} belongs to another vocabulary, of other settings. Name another folder, or give --overwrite."
        )


def write_whole(path: Path, text: str) -> None:
    """Writes a file beside and renames it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def told(result: dict[str, Any]) -> list[str]:
    """The result as lines to read."""
    words = result["unknown_words"] / max(result["words"], 1)
    characters = result["unknown_characters"] / max(result["text_characters"], 1)
    lost = "  ".join(f"{character!r} {count}" for character, count in result["missing"].items())
    case = "uncased" if result["lowercase"] else "cased"
    accents = ", accents kept" if result["lowercase"] and result["strip_accents"] is False else ""
    broken = f", {result['lines_not_utf8']:,} lines not UTF-8" if result["lines_not_utf8"] else ""
    return [
        f"{result['vocabulary']}: {result['size']:,} tokens: {result['special']} special, {result['characters']:,} of "
        f"one character, {result['learned']:,} of several; {case}{accents}",
        f"text     {result['text_bytes'] / 1e6:,.1f} MB, {result['words']:,} words{broken}, {result['seconds']} s",
        f"[UNK]    {result['unknown_words']:,} words ({words:.3%}), {result['unknown_characters']:,} characters "
        f"({characters:.3%})" + (f": {lost}" if lost else ""),
        f"first    {' '.join(result['first'])}",
        f"longest  {' '.join(result['longest'])}",
    ]
