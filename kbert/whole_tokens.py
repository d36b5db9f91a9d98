"""Which tokens of a vocabulary a tokenizer gives whole, asked of the tokenizer itself.

It is made outside, by a function of its settings (those of `kbert.tokenizer_settings`, "vocabulary" a path or the
tokens themselves), and has `vocabulary` and `tokenize`: `pipelines.WordPiece.from_spec` is such a function.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INSIDE = "##"
SHOWN = 10  # words in an error
MakeTokenizer = Callable[[Mapping[str, Any]], Any]


def check_whole(words: Sequence[str], ids: Sequence[int], tokenizer) -> None:
    """Raises ValueError unless the tokenizer turns each word into its one id; names those that it does not."""
    wrong = []
    for word, row, found in zip(words, ids, tokenizer.tokenize(words).to_list(), strict=True):
        if found != [row]:
            wrong.append(f"{word!r} ({' '.join(tokenizer.vocabulary[id] for id in found) or 'nothing'})")
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ValueError(
            "a new word must be one word to the tokenizer, spelled as it normalizes it; got words that would never be "
            f"found whole (and what they become): {', '.join(wrong[:SHOWN])}{more}. Spell them so, or leave them out."
        )


def letters(token: str) -> list[str]:
    """The tokens of one character that spell a token.

    Example:
        >>> letters("cat"), letters("##s"), letters("##")
        (['c', '##a', '##t'], ['##s'], ['#', '###'])
    """
    inside = token.startswith(INSIDE) and len(token) > len(INSIDE)
    text = token.removeprefix(INSIDE) if inside else token
    return [(INSIDE if inside or place else "") + character for place, character in enumerate(text)]


def found_whole(tokens: Iterable[str], settings: Mapping[str, Any], make_tokenizer: MakeTokenizer) -> set[str]:
    """Those of `tokens` that some text gives: no capital where all is lower-cased, no ideograph after ##."""
    inside = [token for token in tokens if token.startswith(INSIDE) and len(token) > len(INSIDE)]
    plain = [token for token in tokens if not token.startswith(INSIDE) or token == INSIDE]
    found = set()
    for before, chosen in (("", plain), ("a", inside)):
        if not chosen:
            continue
        vocabulary = [*dict.fromkeys([*SPECIAL, "a", *chosen])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a part of a vocabulary need not look like the whole
            tokenizer = make_tokenizer({**settings, "vocabulary": vocabulary})
        texts = [before + (token.removeprefix(INSIDE) if before else token) for token in chosen]
        ids = {token: row for row, token in enumerate(vocabulary)}
        for token, given in zip(chosen, tokenizer.tokenize(texts).to_list(), strict=True):
            if given == [*map(ids.get, before), ids[token]]:
                found.add(token)
    return found
