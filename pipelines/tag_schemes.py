"""Tag schemes: how the tags of words spell entities - IOB1, IOB2, BIOES and its kin - and from one to another.

IOB1 writes B- only where an entity follows another of its type; IOB2 at every entity's start (Ramshaw and Marcus 1995;
Tjong Kim Sang and Veenstra 1999). BIOES also tells ends and entities of one word (Ratinov and Roth 2009 call it BILOU).
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

IOB2, BIOES, NONE = "iob2", "bioes", "none"
OUTSIDE = "O"
TAG = re.compile(r"([BIESLUM])-(.+)", re.DOTALL)
PLAIN = {"L": "E", "U": "S", "M": "I"}  # BILOU's last and unit, BMES's middle
CLOSES = frozenset("ES")


class IllegalTags(ValueError):
    """A sequence that its scheme does not allow; `word` is the place of the tag that breaks the rule."""

    def __init__(self, message: str, word: int):
        super().__init__(message)
        self.word = word


class Span(NamedTuple):
    """Words start to end - 1 are an entity of a type."""

    start: int
    end: int
    type: str


def split(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag: of B, I, E, S and "O", which has no type; another tag has no prefix.

    >>> split("U-LOC"), split("O"), split("NOUN")
    (('S', 'LOC'), ('O', ''), ('', 'NOUN'))
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    found = TAG.fullmatch(tag)
    return (PLAIN.get(found[1], found[1]), found[2]) if found else ("", tag)


def scheme_of(tags: Iterable[str]) -> str:
    """What different tags are written in: "iob2" (IOB1 has the same tags), "bioes", or "none" for plain tags.

    Raises:
        ValueError: some are B-, I-, ... and some are not; names one of each.
    """
    parted = {tag: split(tag)[0] for tag in tags}
    plain = sorted(tag for tag, prefix in parted.items() if not prefix)
    prefixed = sorted(tag for tag, prefix in parted.items() if prefix not in ("", OUTSIDE))
    if plain and prefixed:
        raise ValueError(
            "tags are all O or B-, I-, E-, S- and a type, or are all plain words; "
            f"got {prefixed[0]!r} and {plain[0]!r}."
        )
    if plain:
        return NONE
    return BIOES if CLOSES & set(parted.values()) else IOB2


def labels_of(types: Iterable[str], scheme: str) -> tuple[str, ...]:
    """All tags that a scheme has for types, "O" first; for plain tags the types themselves.

    >>> labels_of(["PER", "LOC"], IOB2)
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    if scheme == NONE:
        return tuple(sorted(set(types)))
    prefixes = "BI" if scheme == IOB2 else "BIES"
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in prefixes))


def spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """The entities of a sentence.

    IOB is read as conlleval does: B- starts an entity, and so does I- after "O" or after another type, so that IOB1,
    IOB2 and a mixture of both are all understood.

    Raises:
        IllegalTags: BIOES tags that no entities spell.
    """
    if scheme == BIOES:
        return _strict(tags)
    found, start, kind = [], None, ""
    for place, tag in enumerate((*tags, OUTSIDE)):
        prefix, here = split(tag)
        if start is not None and (prefix != "I" or here != kind):
            found.append(Span(start, place, kind))
            start = None
        if start is None and prefix != OUTSIDE:
            start, kind = place, here
    return found


def _strict(tags: Sequence[str]) -> list[Span]:
    found, start, kind = [], None, ""
    for place, tag in enumerate(tags):
        prefix, here = split(tag)
        if (prefix in "IE") != (start is not None) or (start is not None and here != kind):
            before = tags[place - 1] if place else "the start"
            raise IllegalTags(f"in BIOES {tag!r} does not follow {before!r}", place)
        if prefix in "BS":
            start, kind = place, here
        if prefix in "ES":
            found.append(Span(start, place + 1, kind))
            start = None
    if start is not None:
        raise IllegalTags(f"in BIOES {tags[-1]!r} does not end a sentence", len(tags) - 1)
    return found


def written(entities: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of a sentence of so many words.

    >>> written([Span(0, 2, "PER"), Span(3, 4, "LOC")], 5, BIOES)
    ['B-PER', 'E-PER', 'O', 'S-LOC', 'O']
    """
    tags = [OUTSIDE] * length
    for start, end, kind in entities:
        tags[start:end] = [f"{part(place == start, place == end - 1, scheme)}-{kind}" for place in range(start, end)]
    return tags


def part(is_first: bool, is_last: bool, scheme: str) -> str:
    """The prefix of a word of an entity."""
    if scheme == IOB2:
        return "B" if is_first else "I"
    return ("S" if is_last else "B") if is_first else ("E" if is_last else "I")


def of_part(tag: str, is_first: bool, is_last: bool, scheme: str) -> str:
    """The tag of a part of a word that has this tag, where the word is seen as several.

    >>> of_part("B-LOC", False, True, IOB2), of_part("S-LOC", False, True, BIOES), of_part("O", True, False, IOB2)
    ('I-LOC', 'E-LOC', 'O')
    """
    prefix, kind = split(tag)
    if scheme == NONE or prefix == OUTSIDE:
        return tag
    return f"{part(is_first and prefix in 'BS', is_last and prefix in 'ES', scheme)}-{kind}"


def irregular(tags: Sequence[str]) -> tuple[int, int]:
    """Tags that are not IOB2 (I- that starts an entity), and tags that are not IOB1 (B- where I- would do).

    B- at a sentence's start is no fault: eng.train of CoNLL-2003 has it where the sentence before ends with an entity.
    """
    not_iob2 = not_iob1 = 0
    before = (OUTSIDE, "")
    for place, tag in enumerate(tags):
        prefix, kind = split(tag)
        follows = before[0] != OUTSIDE and before[1] == kind
        not_iob2 += prefix == "I" and not follows
        not_iob1 += prefix == "B" and not follows and place > 0
        before = prefix, kind
    return not_iob2, not_iob1
