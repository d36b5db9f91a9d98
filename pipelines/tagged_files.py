"""Tagged files -> sentences as they are written: CoNLL columns, JSONL of words and tags, JSONL of texts and entities.

Columns are parted by white space, or by tabs where a line has one; the first is the word, the last its tag, a blank
line ends a sentence, and lines that begin with -DOCSTART- are left out (Tjong Kim Sang and De Meulder 2003).
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import files
from pipelines.normalize import ALONE, SPACE, Rules, rewrite
from pipelines.tag_schemes import IOB2, Span, written

DOCUMENT = "-DOCSTART-"
RULES = Rules(lowercase=False, strip_accents=False, split_cjk=True)


class Sentence(NamedTuple):
    """Words and their tags, as a file has them.

    path, number: the file and the line of the first word; a line a word in CoNLL columns (`step` 1), else one (0).
    tags: None where the file has words only. starts: first characters of the words in `text`; both None for words
    without a text. widened: entities that cut through a word and now hold all of it.
    """

    path: Path
    number: int
    step: int
    words: list[str]
    tags: list[str] | None
    text: str | None = None
    starts: list[int] | None = None
    widened: int = 0

    def place(self, word: int = 0) -> str:
        """ "file:line" of a word."""
        return f"{self.path}:{self.number + word * self.step}"


def is_json(path: Path) -> bool:
    """Whether a file is JSONL; any other is read as columns."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in files.COMPRESSIONS]
    return suffixes[-1:] == [".jsonl"]


def sentences(path: Path, tagged: bool = True) -> Iterator[Sentence]:
    """The sentences of a file, without and with tags; `tagged`: a word without a tag is an error.

    Raises:
        ValueError: words and tags that do not match, overlapping entities, and what `files.rows` raises; all with file
            and line.
    """
    if is_json(path):
        for number, row in files.rows(path):
            yield _of_row(path, number, row, tagged)
    else:
        yield from _of_columns(path, tagged)


def _of_columns(path: Path, tagged: bool) -> Iterator[Sentence]:
    start, rows, width = 1, [], None
    for number, line in files.lines(path):
        if line.isspace() or not line or line.startswith(DOCUMENT):
            if rows:
                yield _columns_to_sentence(path, start, rows)
            rows = []
            continue
        fields = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        if tagged and len(fields) < 2:
            raise ValueError(f"{path}:{number}: a line has a word and, in its last column, a tag; got {line!r}.")
        if len(fields) != (width or len(fields)):
            raise ValueError(
                f"{path}:{number}: every word has as many columns as the first, {width}; got {len(fields)} in "
                f"{line!r}. Part the columns by tabs where words have spaces in them."
            )
        width, start = len(fields), start if rows else number
        rows.append(fields)
    if rows:
        yield _columns_to_sentence(path, start, rows)
    elif width is None:
        raise ValueError(f"{path} holds no words. Give a file with a word and its tag on each line.")


def _columns_to_sentence(path: Path, number: int, rows: list[list[str]]) -> Sentence:
    tags = [row[-1].strip() for row in rows] if len(rows[0]) > 1 else None
    return Sentence(path, number, 1, [row[0] for row in rows], tags)


def _of_row(path: Path, number: int, row: dict[str, Any], tagged: bool) -> Sentence:
    place = f"{path}:{number}"
    if "words" in row:
        words = _strings(row["words"], "words", place)
        tags = _strings(row["tags"], "tags", place) if tagged or "tags" in row else None
        if tags is not None and len(words) != len(tags):
            raise ValueError(f"{place}: every word has one tag; got {len(words)} words and {len(tags)} tags.")
        return Sentence(path, number, 0, words, tags)
    if not isinstance(row.get("text"), str):
        there = ", ".join(map(repr, row))
        raise ValueError(f"{place}: a line has 'words' and 'tags', or a 'text' and its 'entities'; got {there}.")
    if tagged and "entities" not in row:
        raise ValueError(f"{place}: a text has 'entities', an empty list where there are none; got none of it.")
    return _of_text(path, number, row["text"], row.get("entities"))


def _strings(values: Any, name: str, place: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{place}: {name!r} is a list of strings; got {str(values)[:80]}.")
    return values


def _of_text(path: Path, number: int, text: str, entities: Any) -> Sentence:
    """A text and entities by characters -> words and IOB2 tags; an entity that cuts through a word gets all of it."""
    place, found = f"{path}:{number}", words_of(text)
    starts, words = [start for start, _ in found], [text[start:end] for start, end in found]
    if entities is None:
        return Sentence(path, number, 0, words, None, text, starts)
    covered, widened, before = [], 0, None
    for first, last, label in sorted(_entities(entities, text, place)):
        if before is not None and first < before[1]:
            raise ValueError(
                f"{place}: entities do not overlap; {before[2]} at {before[0]}-{before[1]} and {label} at "
                f"{first}-{last} do. Keep one of them."
            )
        before = first, last, label
        inside = [word for word, (start, end) in enumerate(found) if start < last and end > first]
        if not inside:
            raise ValueError(f"{place}: an entity holds a word; {label} at {first}-{last} has none. Leave it out.")
        if covered and inside[0] < covered[-1].end:
            raise ValueError(f"{place}: no word is of two entities; {label} at {first}-{last} shares one. Keep one.")
        widened += found[inside[0]][0] < first or found[inside[-1]][1] > last
        covered.append(Span(inside[0], inside[-1] + 1, label))
    return Sentence(path, number, 0, words, written(covered, len(words), IOB2), text, starts, widened)


def _entities(entities: Any, text: str, place: str) -> Iterator[tuple[int, int, str]]:
    for entity in entities if isinstance(entities, list) else [entities]:
        first, last, label = (
            entity.get(key) if isinstance(entity, dict) else None for key in ("start", "end", "label")
        )
        whole = type(first) is int and type(last) is int and isinstance(label, str) and label.strip()
        if not whole or not 0 <= first < last <= len(text):
            raise ValueError(
                f"{place}: an entity has a 'start' before its 'end', in characters of the text's {len(text)}, and a "
                f"'label'; got {str(entity)[:80]}."
            )
        yield first, last, label


def words_of(text: str) -> list[tuple[int, int]]:
    """Starts and ends of BERT's words, in characters: runs between white space, punctuation and ideographs alone.

    >>> words_of("U.S. \u6771\u4eac")
    [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (6, 7)]
    """
    found, open_word = [], False
    for place, character in enumerate(text):
        kind = _kind(character)
        if kind == "removed" and not open_word:
            continue
        if kind == "word" and open_word:
            found[-1] = found[-1][0], place + 1
        elif kind in ("word", "alone"):
            found.append((place, place + 1))
        if kind != "removed":
            open_word = kind == "word"
    return found


@functools.lru_cache(maxsize=1 << 14)
def _kind(character: str) -> str:
    units = rewrite(character, RULES)
    if not units:
        return "removed"
    return "space" if units[0] == SPACE else "alone" if units[0] & ALONE else "word"
