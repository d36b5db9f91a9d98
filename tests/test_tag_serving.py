"""Laws of a served tagger: it says of a text what it says of its words, and cuts entities out of the text."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf

import export
import kbert
import pipelines
from export.entities import Words, find_entities, rows
from export.tasks.tag import Tagging
from kbert.tasks.tag import Tagger
from kbert.tasks.tag_scores import answers
from pipelines.tag_schemes import spans
from pipelines.tagged_files import words_of
from pipelines.tasks.tag import TaggingExamples

WORDS = (
    "the",
    "cat",
    "dog",
    "sat",
    "film",
    "unhappy",
    "goods",
    "u.s",
    "0,1",
    "\u6771",
    "\U0001f642",
    "caf\u00e9",
    "not!",
)
LABELS = {"iob2": ("O", "B-X", "I-X", "B-Y", "I-Y"), "bioes": ("O", "B-X", "I-X", "E-X", "S-X", "S-Y", "B-Y", "E-Y")}
MAX_LENGTH = 14


@pytest.fixture(scope="module")
def make(tiny_vocabulary):
    def make(scheme="iob2", crf=False):
        config = kbert.BertConfig(
            vocab_size=28,
            hidden_size=12,
            num_hidden_layers=1,
            num_attention_heads=3,
            intermediate_size=10,
            max_position_embeddings=32,
            initializer_range=0.7,  # wide, so that all tags come up
        )
        tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
        model = Tagger(config, tokenizer=tokenizer, labels=LABELS[scheme], crf=crf, seed=3)
        if crf:
            size = len(LABELS[scheme])
            model.chain.transitions.assign(np.random.default_rng(5).normal(size=[size, size]) / 50)
        return model

    return make


def serving(model, **settings):
    return Tagging(model, pipelines.WordPiece.from_spec(model.tokenizer_spec), MAX_LENGTH, **settings)


def answered(served, texts):
    return {name: value.numpy() for name, value in served.serve(tf.constant(texts)).items()}


def texts_of(sizes, seed=0):
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) for _ in range(size)) for size in sizes]


@pytest.mark.parametrize(("scheme", "crf", "window"), [("iob2", False, None), ("bioes", True, 3)])
def test_a_text_is_tagged_as_its_words_are_scored(scheme, crf, window, make):
    """Short texts and such as need windows, alone and together."""
    model, texts = make(scheme, crf), texts_of((3, 9, 1, 40, 12))
    words = [tuple(text[a:b] for a, b in words_of(text)) for text in texts]
    examples = TaggingExamples(tuple(words), tuple((0,) * len(some) for some in words), LABELS[scheme])
    batches = pipelines.tagging(examples, model.tokenizer_spec, batch_size=2, max_length=MAX_LENGTH, window=window)
    expected = [[LABELS[scheme][tag] for tag in sentence.said] for sentence in answers(model, batches)]
    served = serving(model, window=window)
    found = answered(served, texts)
    for row, (text, some) in enumerate(zip(texts, words, strict=True)):
        count = len(some)
        assert [token.decode() for token in found["tokens"][row, :count]] == list(some)
        assert [tag.decode() for tag in found["tags"][row, :count]] == expected[row]
        places = zip(found["starts"][row], found["ends"][row], strict=True)
        assert list(places)[:count] == words_of(text)
        assert (found["scores"][row, :count] > 0).all() and (found["scores"][row, :count] <= 1.0001).all()
        for name, padding in (("tokens", b""), ("tags", b""), ("starts", -1), ("ends", -1), ("scores", -1)):
            assert (found[name][row, count:] == padding).all()
        alone = answered(served, [text])
        assert alone["tags"][0].tolist() == found["tags"][row, :count].tolist()
    assert len({tag for sentence in expected for tag in sentence}) > 2  # the law is over more than "O"


def test_entities_are_cut_out_of_the_text(make):
    texts = texts_of((0, 70, 30, 3), seed=1) + [
        "cafe\u0301 \U0001f642\U0001f642 the\u200b cat\u6771\u4eac",
        "  sat\n\ndog\t",
    ]
    found = answered(serving(make()), texts)
    total = 0
    for row, text in enumerate(texts):
        words = [place for place in range(found["starts"].shape[1]) if found["starts"][row, place] >= 0]
        expected = spans([found["tags"][row, word].decode() for word in words], "iob2")
        count = (found["entity_starts"][row] >= 0).sum()
        assert count == len(expected)
        for place, span in enumerate(expected):
            start, end = found["entity_starts"][row, place], found["entity_ends"][row, place]
            assert (start, end) == (found["starts"][row, span.start], found["ends"][row, span.end - 1])
            assert found["entities"][row, place].decode() == text[start:end]
            assert found["entity_labels"][row, place].decode() == span.type
            mean = found["scores"][row, span.start : span.end].mean()
            assert found["entity_scores"][row, place] == pytest.approx(mean, abs=1e-5)
        assert (found["entities"][row, count:] == b"").all() and (found["entity_ends"][row, count:] == -1).all()
        for word in words:
            start, end = found["starts"][row, word], found["ends"][row, word]
            assert found["tokens"][row, word].decode() == text[start:end] != ""
        total += count
    assert total > 3


def test_marks_that_the_tokenizer_drops_belong_to_their_word(make):
    found = answered(serving(make()), ["cafe\u0301\u0301 sat", "o\u0323\u0301"])
    assert [token.decode() for token in found["tokens"].reshape(-1)] == ["cafe\u0301\u0301", "sat", "o\u0323\u0301", ""]


def test_nothing_has_no_words(make):
    found = answered(serving(make()), ["", " \x00 "])
    assert all(value.shape == (2, 0) for value in found.values())


def test_what_spells_an_entity():
    labels = LABELS["bioes"]
    tags = [labels.index(tag) for tag in ("S-X", "B-X", "I-X", "E-X", "O", "S-Y", "B-Y", "E-Y")]
    text = tf.constant([0, 0, 0, 0, 2, 2, 2, 2])
    starts = tf.range(8) * 3
    scores = tf.constant([0.5, 0.2, 0.4, 0.9, 1.0, 0.1, 0.3, 0.5])
    found = find_entities(Words(text, starts, starts + 2), tf.constant(tags), scores, labels)
    assert [label.decode() for label in found.label.numpy()] == ["X", "X", "Y", "Y"]
    assert found.spans.text.numpy().tolist() == [0, 0, 2, 2]
    assert list(zip(found.spans.start.numpy(), found.spans.end.numpy(), strict=True)) == [
        (0, 2),
        (3, 11),
        (15, 17),
        (18, 23),
    ]
    np.testing.assert_allclose(found.score, [0.5, 0.5, 0.1, 0.4], atol=1e-6)
    assert rows(found.label, found.spans.text, tf.constant(3)).numpy().tolist() == [
        [b"X", b"X"],
        [b"", b""],
        [b"Y", b"Y"],
    ]


def test_ids_are_tagged_at_the_first_token_of_each_word(make):
    served, texts = serving(make()), texts_of((3, 5), seed=2)
    ids = served.tokenize(tf.constant(texts))
    found = {name: value.numpy() for name, value in served.from_ids(*ids.values()).items()}
    whole = answered(served, texts)
    for row in range(2):
        tags = [tag for tag in found["tags"][row].tolist() if tag]
        assert tags == [tag for tag in whole["tags"][row].tolist() if tag]
    assert (found["tags"][:, 0] == b"").all() and (found["scores"][found["tags"] == b""] == -1).all()


def test_an_exported_tagger_answers_as_the_trained_one(make, tmp_path):
    """Parity is checked by the export itself; here, that the folder says the same on its own, in long texts too."""
    model, texts = make(crf=True), texts_of((4, 33, 0), seed=4)
    folder = export.saved_model(model, tmp_path / "out", max_length=MAX_LENGTH)
    expected = answered(serving(model), texts)
    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures["serving_default"](text=tf.constant(texts))
    for name, right in expected.items():
        if right.dtype.kind == "f":
            np.testing.assert_allclose(found[name], right, atol=1e-5)
        else:
            assert (found[name].numpy() == right).all()
    assert (folder / "assets" / "labels.txt").read_text().split() == list(LABELS["iob2"])
    assert json.loads((folder / "assets" / "task.json").read_text())["task"] == "tag"


def test_sizes_that_leave_no_room_are_refused(make):
    with pytest.raises(ValueError, match="window 1 or more tokens; got 14 and 0"):
        serving(make(), window=0)
