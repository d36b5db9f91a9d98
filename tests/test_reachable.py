"""A TFLite file that takes text has the rows of all tokens that texts become, and reads [UNK] for the others."""

import gzip
import json

import numpy as np
import pytest
import tensorflow as tf
from saved_model_cases import ODD_TEXTS

from export.tflite.reachable import FEW, KeptRows, reachable
from export.tflite.rows import DeviceTokenizer, ExactTokenizer
from pipelines import WordPiece

UNUSED = [f"[unused{number}]" for number in range(2 * FEW)]
TOKENS = [
    "[PAD]",
    *UNUSED,
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "!",
    "a",
    "un",
    "##a",
    "##!",
    "don't",
    "É",
    "中",
    "##中",
]


def tokenizers(wordpiece):
    return DeviceTokenizer(wordpiece), ExactTokenizer(wordpiece)


@pytest.mark.parametrize("lowercase, capital", [(True, False), (False, True)])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_brackets_inner_signs_and_what_is_normalized_away_are_no_texts(lowercase, capital):
    wordpiece = WordPiece(TOKENS, lowercase)
    found = reachable(wordpiece, tokenizers(wordpiece))
    never = {*UNUSED, "##!", "don't", "##中", *(() if capital else ("É",))}
    assert {token for token, is_found in zip(TOKENS, found, strict=True) if not is_found} == never


def test_every_token_of_real_texts_is_found(shared_data):
    wordpiece = WordPiece(shared_data / "bert_assets" / "bert-base-uncased" / "vocab.txt", lowercase=True)
    roads = tokenizers(wordpiece)
    found = reachable(wordpiece, roads)
    with gzip.open(shared_data / "tokenizer_golden" / "golden.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    texts += [text for text in ODD_TEXTS if isinstance(text, str)]
    for tokenizer in roads:
        assert found[tokenizer.split(tf.constant(texts)).ids.numpy()].all()
    assert 1300 < (~found).sum() < 1400  # 994 are unused, the others pieces of ideographs and signs


def test_rows_are_those_of_the_kept_tokens_in_their_order():
    found = np.random.default_rng(3).random(97) < 0.9
    found[11 : 11 + FEW] = found[40:60] = found[90:] = False  # the last run is short
    found[5] = True
    rows = KeptRows(found, unknown=5)
    kept = np.flatnonzero(rows.kept)
    assert rows.kept[found].all() and len(kept) == 97 - 20 - FEW - (not found[10]) - (not found[19])
    said = rows(tf.range(97)).numpy()
    np.testing.assert_array_equal(said[kept], np.arange(len(kept)))
    assert (said[~rows.kept] == said[5]).all()
