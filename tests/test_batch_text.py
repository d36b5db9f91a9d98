"""Batches as text: every token is readable, and the text says what was changed."""

import inspect
import json
import re
from typing import get_args, get_type_hints

import numpy as np
import pytest

from kbert.cli.errors import WrongUse
from kbert.cli.show_batch import show_batch
from pipelines.batch_text import batch_text
from pipelines.masking import UNITS
from pipelines.pretraining_data import OBJECTIVES, PretrainingData
from pipelines.wordpiece import WordPiece

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", "dog", "ran", ".", "un", "##happy")
PAD, UNK, CLS, SEP, MASK, CAT, S, DOG, RAN, POINT, UN, HAPPY = range(len(VOCABULARY))


@pytest.fixture(scope="module")
def wordpiece():
    return WordPiece(VOCABULARY)


def make_batch(ids, types, predicted, place=(1, 2, 3), **others):
    """A batch of one row; `predicted` are (place, id) pairs, and there is a slot that is not used."""
    ids, types = np.array([ids], np.int32), np.array([types], np.int32)
    inputs = {"input_word_ids": ids, "input_type_ids": types, "input_mask": (ids != PAD).astype(np.int32)}
    inputs["masked_lm_positions"] = np.array([[place for place, _ in predicted] + [0]], np.int32)
    inputs["place"] = np.array([place], np.int64)
    labels = {"masked_lm_ids": np.array([[number for _, number in predicted] + [0]], np.int32)}
    weights = {"masked_lm_weights": np.array([[1.0] * len(predicted) + [0.0]], np.float32)}
    for name, values in others.items():
        (labels if name == "next_sentence_labels" else inputs)[name] = np.array([values], np.int32)
    return inputs, labels, weights


def test_a_row_says_what_was_there_and_what_is_there_now(wordpiece):
    ids = [CLS, CAT, MASK, RAN, POINT, UN, MASK, SEP, PAD]
    batch = make_batch(ids, [0] * 9, [(1, DOG), (2, S), (3, RAN), (6, HAPPY)])
    assert batch_text(*batch, wordpiece) == [
        "epoch 1, window 2, row 3: 8 tokens of 9, 4 predicted",
        "  [cat→dog][MASK→##s] [=ran] . un[MASK→##happy]",
        "",
    ]


def test_pieces_behind_a_predicted_one_are_joined_to_it(wordpiece):
    batch = make_batch([CLS, MASK, HAPPY, SEP, S, HAPPY, SEP], [0] * 4 + [1] * 3, [(1, UN)], next_sentence_labels=0)
    assert batch_text(*batch, wordpiece)[1:3] == ["  A  [MASK→un]happy", "  B  shappy"]


@pytest.mark.parametrize(
    "objective, label, said",
    [
        ("next_sentence", 0, "B follows A"),
        ("next_sentence", 1, "B is from elsewhere"),
        ("sentence_order", 0, "in order"),
        ("sentence_order", 1, "swapped"),
    ],
)
def test_labels_are_words(wordpiece, objective, label, said):
    batch = make_batch([CLS, CAT, SEP, DOG, SEP], [0, 0, 0, 1, 1], [], next_sentence_labels=label)
    lines = batch_text(*batch, wordpiece, objective=objective)
    assert lines == [f"epoch 1, window 2, row 3: 5 tokens of 5, 0 predicted; {said}", "  A  cat", "  B  dog", ""]


def test_examples_that_share_a_row_are_numbered(wordpiece):
    ids = [CLS, CAT, SEP, DOG, SEP, CLS, MASK, SEP, UNK, S, SEP, PAD, PAD]
    types = [0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]
    shared = {"input_example_ids": [1] * 5 + [2] * 6 + [0] * 2, "first_positions": [0, 5, 0]}
    batch = make_batch(ids, types, [(6, RAN)], next_sentence_labels=[1, 0, 0], **shared)
    assert batch_text(*batch, wordpiece) == [
        "epoch 1, window 2, row 3: 11 tokens of 13, 1 predicted, 2 examples",
        " example 1; B is from elsewhere",
        "  A  cat",
        "  B  dog",
        " example 2; B follows A",
        "  A  [MASK→ran]",
        "  B  [UNK]s",
        "",
    ]
    del batch[1]["next_sentence_labels"]
    assert batch_text(*batch, wordpiece)[1] == " example 1"


def test_as_many_rows_as_asked_for(wordpiece):
    inputs, labels, weights = make_batch([CLS, CAT, SEP], [0, 0, 0], [])
    batch = [
        {name: np.repeat(values, 4, axis=0) for name, values in part.items()} for part in (inputs, labels, weights)
    ]
    assert [batch_text(*batch, wordpiece, rows=rows).count("  cat") for rows in (None, 3, 9)] == [4, 3, 4]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text("The cat sat.\nIt was good.\n\nThe dog ran.\nIt was bad.\n\n" * 50)
    return str(tmp_path / "text.txt")


def test_the_command_shows_rows_as_text(text, tiny_vocabulary, capsys):
    show_batch(tiny_vocabulary, [text], lowercase=True, rows=3, max_length=16)
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [block.splitlines()[0][:24] for block in blocks] == [f"epoch 0, window 0, row {row}" for row in range(3)]
    for block in blocks:
        assert [line[:5] for line in block.splitlines()[1:]] == ["  A  ", "  B  "]
        words = re.sub(r"\[(?:\S*→|=)(\S+?)\]", r"\1", " ".join(line[5:] for line in block.splitlines()[1:])).split()
        assert set(words) <= {"the", "cat", "sat", "it", "was", "good", "dog", "ran", "bad", "."}


def test_the_command_prints_json(text, tiny_vocabulary, capsys):
    show_batch(tiny_vocabulary, [text], lowercase=True, rows=2, max_length=16, objective="none", as_json=True)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 2 and all(row.startswith("epoch 0") and row.count("\n") == 1 for row in rows)


def test_the_command_reads_text_or_records(text, tiny_vocabulary):
    for input, records in (([], []), ([text], ["x"])):
        with pytest.raises(WrongUse, match="--input or --records"):
            show_batch(tiny_vocabulary, input, records)


@pytest.mark.parametrize("option, allowed", [("objective", OBJECTIVES), ("masking", UNITS)])
def test_options_offer_what_the_pipeline_has(option, allowed):
    offered = get_type_hints(show_batch)[option]  # Literal[...], without what Annotated says
    assert get_args(offered) == tuple(allowed)
    assert inspect.signature(show_batch).parameters[option].default == getattr(PretrainingData(), option)
