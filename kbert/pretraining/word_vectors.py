"""Word vectors as the start of a token table: what a word meant elsewhere, before BERT has seen it once.

Files are GloVe's text format (Pennington et al. 2014): a word and its numbers a line, parted by spaces; also as .gz and
.xz, also with the line "words numbers" that word2vec puts first.

n words of the file, d its width, D the model's width, V vocabulary.
"""

import gzip
import lzma
import os
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COMPRESSIONS = {".gz": gzip.open, ".xz": lzma.open}
TOKEN_TABLE = "embeddings/token"


@dataclass(frozen=True)
class Report:
    """How many rows of a token table were set.

    Attributes:
        found: words of the vocabulary that have a vector, and pieces where the file has them with their ##.
        missing: whole words that have none; their rows keep their random start.
        pieces: tokens with ## that have none: only what `kbert word-vectors` writes has some.
        special: [PAD] and all others in brackets.
        width: of the vectors in the file.
        examples: the first missing words, for a person to look at.
    """

    found: int
    missing: int
    pieces: int
    special: int
    width: int
    examples: tuple[str, ...]


def read_word_vectors(
    path: str | os.PathLike[str], wanted: Collection[str] | None = None
) -> tuple[list[str], np.ndarray]:
    """Words and their vectors, float32 [n, d], in the order of the file; of a word that is there twice the first.

    A word may have spaces in it, as some of GloVe's have, where none of its parts reads as a number.

    Args:
        path: of a text file in GloVe's format; a name that ends in .gz or .xz is compressed.
        wanted: the only words to keep; the numbers of others are counted and not read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no vector; a line with more or fewer numbers than the first one, with something else than a number,
            or with one that is not finite; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"word vectors are a text file as GloVe's; there is none at {path}. Check the path.")
    vectors: dict[str, np.ndarray] = {}
    width = None
    try:
        with COMPRESSIONS.get(path.suffix.lower(), open)(path, "rb") as file:
            for line_number, line in enumerate(file, start=1):
                fields = line.split()
                if not fields or (line_number == 1 and is_header(fields)):
                    continue
                width = width or len(fields) - 1
                word = read_word(fields, width, f"{path}:{line_number}")
                if word not in vectors and (wanted is None or word in wanted):
                    vectors[word] = read_numbers(fields[len(fields) - width :], f"{path}:{line_number}")
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}. Fetch it again.") from error
    if not width:
        raise ValueError(f"word vectors are a word and its numbers a line; got none in {path}. Check the path.")
    return [*vectors], np.array([*vectors.values()], np.float32).reshape(-1, width)


def is_header(fields: Sequence[bytes]) -> bool:
    """Whether a first line is word2vec's: the number of words and of numbers a word.

    >>> is_header([b"400000", b"50"]), is_header([b"the", b"0.4"])
    (True, False)
    """
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def read_word(fields: Sequence[bytes], width: int, place: str) -> str:
    """The word of a line that has `width` numbers after it.

    >>> read_word([b"New", b"York", b"0.5", b"-1"], 2, "vectors.txt:7")
    'New York'
    """
    surplus = len(fields) - width
    if surplus < 1 or width < 1 or any(is_number(field) for field in fields[1:surplus]):
        raise ValueError(
            f"{place}: a line is a word and its numbers, as many as in the first one, {width}; "
            f"got {len(fields) - 1}. Fetch the file again, or remove the line."
        )
    return b" ".join(fields[:surplus]).decode("utf-8", "replace")  # a broken word is one that no vocabulary has


def is_number(field: bytes) -> bool:
    """Whether a field reads as a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_numbers(fields: Sequence[bytes], place: str) -> np.ndarray:
    """float32 [d] of a line's numbers."""
    for field in fields:
        if not is_number(field):
            raise ValueError(f"{place}: a word is followed by numbers; got {field.decode('utf-8', 'replace')!r}.")
    with np.errstate(over="ignore"):
        vector = np.array([float(field) for field in fields]).astype(np.float32)
    if not np.isfinite(vector).all():
        raise ValueError(f"{place}: a number of a vector is finite; got one that is not. Remove the line.")
    return vector


def project(vectors: np.ndarray, width: int, spread: float, seed: int = 0) -> np.ndarray:
    """Vectors [n, d] -> float32 [n, D] whose numbers have the root mean square `spread`.

    d < D: times a random matrix [d, D] with orthonormal rows, so that all angles and ratios of lengths stay. d > D: on
    the D directions that hold most of their squares (the first singular vectors; the mean is not taken off, so that
    angles change least). d = D: as they are.

    Args:
        vectors: float [n, d].
        width: D.
        spread: that of the other rows of the table.
        seed: of the random matrix; with it the result is the same always.

    Example:
        >>> made = project(np.array([[3.0, 0.0], [0.0, 1.0]]), width=5, spread=0.02)
        >>> made.shape, round(float(np.sqrt((made**2).mean())), 6), abs(float(made[0] @ made[1])) < 1e-8
        ((2, 5), 0.02, True)
    """
    made = np.asarray(vectors, np.float64)
    given = made.shape[1]
    if given < width:
        random = np.random.default_rng(seed).standard_normal((width, given))
        directions, signs = np.linalg.qr(random)  # [D, d], [d, d]
        made = made @ (directions * np.sign(np.diag(signs))).T
    elif given > width:
        _, directions = np.linalg.eigh(made.T @ made)  # [d, d], smallest first
        made = made @ directions[:, : -width - 1 : -1]
    size = np.sqrt(np.mean(np.square(made)))
    return (made * (spread / size if size else 0.0)).astype(np.float32)


def apply(model: Any, path: str | os.PathLike[str], seed: int = 0) -> Report:
    """Set the rows of a model's token table for the tokens of its vocabulary that a file has a vector for.

    A token that is not in the file as it is is looked up in lower case. Vectors are projected to the model's width and
    to the spread of its random start, `initializer_range`.

    Args:
        model: a `TextModel` with a tokenizer; or any with `config`, `tokenizer` and `named_weights`.
        path: of the vectors; see `read_word_vectors`.
        seed: of the projection; see `project`.

    Returns:
        How many words were found, and how many not.

    Raises:
        FileNotFoundError, ValueError: as `read_word_vectors`; a model without a vocabulary; no word found.
    """
    if model.tokenizer is None:
        raise ValueError("word vectors go to the words of a vocabulary; got a model without one. Give it a tokenizer.")
    entries = read_entries(model.tokenizer["vocabulary"])
    special = {row for row, token in enumerate(entries) if token.startswith("[") and token.endswith("]")}
    inside = {row for row, token in enumerate(entries) if token.startswith("##") and token[2:]}
    wanted = [row for row in range(len(entries)) if row not in special]
    words, vectors = read_word_vectors(path, wanted={form for row in wanted for form in spellings(entries[row])})
    places = {word: place for place, word in enumerate(words)}
    found = {}
    for row in wanted:
        forms = [form for form in spellings(entries[row]) if form in places]
        if forms:
            found[row] = places[forms[0]]
    if inside.issuperset(found):
        raise ValueError(
            f"word vectors set the words that the vocabulary has; got none of its {len(wanted) - len(inside)} words in "
            f"{path}. Check that the file is of the same language."
        )
    table = model.named_weights()[TOKEN_TABLE]
    rows = table.numpy().copy()
    chosen = vectors[[*found.values()]]
    rows[[*found]] = project(chosen, rows.shape[1], model.config.initializer_range, seed)
    table.assign(rows)
    missing = [entries[row] for row in wanted if row not in found and row not in inside]
    pieces = len(inside.difference(found))
    return Report(len(found), len(missing), pieces, len(special), vectors.shape[1], tuple(missing[:10]))


def spellings(token: str) -> list[str]:
    """How a token may be spelled in a file, the likelier first."""
    return [token] if token == token.lower() else [token, token.lower()]


def read_entries(path: str | os.PathLike[str]) -> list[str]:
    """The tokens of a vocab.txt in the order of their ids."""
    text = Path(path).read_bytes().decode("utf-8-sig")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
