"""Tagging: files of tagged words, or of texts with their entities -> examples in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines import files
from pipelines.tag_schemes import (
    BIOES,
    IOB2,
    NONE,
    IllegalTags,
    irregular,
    labels_of,
    scheme_of,
    spans,
    split,
    written,
)
from pipelines.tagged_files import Sentence, sentences
from pipelines.tasks.texts import Paths, listed, named_files

SCHEMES = (IOB2, BIOES)


@dataclass(frozen=True)
class TaggingExamples:
    """N sentences: word i of sentence n is `words[n][i]`, and `labels[tag_ids[n][i]]` is its tag.

    texts: what the words were found in, with `starts`, their first characters; None for files of words.
    scheme: of the labels, "iob2", "bioes" or "none".
    repaired: tags that break the rules of IOB1 or IOB2, whichever their file follows more; read as conlleval does.
    widened: entities that cut through a word and were given all of it.
    """

    words: tuple[tuple[str, ...], ...]
    tag_ids: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    scheme: str = IOB2
    texts: tuple[str | None, ...] = ()
    starts: tuple[tuple[int, ...] | None, ...] = ()
    repaired: int = 0
    widened: int = 0
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.words)

    def tags(self, sentence: int) -> list[str]:
        """The tags of a sentence's words."""
        return [self.labels[index] for index in self.tag_ids[sentence]]

    def counts(self) -> dict[str, int]:
        """How many entities each type has; of plain tags, how many words."""
        number = dict.fromkeys(sorted({split(label)[1] for label in self.labels if label != "O"}), 0)
        for sentence in range(len(self)):
            tags = self.tags(sentence)
            found = tags if self.scheme == NONE else [span.type for span in spans(tags, self.scheme)]
            for kind in found:
                if kind in number:
                    number[kind] += 1
        return number


def read_tagging(paths: Paths, *, labels: Sequence[str] | None = None, scheme: str = IOB2) -> TaggingExamples:
    """Reads files of tagged sentences.

    Args:
        paths: a file, a glob, or several of either; also .gz and .xz. `.jsonl`: {"words": [...], "tags": [...]}, or
            {"text": "...", "entities": [{"start", "end", "label"}]} in characters of the text. Files of any other name
            hold CoNLL columns: a word first and its tag last on each line, a blank line after a sentence.
        labels: the tags in the order of their ids, as a trained model has them; they tell the scheme. None makes them
            of the types in the files.
        scheme: "iob2" or "bioes", which the tags are turned into. The files may have IOB1, IOB2, BIOES or BILOU, found
            out by their tags; plain tags (parts of speech) stay what they are.

    Raises:
        ValueError: words and tags that do not match, tags that their scheme forbids, a type that is not among `labels`,
            overlapping entities; and what `files.rows` raises. All name the file, and the line where there is one.
        FileNotFoundError: no such file.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme is one of {', '.join(SCHEMES)}; got {scheme!r}.")
    labels = None if labels is None else tuple(map(str, labels))
    scheme = scheme if labels is None else scheme_of(labels)
    found, repaired = [], 0
    for path in files.find(paths):
        turned, mended = _turned(list(sentences(path)), scheme, labels is not None)
        found += turned
        repaired += mended
    plain = {tag for sentence in found for tag in sentence.tags}
    scheme = scheme_of(plain) if labels is None and scheme_of(plain) == NONE else scheme
    known = labels_of((split(tag)[1] for tag in plain if tag != "O"), scheme) if labels is None else labels
    if len(known) < 2 or len(set(known)) < len(known):
        raise ValueError(
            f"tagging needs two or more different tags; got {', '.join(known) or 'none'} from {named_files(paths)}."
        )
    return TaggingExamples(
        words=tuple(tuple(sentence.words) for sentence in found),
        tag_ids=tuple(_ids(found, known)),
        labels=known,
        scheme=scheme,
        texts=tuple(sentence.text for sentence in found),
        starts=tuple(None if sentence.starts is None else tuple(sentence.starts) for sentence in found),
        repaired=repaired,
        widened=sum(sentence.widened for sentence in found),
    )


def _turned(read: list[Sentence], scheme: str, fixed: bool) -> tuple[list[Sentence], int]:
    """The sentences of a file with tags of this scheme, and how many broke the rules of the one that they follow."""
    first: dict[str, str] = {}
    for sentence in read:
        for word, tag in enumerate(sentence.tags):
            if tag not in first:
                first[tag] = sentence.place(word)
    try:
        given = scheme_of(first)
    except ValueError as error:
        odd = next(place for tag, place in first.items() if not split(tag)[0])
        raise ValueError(f"{odd}: {error} Correct the tag.") from None
    if given == NONE and fixed and scheme != NONE:
        tag = next(tag for tag in first if not split(tag)[0])
        raise ValueError(f"{first[tag]}: a tag of this model is O or has a prefix such as B- or I-; got {tag!r}.")
    if NONE in (given, scheme):
        return read, 0
    turned = []
    for sentence in read:
        try:
            entities = spans(sentence.tags, given)
        except IllegalTags as error:
            raise ValueError(
                f"{sentence.place(error.word)}: {error}. Correct the tags, or write them in IOB2."
            ) from None
        turned.append(sentence._replace(tags=written(entities, len(sentence.words), scheme)))
    counts = [irregular(sentence.tags) for sentence in read] if given == IOB2 else []
    not_iob2, not_iob1 = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return turned, min(not_iob2, not_iob1)


def _ids(found: list[Sentence], labels: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    index = {label: place for place, label in enumerate(labels)}
    for sentence in found:
        for word, tag in enumerate(sentence.tags):
            if tag not in index:
                raise ValueError(
                    f"{sentence.place(word)}: tag {tag!r} is not one of the {len(labels)} known: {listed(labels)}. "
                    "Tags come from the training file or the model: correct it, or train on a file that has it."
                )
        yield tuple(index[tag] for tag in sentence.tags)
