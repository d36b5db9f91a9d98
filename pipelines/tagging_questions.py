"""What a tagger is asked: texts, or words that are joined by spaces; tags that a file may have are left alone."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import files
from pipelines.tag_schemes import OUTSIDE, TAG
from pipelines.tagged_files import DOCUMENT, Sentence, is_json, sentences
from pipelines.tasks.texts import read_texts, text_of

COLUMNS = (".conll", ".bio", ".iob", ".iob1", ".iob2", ".bioes")  # these hold words, whatever is in them
TABLES = (".tsv", ".csv")
LOOKED_AT = 50  # lines of a file of another name: are they tagged words, or texts?


@dataclass(frozen=True)
class TaggingQuestions:
    """N texts; `words[n]` are the words that a file gave and `starts[n]` their first characters, or both None."""

    texts: tuple[str, ...]
    words: tuple[tuple[str, ...] | None, ...]
    starts: tuple[tuple[int, ...] | None, ...]

    def __len__(self) -> int:
        return len(self.texts)


def joined(words: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """Words as a text, and where in it they start.

    >>> joined(["a", "cat"])
    ('a cat', (0, 2))
    """
    starts, place = [], 0
    for word in words:
        starts.append(place)
        place += len(word) + 1
    return " ".join(words), tuple(starts)


def of_words(all_words: Sequence[Sequence[str]], texts: Sequence[str | None] = ()) -> TaggingQuestions:
    """Questions about given words; where a text is known, about the text."""
    known = [*texts, *[None] * (len(all_words) - len(texts))]
    rows = [
        (text, None, None) if text is not None else (joined(words)[0], tuple(words), joined(words)[1])
        for words, text in zip(all_words, known, strict=True)
    ]
    return TaggingQuestions(*(tuple(row[which] for row in rows) for which in range(3)))


def read_tagging_questions(source, *, text_column: str | None = None) -> TaggingQuestions:
    """Reads what is asked.

    Args:
        source: files or an open stream. A stream and .txt hold a text a line, .tsv and .csv texts in a column, .jsonl a
            "text" or "words" a line. .conll, .bio, .iob and the like hold CoNLL columns, and so does a file of any
            name but .tsv and .csv whose first lines end with tags, or which has no extension of texts.
        text_column: of .tsv, .csv and .jsonl.

    Raises:
        ValueError, FileNotFoundError: as `read_tagging` and `read_texts`.
    """
    named = {"text_column": text_column} if text_column else {}
    if hasattr(source, "read") or isinstance(source, io.IOBase):
        return _of_texts(read_texts(source).texts)
    asked = []
    for path in files.find(source):
        if is_json(path):
            asked.append(_of_rows(path, text_column))
        elif _kind(path) in TABLES:
            asked.append(_of_texts(read_texts(path, **named).texts))
        elif _kind(path) in COLUMNS or _is_tagged(path):
            asked.append(of_words([sentence.words for sentence in sentences(path, tagged=False)]))
        else:
            asked.append(_of_texts([line for _, line in files.lines(path)]))
    return TaggingQuestions(
        *(sum((getattr(part, name) for part in asked), ()) for name in ("texts", "words", "starts"))
    )


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in files.COMPRESSIONS]
    return suffixes[-1] if suffixes else ""


def _is_tagged(path: Path) -> bool:
    """Whether each of the first lines has a word and, last, a tag such as O or B-LOC."""
    seen = 0
    for _, line in files.lines(path):
        fields = re.split(r"[ \t]+", line.strip(" \t"))
        if fields == [""] or line.startswith(DOCUMENT):
            continue
        if len(fields) < 2 or not (fields[-1] == OUTSIDE or TAG.fullmatch(fields[-1])):
            return False
        seen += 1
        if seen == LOOKED_AT:
            break
    return seen > 0


def _of_texts(texts: Sequence[str]) -> TaggingQuestions:
    return TaggingQuestions(tuple(texts), (None,) * len(texts), (None,) * len(texts))


def _of_rows(path: Path, text_column: str | None) -> TaggingQuestions:
    if text_column:
        return _of_texts([text_of(row, text_column, path, number) for number, row in files.rows(path)])
    found: list[Sentence] = list(sentences(path, tagged=False))
    return of_words([sentence.words for sentence in found], [sentence.text for sentence in found])
