"""`kbert score`: how likely a text is to a model that fills masks."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json

Option = typer.Option
DIGITS = 4  # of a log-probability, after the point


def score(
    model: Annotated[str, typer.Argument(help="RUN of kbert pretrain, or a preset with a head for masked tokens.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; else --input, or standard input.")] = None,
    input: Annotated[Path | None, Option(help="Texts: .txt (one a line), .tsv, .csv, .jsonl.")] = None,
    whole_words: Annotated[
        bool, Option("--whole-words", help="Mask the rest of a word with each of its pieces (Kauf and Ivanova 2023).")
    ] = False,
    text_column: Annotated[str | None, Option(help="Column of the text, by default sentence.")] = None,
    max_length: Annotated[int | None, Option(min=3, help="Tokens of a window over longer texts.")] = None,
    batch_size: Annotated[int, Option(min=1, help="Masked copies at once.")] = 64,
    lowercase: Annotated[bool | None, Option("--lowercase/--cased", help="Where the model does not say.")] = None,
    as_json: Json = False,
) -> None:
    """Say how likely texts are: each token is masked in turn (pseudo-log-likelihood, Salazar et al. 2020).

    Prints a JSON object a text: {"text", "score", "tokens", "log_probabilities"}, natural logarithms, the score their
    sum; in the end, on stderr, the pseudo-perplexity of all texts together.

    \b
    Example:
      kbert score runs/pretrained "Paris is the capital of France."
    """
    from kbert.cli.text_stream import stream_texts

    given = stream_texts(texts, input, text_column)

    from kbert.cli.likelihood import Likelihood
    from kbert.cli.mask_filling import open_masked_tokens
    from kbert.cli.progress import bar

    likelihood = Likelihood(open_masked_tokens(model, "score", lowercase), whole_words, max_length, batch_size)
    total, tokens, count = 0.0, 0, 0
    watched = input is not None and sys.stderr.isatty() and not sys.stdout.isatty()  # lines and a bar need two places
    with bar(None, "texts", shown=watched) as advance:
        for found in likelihood.of(given):
            logs = found.pop("log_probabilities").tolist()
            total, tokens, count = total + sum(logs), tokens + len(logs), count + 1
            shown = {"score": round(sum(logs), DIGITS), "tokens": found["tokens"]}
            shown["log_probabilities"] = [round(log, DIGITS) for log in logs]
            print(json.dumps({"text": found["text"], **shown}, ensure_ascii=False), flush=True)
            advance(1)
    perplexity = math.exp(-total / tokens) if tokens else None
    if as_json:
        print(json.dumps({"texts": count, "tokens": tokens, "score": total, "pseudo_perplexity": perplexity}))
    elif tokens:
        print(f"pseudo-perplexity {perplexity:.4f} over {tokens:,} tokens of {count:,} texts", file=sys.stderr)
