"""Vocabularies: a file with one token a line, the line number is the id.

The format is that of Devlin et al. 2019 (https://github.com/google-research/bert).
"""

from collections.abc import Sequence
from pathlib import Path

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
REQUIRED = (PAD, UNK, CLS, SEP)
ENOUGH_CASED_WORDS = 100  # fewer tokens with letters that have a case say nothing about a vocabulary's convention
CASED_SHARE = 0.05  # official vocabularies: cased 31 %, multilingual cased 23 %; uncased and Chinese 0 %


def read_vocabulary(path: str | Path) -> tuple[str, ...]:
    r"""The tokens of a vocabulary file, in order of their ids.

    Lines end in "\n" or "\r\n" and nowhere else: vocabularies hold tokens such as U+2028, at which `str.splitlines`
    would break. A byte order mark at the start is skipped.

    Args:
        path: text file in UTF-8, a token a line.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, is not UTF-8, repeats a token, or lacks [PAD], [UNK], [CLS] or [SEP].
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"a vocabulary is a text file with one token a line; there is none at {str(path)!r}. "
            "Give the path of the model's vocab.txt, or make one with `kbert vocab`."
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"a vocabulary is UTF-8 text; {str(path)!r} is not, at byte {error.start}. "
            "Save it as UTF-8, or check the path."
        ) from None
    tokens = tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
    check_vocabulary(tokens, source=str(path))
    return tokens


def check_vocabulary(tokens: Sequence[str], source: str = "the vocabulary") -> None:
    """Raises ValueError unless `tokens` are all different, not empty, and hold the special tokens.

    Example:
        >>> check_vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "yes"])
        Traceback (most recent call last):
        ...
        ValueError: a token stands in a vocabulary once; in the vocabulary 'yes' is on lines 5 and 6. Remove one ...
    """
    if not any(tokens):
        raise ValueError(f"a vocabulary holds at least {', '.join(REQUIRED)}; {source} is empty. Check the path.")
    line_of = {}
    for line, token in enumerate(tokens, start=1):
        if not token:
            raise ValueError(f"a line of a vocabulary is a token; line {line} of {source} is empty. Remove the line.")
        if token in line_of:
            raise ValueError(
                f"a token stands in a vocabulary once; in {source} {token!r} is on lines {line_of[token]} and {line}. "
                "Remove one (ids after it move by one), or write another token such as [unused0] in its place."
            )
        line_of[token] = line
    missing = [token for token in REQUIRED if token not in line_of]
    if missing:
        raise ValueError(
            f"a vocabulary holds {', '.join(REQUIRED)}, a line each; {source} lacks {', '.join(missing)}. "
            "Add them, or take the vocab.txt that belongs to the model."
        )


def looks_cased(tokens: Sequence[str]) -> bool | None:
    """Whether a vocabulary was made of text with its capitals kept; None where too few of its tokens have a case.

    Example:
        >>> looks_cased(["[PAD]", "[UNK]"]) is None
        True
    """
    words = [token for token in tokens if not token.startswith(("[", "<")) and token.lower() != token.upper()]
    if len(words) < ENOUGH_CASED_WORDS:
        return None
    share = sum(word != word.lower() for word in words) / len(words)
    return True if share >= CASED_SHARE else False if share == 0 else None


def wrong_pairing(tokens: Sequence[str], lowercase: bool) -> str | None:
    """The text of a warning where `lowercase` contradicts the vocabulary, else None."""
    cased = looks_cased(tokens)
    if lowercase and cased:
        return (
            "lowercase=True with a vocabulary that holds many capitals: words that need them become other pieces. "
            "Use lowercase=False for a cased vocabulary, or take the uncased vocab.txt."
        )
    if not lowercase and cased is False:
        return (
            "lowercase=False with a vocabulary that holds no capitals: every word with one becomes [UNK]. "
            "Use lowercase=True for an uncased vocabulary, or take the cased vocab.txt."
        )
    return None
