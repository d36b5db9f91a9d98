"""Laws of a tagger's batches: where in its row a word stands, which tag it has, and that every word is there once."""

import numpy as np
import pytest

import pipelines
from pipelines.tasks.tag import TaggingExamples

VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("un", "##happy", "##s", "cat", "u", "s", ".", "-", "ran", "\u6771", "\u4eac"),
)
LABELS = ("O", "B-X", "I-X", "B-Y", "I-Y")
SPEC = {"vocabulary": VOCABULARY, "lowercase": True, "vocab_size": 16, "max_positions": 24, "labels": LABELS}
CLS, SEP = 2, 3


def examples(*sentences):
    words, tags = zip(*sentences, strict=True)
    ids = tuple(tuple(LABELS.index(tag) for tag in some) for some in tags)
    return TaggingExamples(tuple(map(tuple, words)), ids, LABELS)


SOME = examples(
    (["Unhappys", "U.S.", "\u200b", "cats"], ["B-X", "B-Y", "O", "I-Y"]),
    (["\x07", "ran"], ["B-X", "O"]),
    (["\x07"], ["B-Y"]),
    (["cat", "\u6771\u4eac", "-"], ["O", "B-X", "I-X"]),
)


def batches(given, **arguments):
    rows = list(pipelines.tagging(given, SPEC, **{"batch_size": 3, "max_length": 20, **arguments}))
    return [({name: value.numpy() for name, value in inputs.items()}, *map(np.asarray, rest)) for inputs, *rest in rows]


def test_the_first_piece_of_a_word_carries_its_tag():
    (inputs, tags, weights), last = batches(SOME)
    assert inputs["input_word_ids"][0].tolist() == [CLS, 5, 6, 7, 9, 11, 10, 11, 8, 7, SEP]
    assert inputs["word_positions"].tolist() == [[1, 4, -1, 8], [-1, 1, 0, 0], [-1, 0, 0, 0]]
    assert tags.tolist() == [[1, 3, 0, 4], [1, 0, 0, 0], [3, 0, 0, 0]]
    assert weights.tolist() == [[1, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert inputs["text_numbers"].tolist() == [0, 1, 2]
    assert (last[0]["word_positions"].tolist(), last[1].tolist()) == ([[1, 2, 4]], [[0, 1, 2]])


def test_the_parts_of_a_word_go_on_with_its_tag():
    (inputs, tags, weights), last = batches(SOME, parts=True)
    assert inputs["word_positions"].tolist() == [[1, 4, 5, 6, 7, 8], [1, 0, 0, 0, 0, 0], [0] * 6]
    assert tags.tolist()[0] == [1, 3, 4, 4, 4, 4]
    assert (last[0]["word_positions"].tolist(), last[1].tolist()) == ([[1, 2, 3, 4]], [[0, 1, 2, 2]])
    trained = sum(weights.sum() for *_, weights in batches(SOME, seed=5))
    assert trained == weights.sum() + 4  # parts are what training asks for


def test_a_text_without_words_gives_the_parts_that_are_trained():
    """What is served: the tokens of the raw text, at punctuation too."""
    text = "Unhappys U.S. \u6771\u4eac cat-cat"
    ids = pipelines.WordPiece(VOCABULARY).tokenize([text]).to_list()[0]
    begins = [place + 1 for place, token in enumerate(ids) if not VOCABULARY[token].startswith("##")]
    ((inputs, *_),) = batches(examples((text.split(), ["O"] * 4)), parts=True)
    assert inputs["word_positions"].tolist() == [begins]
    assert inputs["input_word_ids"].tolist() == [[CLS, *ids, SEP]]


@pytest.mark.parametrize("window", [None, 1, 2, 3, 50])
def test_every_word_of_a_long_sentence_is_tagged_once_and_in_order(window):
    random = np.random.default_rng(7)
    sentences = []
    for size in (17, 1, 6, 30):
        words = random.choice(["cat", "unhappys", "u.s.", "\x07", "ran"], size)
        sentences.append((words.tolist(), random.choice(LABELS, size).tolist()))
    given = examples(*sentences)
    found = {}
    for inputs, tags, weights in batches(given, max_length=9, window=window, batch_size=4):
        assert inputs["input_word_ids"].shape[1] <= 9
        for row, number in enumerate(inputs["text_numbers"]):
            positions = inputs["word_positions"][row]
            found.setdefault(int(number), []).extend(tags[row][positions != 0].tolist())
            assert (weights[row] == (positions > 0)).all()
            shown = inputs["input_word_ids"][row][positions[positions > 0]]
            assert not {CLS, SEP, 0} & set(shown.tolist())
    assert found == dict(enumerate(map(list, given.tag_ids)))


def test_an_epoch_is_a_function_of_the_seed_and_its_number():
    def flat(**arguments):
        return [
            tuple(inputs["text_numbers"].tolist()) for inputs, *_ in batches(SOME, batch_size=1, seed=3, **arguments)
        ]

    two = flat(epochs=range(2))
    assert (flat(epochs=range(1)), flat(epochs=range(1, 2))) == (two[:4], two[4:])
    assert sorted(two[:4]) == [(0,), (1,), (2,), (3,)]
    assert any(flat(epochs=range(e, e + 1)) != two[:4] for e in range(1, 6))


def test_what_does_not_fit_the_model_is_refused():
    with pytest.raises(ValueError, match="max_length is at most 24 for this model; got 25"):
        batches(SOME, max_length=25)
    with pytest.raises(ValueError, match="max_length must be over 2"):
        batches(SOME, max_length=2)
    with pytest.raises(ValueError, match="the examples' tags must be the model's, in its order: O, B-Z; got O, B-X"):
        batches(SOME, labels=["O", "B-Z"])
    with pytest.raises(ValueError, match="stride is a number of tokens, 1 at least; got 0"):
        batches(SOME, window=0)
