"""Laws of tagged files: every way to write entities reads to the same tags, and every mistake names its line."""

import gzip
import json

import pytest

from pipelines.tag_schemes import BIOES, IOB2, Span, of_part, scheme_of, spans, written
from pipelines.tagged_files import words_of
from pipelines.tagging_questions import read_tagging_questions
from pipelines.tasks.tag import read_tagging

WORDS = ("Ada", "Byron", "saw", "Paris", "London", ".")
TAGS = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "O"]
WRITTEN = {
    "iob2": TAGS,
    "iob1": ["I-PER", "I-PER", "O", "I-LOC", "B-LOC", "O"],
    "bioes": ["B-PER", "E-PER", "O", "S-LOC", "S-LOC", "O"],
    "bilou": ["B-PER", "L-PER", "O", "U-LOC", "U-LOC", "O"],
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def columns(words, tags, between=" X "):
    return "".join(f"{word}{between}{tag}\n" for word, tag in zip(words, tags, strict=True))


@pytest.mark.parametrize("scheme", WRITTEN)
@pytest.mark.parametrize("name", ["a.txt", "a.conll", "eng.train", "none", "a.tsv.gz"])
def test_every_scheme_and_name_reads_to_the_same_tags(name, scheme, write):
    text = "-DOCSTART- -X- O\n\n" + columns(WORDS, WRITTEN[scheme]) + "\n\n" + columns(["it", "ran"], ["O", "O"])
    content = text.encode()
    examples = read_tagging(write(name, gzip.compress(content) if name.endswith(".gz") else content))
    assert (examples.words, examples.tags(0)) == ((WORDS, ("it", "ran")), TAGS)
    assert examples.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert (len(examples), examples.counts(), examples.repaired) == (2, {"LOC": 2, "PER": 1}, 0)
    again = read_tagging(write(name, content if not name.endswith(".gz") else gzip.compress(content)), scheme=BIOES)
    assert again.tags(0) == WRITTEN["bioes"]


def test_tabs_part_columns_where_words_have_spaces(write):
    examples = read_tagging(write("a.bio", "New York\tB-LOC\n\u00a0\tO\n"))
    assert (examples.words, examples.tags(0)) == ((("New York", "\u00a0"),), ["B-LOC", "O"])


def test_a_mixture_is_read_as_conlleval_does_and_counted(write):
    tags = ["B-PER", "O", "I-PER", "I-LOC", "O", "B-LOC"]
    examples = read_tagging(write("a.txt", columns(WORDS, tags)))
    assert examples.tags(0) == ["B-PER", "O", "B-PER", "B-LOC", "O", "B-LOC"]
    assert examples.repaired == 1  # of IOB1, which the others are: the last B-


def test_plain_tags_stay_what_they_are(write):
    examples = read_tagging(write("a.txt", columns(WORDS, ["PROPN", "PROPN", "VERB", "PROPN", "PROPN", "PUNCT"])))
    assert (examples.scheme, examples.labels) == ("none", ("PROPN", "PUNCT", "VERB"))
    assert examples.counts() == {"PROPN": 4, "PUNCT": 1, "VERB": 1}


def test_json_of_words_and_of_texts(write):
    text = "Ada\u0301 Byron saw \u6771\u4eac, \U0001f642 U.S."
    entities = [(21, 25, "LOC"), (1, 10, "PER"), (16, 17, "LOC")]
    entities = [dict(zip(("start", "end", "label"), entity, strict=True)) for entity in entities]
    rows = [{"words": ["Ada", "Byron"], "tags": ["B-PER", "I-PER"]}, {"text": text, "entities": entities}]
    rows = [json.dumps(row) for row in rows]
    examples = read_tagging(write("a.jsonl", "\n".join(rows)))
    assert examples.tags(0) == ["B-PER", "I-PER"]
    words = ["Ada\u0301", "Byron", "saw", "\u6771", "\u4eac", ",", "\U0001f642", "U", ".", "S", "."]
    assert list(examples.words[1]) == words
    assert [text[s : s + len(w)] for s, w in zip(examples.starts[1], words, strict=True)] == words
    assert examples.tags(1) == ["B-PER", "I-PER", "O", "O", "B-LOC", "O", "O", *["B-LOC"], *["I-LOC"] * 3]
    assert (examples.widened, examples.texts) == (1, (None, text))


BAD = {
    "one.txt": ("a O\nb\n", "one.txt:2: a line has a word and, in its last column, a tag; got 'b'"),
    "width.txt": ("a O\n\nb X O\n", "width.txt:3: .* as many columns as the first, 2; got 3"),
    "empty.txt": ("\n\n", "empty.txt holds no words"),
    "bare.txt": ("a O\nb O\n", "two or more different tags; got O from .*bare.txt"),
    "end.txt": ("a O\nb B-X\nc E-Y\n", "end.txt:3: in BIOES 'E-Y' does not follow 'B-X'. Correct"),
    "start.txt": ("a S-X\nb I-X\n", "start.txt:2: in BIOES 'I-X' does not follow 'S-X'"),
    "open.txt": ("a S-X\n\nb O\nc B-X\n", "open.txt:4: in BIOES 'B-X' does not end a sentence"),
    "odd.txt": ("a B-X\nb X\n", "odd.txt:2: tags are all O or .*'B-X' and 'X'"),
    "few.jsonl": (
        '{"words": ["a", "b"], "tags": ["O"]}',
        "few.jsonl:1: every word has one tag; got 2 words and 1 tags",
    ),
    "keys.jsonl": ('{"tokens": ["a"]}', "keys.jsonl:1: a line has 'words' and 'tags', or .* got 'tokens'"),
    "type.jsonl": ('{"words": "a b", "tags": []}', "type.jsonl:1: 'words' is a list of strings; got a b"),
    "none.jsonl": ('{"text": "a b"}', "none.jsonl:1: a text has 'entities'"),
    "far.jsonl": ('{"text": "a", "entities": [{"start": 0, "end": 2, "label": "X"}]}', "far.jsonl:1: .* text's 1"),
    "word.jsonl": ('{"text": "a  b", "entities": [{"start": 1, "end": 2, "label": "X"}]}', "word.jsonl:1: .*has none"),
    "over.jsonl": (
        '{"text": "a b c", "entities": [{"start": 0, "end": 3, "label": "X"}, {"start": 2, "end": 5, "label": "Y"}]}',
        "over.jsonl:1: entities do not overlap; X at 0-3 and Y at 2-5",
    ),
    "share.jsonl": (
        '{"text": "ab", "entities": [{"start": 0, "end": 1, "label": "X"}, {"start": 1, "end": 2, "label": "Y"}]}',
        "share.jsonl:1: no word is of two entities; Y at 1-2",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_the_file_and_its_line(name, write):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        read_tagging(write(name, content))


def test_the_tags_of_a_model_are_kept_to(write):
    labels = ("O", "B-PER", "I-PER")
    assert read_tagging(write("a.txt", "it O\nran O\n"), labels=labels).labels == labels
    with pytest.raises(ValueError, match="b.txt:2: tag 'B-LOC' is not one of the 3 known: O, B-PER, I-PER"):
        read_tagging(write("b.txt", "it O\nParis I-LOC\n"), labels=labels)
    with pytest.raises(ValueError, match="c.txt:1: a tag of this model is O or has a prefix.*got 'NOUN'"):
        read_tagging(write("c.txt", "cat NOUN\n"), labels=labels)
    assert read_tagging(write("d.txt", "Ada I-PER\n"), labels=("O", "S-PER", "B-PER", "E-PER")).tags(0) == ["S-PER"]
    with pytest.raises(ValueError, match="scheme is one of iob2, bioes; got 'iob'"):
        read_tagging(write("a.txt", "it O\n"), scheme="iob")


@pytest.mark.parametrize("scheme", [IOB2, BIOES])
def test_entities_and_their_tags_say_the_same(scheme):
    entities = [Span(0, 3, "X"), Span(3, 4, "X"), Span(5, 7, "Y-Z")]
    tags = written(entities, 8, scheme)
    assert (spans(tags, scheme), scheme_of(tags)) == (entities, scheme)


@pytest.mark.parametrize("scheme", [IOB2, BIOES])
def test_parts_of_words_spell_the_entities_of_the_words(scheme):
    words = [Span(0, 2, "X"), Span(2, 3, "X"), Span(4, 5, "Y")]
    parts, ends = [], [0]
    for tag, count in zip(written(words, 5, scheme), (1, 3, 2, 2, 4), strict=True):
        parts += [of_part(tag, part == 0, part == count - 1, scheme) for part in range(count)]
        ends.append(len(parts))
    assert spans(parts, scheme) == [Span(ends[start], ends[end], kind) for start, end, kind in words]


def test_words_are_those_of_the_tokenizer():
    text = "Hi, don't\u200b  \u6771 1,000\x00x \U0001f642"
    assert [text[a:b] for a, b in words_of(text)] == [
        *("Hi", ",", "don", "'", "t", "\u6771", "1", ",", "000\x00x", "\U0001f642"),
    ]


def test_questions_are_texts_or_words(write):
    asked = read_tagging_questions([write("a.txt", "U.S. I-LOC\nwon O\n"), write("b.txt", "O is a text\n\n")])
    assert asked.texts == ("U.S. won", "O is a text", "")
    assert (asked.words, asked.starts) == ((("U.S.", "won"), None, None), ((0, 5), None, None))
    assert read_tagging_questions(write("c.conll", "U.S.\nwon\n")).words == (("U.S.", "won"),)
    rows = read_tagging_questions(write("d.jsonl", '{"text": "a b"}\n{"words": ["a", "b"]}\n'))
    assert (rows.texts, rows.words) == (("a b", "a b"), (None, ("a", "b")))
    assert read_tagging_questions(write("e.tsv", "body\nO O\n"), text_column="body").texts == ("O O",)


@pytest.mark.parametrize(
    ("name", "sentences", "repaired", "entities"),
    [
        ("conll2003/eng.testb", 3453, 0, {"LOC": 1668, "MISC": 702, "ORG": 1661, "PER": 1617}),
        ("masakhaner2/yor/dev.txt", 983, None, None),
        ("peopledaily_ner/dev.txt", 4631, None, {"LOC": 2877, "ORG": 1331, "PER": 1984}),
    ],
)
def test_public_sets_have_their_published_sizes(name, sentences, repaired, entities, shared_data):
    examples = read_tagging(shared_data / name)
    assert len(examples) == sentences
    assert entities in (None, examples.counts())
    assert repaired in (None, examples.repaired)
