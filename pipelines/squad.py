"""Files of questions and contexts -> questions as they stand there, one after another.

JSON has the form of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018), in which XQuAD, MLQA and CMRC 2018 are given too.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import files
from pipelines.tasks.texts import Paths, read_texts, text_of

FORMATS = (".json", *files.FORMATS)
KINDS = {str: "a text", list: "a list", dict: "an object"}


class Asked(NamedTuple):
    """A question of a file.

    place: file and question, for errors. id: its name, None where it has none. answers: (text, the character of the
    context where it starts, None where that is not told) each, none for a question that cannot be answered; None where
    the file has no answers.
    """

    place: str
    id: str | None
    question: str
    context: str
    answers: tuple[tuple[str, int | None], ...] | None


def asked_in(paths: Paths) -> Iterator[Asked]:
    """Questions of files: .json as `squad_questions`; .jsonl, .tsv and .csv with the columns `question`, `context` and
    where they are there `answers` and `id`; also .gz and .xz.
    """
    for path in files.find(paths):
        yield from squad_questions(path) if files.format_of(path, FORMATS) == ".json" else _rows(path)


def asked_in_lines(stream: io.IOBase) -> Iterator[Asked]:
    """Questions of a stream, a line each, a tab between question and context."""
    for number, line in enumerate(read_texts(stream).texts, start=1):
        question, tab, context = line.partition("\t")
        if not tab:
            raise ValueError(f"Line {number}: a tab stands between a question and its context; got {line!r:.80}.")
        yield Asked(f"Line {number}", None, question, context, None)


def _rows(path: Path) -> Iterator[Asked]:
    for number, row in files.rows(path):
        place = f"{path}:{number}"
        question, context = (text_of(row, column, path, number) for column in ("question", "context"))
        yield Asked(place, None if row.get("id") is None else str(row["id"]), question, context, answers(row, place))


def squad_questions(path: Path) -> Iterator[Asked]:
    """Questions of a .json file, also .gz and .xz.

    Raises:
        ValueError: not JSON, or not of this form; names the file and what is missing where.
    """
    with files.opened(path) as file:
        data = file.read()
    try:
        said = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: a .json file of questions is one JSON object in UTF-8; {error}.") from error
    for article, name in _items(_object(said, str(path)), "data", str(path), ": "):
        for paragraph, where in _items(article, "paragraphs", name):
            context = _value(paragraph, "context", str, where)
            for asked, place in _items(paragraph, "qas", where):
                number = asked.get("id")
                place = place if number is None else f"{path}: question {number}"
                question = _value(asked, "question", str, place)
                yield Asked(place, None if number is None else str(number), question, context, answers(asked, place))


def find_answer(context: str, text: str, start: int | None) -> tuple[int, int] | None:
    """Characters of the context where an answer starts and ends, white space around it left off; None if nowhere.

    >>> find_answer("a cat, a dog, a cat", "cat", 15), find_answer("a cat", " cat ", 0), find_answer("a cat", "cow", 0)
    ((16, 19), (2, 5), None)
    """
    text, told = text.strip(), (start or 0) + len(text) - len(text.lstrip())
    if not text:
        return None
    if told >= 0 and context.startswith(text, told):
        return told, told + len(text)
    before, after = context.rfind(text, 0, max(told + len(text) - 1, 0)), context.find(text, max(told, 0))
    places = [place for place in (before, after) if place >= 0]
    best = min(places, key=lambda place: abs(place - told), default=None)
    return None if best is None else (best, best + len(text))


def answers(row: Mapping[str, Any], place: str) -> tuple[tuple[str, int | None], ...] | None:
    """The answers of a question, from its keys `answers` and `is_impossible`.

    `answers` is a list of texts, of objects with `text` and `answer_start`, an object with lists of both, or one text.

    >>> answers({"answers": [{"text": "a cat", "answer_start": 4}]}, "here")
    (('a cat', 4),)
    >>> answers({"answers": {"text": ["a cat"], "answer_start": [4]}}, "here"), answers({"answers": "a cat"}, "here")
    ((('a cat', 4),), (('a cat', None),))
    >>> answers({"is_impossible": True}, "here"), answers({}, "here")
    ((), None)

    Raises:
        ValueError: they have another form.
    """
    if row.get("is_impossible") is True:
        return ()
    given = row.get("answers")
    if given is None:
        return None
    if isinstance(given, str):
        given = [given] if given else []
    if isinstance(given, Mapping):
        texts, starts = given.get("text"), given.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise ValueError(f"{place}: 'answers' has as many 'text' as 'answer_start'; got {given!r}.")
        given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(given, list):
        raise ValueError(
            f"{place}: 'answers' must be a list; got {given!r}. Write [] for a question without an answer."
        )
    return tuple(_answer(item, place) for item in given)


def _answer(item: Any, place: str) -> tuple[str, int | None]:
    if isinstance(item, str):
        return item, None
    start = _object(item, f"{place}: an answer").get("answer_start")
    if start is not None and (not isinstance(start, int) or isinstance(start, bool)):
        raise ValueError(f"{place}: 'answer_start' must be a number of characters; got {start!r}.")
    return _value(item, "text", str, f"{place}: an answer"), start


def _items(holder: Mapping[str, Any], key: str, where: str, joint: str = ".") -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a list, each with where it stands."""
    for number, item in enumerate(_value(holder, key, list, where)):
        name = f"{where}{joint}{key}[{number}]"
        yield _object(item, name), name


def _object(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"{where}: must be an object; got {type(item).__name__}. The form is that of SQuAD.")
    return item


def _value(holder: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    if key not in holder:
        there = ", ".join(map(repr, holder)) or "none"
        raise ValueError(f"{where}: no key {key!r}; there are {there}. The form is that of SQuAD.")
    if not isinstance(holder[key], kind):
        raise ValueError(f"{where}: {key!r} must be {KINDS[kind]}; got {holder[key]!r:.80}.")
    return holder[key]
