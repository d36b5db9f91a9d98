"""The pair of SavedModels with TensorFlow Hub's API for text: called, packed, fine-tuned, as the page of it says.

B texts, T tokens, D width, L blocks.
"""

import importlib.util
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from exported_models import D, L, P, make
from saved_model_cases import ODD_TEXTS

import export
from export import parity
from pipelines import WordPiece, pack_to_length

IDS = ("input_word_ids", "input_mask", "input_type_ids")
T = 11
TEXTS = ("the cat sat on the film .", "unhappy !", "", "very " * 30)
OTHERS = ("a dog ran", "not bad , it was very good , very very good .", "the", "it was " * 20)


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return make("classify", tiny_vocabulary)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export.hub(model, tmp_path_factory.mktemp("hub") / "pair", seq_length=T)


@pytest.fixture(scope="module")
def preprocess(folder):
    return tf.saved_model.load(str(folder / "preprocess"))


@pytest.fixture(scope="module")
def encoder(folder):
    return tf.saved_model.load(str(folder / "encoder"))


def right(model, texts, length=T):
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    return pack_to_length([wordpiece.tokenize(list(column)) for column in texts], wordpiece, length)


def assert_ids(found, expected):
    assert set(found) == set(IDS)
    for name in IDS:
        assert found[name].dtype == tf.int32
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_strings_become_the_ids_of_training(model, preprocess):
    assert_ids(preprocess(tf.constant(ODD_TEXTS)), right(model, [ODD_TEXTS]))
    assert preprocess(tf.constant(TEXTS))["input_word_ids"].shape == (4, T)


@pytest.mark.parametrize("length", [5, T, 40])
def test_segments_are_packed_to_any_length(model, preprocess, length):
    first, second = (preprocess.tokenize(tf.constant(texts)) for texts in (TEXTS, OTHERS))
    packed = preprocess.bert_pack_inputs([first, second], seq_length=length)
    assert_ids(packed, right(model, [TEXTS, OTHERS], length))
    assert_ids(preprocess.bert_pack_inputs([first], seq_length=tf.constant(length)), right(model, [TEXTS], length))


def test_without_a_length_rows_have_that_of_the_export(model, preprocess):
    first, second = (preprocess.tokenize(tf.constant(texts)) for texts in (TEXTS, OTHERS))
    assert_ids(preprocess.bert_pack_inputs([first, second]), right(model, [TEXTS, OTHERS]))


def test_tokens_grouped_by_words_are_packed_as_if_they_were_not(model, preprocess):
    """Others' tokenizers have words between a text and its tokens."""
    flat = preprocess.tokenize(tf.constant(TEXTS))
    words = tf.RaggedTensor.from_row_lengths(flat.values, tf.ones_like(flat.values, tf.int64))
    grouped = tf.RaggedTensor.from_row_splits(words, flat.row_splits)
    assert grouped.ragged_rank == 2
    assert_ids(preprocess.bert_pack_inputs([grouped, grouped]), right(model, [TEXTS, TEXTS]))


def test_tokens_say_which_bytes_they_are(preprocess):
    texts = ["Unhappy c\u00e4ts\u2026", "", "\u6211 the", b"the \xff cat"]
    ids, starts, ends = preprocess.tokenize_with_offsets(tf.constant(texts))
    np.testing.assert_array_equal(ids.values, preprocess.tokenize(tf.constant(texts)).values)
    assert starts.dtype == ends.dtype == tf.int64
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    rows = zip(raw, starts.to_list(), ends.to_list(), strict=True)
    spelled = [[text[start:end].decode() for start, end in zip(*places, strict=True)] for text, *places in rows]
    assert spelled == [["Un", "happy", "c\u00e4t", "s", "\u2026"], [], ["\u6211", "the"], ["the", "cat"]]


def test_the_special_tokens_are_told(preprocess):
    told = {name: int(value) for name, value in preprocess.tokenize.get_special_tokens_dict().items()}
    assert told == {
        "padding_id": 0,
        "start_of_sequence_id": 2,
        "end_of_segment_id": 3,
        "mask_id": 4,
        "vocab_size": 28,
    }


def test_vectors_are_the_models(model, preprocess, encoder):
    inputs = preprocess(tf.constant(TEXTS))
    outputs, expected = encoder(inputs, training=False), model.encoder(right(model, [TEXTS]))
    assert set(outputs) == {"sequence_output", "pooled_output", "encoder_outputs", "default"}
    assert outputs["sequence_output"].shape == (4, T, D) and len(outputs["encoder_outputs"]) == L
    for name in ("sequence_output", "pooled_output"):
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5)
    for found, layer in zip(outputs["encoder_outputs"], expected["encoder_outputs"], strict=True):
        np.testing.assert_allclose(found, layer, atol=1e-5)
    np.testing.assert_array_equal(outputs["default"], outputs["pooled_output"])
    np.testing.assert_array_equal(encoder(inputs)["default"], outputs["default"])  # no training unasked


def test_an_embedders_default_is_its_vector(tiny_vocabulary, tmp_path):
    model = make("embed", tiny_vocabulary, pooling="mean", normalize=True)
    out = export.hub(model, tmp_path / "pair")
    inputs = tf.saved_model.load(str(out / "preprocess"))(tf.constant(TEXTS))
    assert inputs["input_mask"].shape == (4, P)  # 128 are more than it has
    loaded = tf.saved_model.load(str(out / "encoder"))
    np.testing.assert_allclose(loaded(inputs)["default"], model(right(model, [TEXTS], P)), atol=1e-5)


def test_dropout_is_drawn_anew_in_training_alone(preprocess, encoder):
    inputs = preprocess(tf.constant(TEXTS))
    plain, first, second = (encoder(inputs, training=way)["default"] for way in (False, True, True))
    assert np.abs(plain - first).max() > 1e-2
    assert np.abs(first - second).max() > 1e-2
    np.testing.assert_array_equal(encoder(inputs, training=False)["default"], plain)


def test_all_weights_learn_and_are_named(model, encoder):
    weights = model.encoder.named_weights()
    assert len(encoder.trainable_variables) == len(weights)
    assert {id(value) for value in encoder.trainable_variables} < {id(value) for value in encoder.variables}
    assert all(value.trainable for value in encoder.trainable_variables)
    assert list(encoder.regularization_losses) == []
    assert encoder.vocab_file.asset_path.numpy().endswith(b"vocab.txt") and bool(encoder.do_lower_case)


def fine_tune(folder, steps=25):
    """A head learns on the loaded pair, and the pair with it: losses, and how far each weight went."""
    preprocess, encoder = (tf.saved_model.load(str(folder / name)) for name in ("preprocess", "encoder"))
    texts = tf.constant(["the cat sat", "a dog ran", "the film was bad", "it was very good", "a cat", "the dog !"])
    labels = tf.constant([0, 1, 0, 1, 0, 1])
    head = tf.Variable(tf.random.stateless_normal([D, 2], [1, 2], stddev=0.1))
    variables = [*encoder.trainable_variables, head]
    before = [variable.numpy() for variable in variables]
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            logits = encoder(preprocess(texts), training=True)["pooled_output"] @ head
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.01 * tf.sign(tf.convert_to_tensor(gradient)))
        losses.append(float(loss))
    return losses, [float(np.abs(v.numpy() - old).max()) for v, old in zip(variables, before, strict=True)]


def test_a_head_and_the_loaded_pair_learn_together(folder):
    losses, moved = fine_tune(folder)
    assert np.mean(losses[-3:]) < 0.5 * losses[0]
    assert min(moved) > 0


STRANGER = """
import sys
sys.modules["kbert"] = sys.modules["pipelines"] = sys.modules["export"] = None
import numpy as np
import tensorflow as tf
import tensorflow_text
preprocess, encoder = (tf.saved_model.load(f"{sys.argv[1]}/{name}") for name in ("preprocess", "encoder"))
inputs = preprocess(tf.constant(["the cat sat", "unhappy"]))
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(encoder(inputs, training=False)["sequence_output"][:, 1] ** 2)
gradients = tape.gradient(loss, encoder.trainable_variables)
np.savez(sys.argv[2], *[np.zeros(1) if g is None else tf.convert_to_tensor(g).numpy() for g in gradients])
"""


def test_gradients_are_the_models_where_this_project_cannot_be_imported(model, folder, tmp_path):
    command = [sys.executable, "-P", "-c", STRANGER, str(folder), str(tmp_path / "gradients.npz")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    found = np.load(tmp_path / "gradients.npz")
    weights = [weight.value for weight in model.encoder.weights]
    with tf.GradientTape() as tape:
        outputs = model.encoder(right(model, [["the cat sat", "unhappy"]]))
        loss = tf.reduce_sum(outputs["sequence_output"][:, 1] ** 2)
    for place, (weight, gradient) in enumerate(zip(weights, tape.gradient(loss, weights), strict=True)):
        expected = tf.zeros_like(weight) if gradient is None else tf.convert_to_tensor(gradient)
        np.testing.assert_allclose(found[f"arr_{place}"], expected, rtol=1e-3, atol=1e-4)


def test_tensorflow_hub_loads_it(folder, monkeypatch):
    version = pytest.importorskip("packaging.version")
    if importlib.util.find_spec("pkg_resources") is None:  # which it asks for one function, and setuptools 81 dropped
        monkeypatch.setitem(sys.modules, "pkg_resources", types.SimpleNamespace(parse_version=version.parse))
    hub = pytest.importorskip("tensorflow_hub")
    layer = hub.KerasLayer(str(folder / "encoder"), trainable=True)
    inputs = hub.load(str(folder / "preprocess"))(tf.constant(TEXTS))
    assert layer(inputs)["default"].shape == (4, D)
    assert len(layer.trainable_weights) == len(layer.resolved_object.trainable_variables)


def test_what_is_wrong_is_told_and_leaves_nothing(model, tiny_vocabulary, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=rf"seq_length is at most {P}.*got 17"):
        export.hub(model, tmp_path / "out", seq_length=17)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="holds files"):
        export.hub(model, tmp_path / "mine")

    def other(*_):
        raise parity.ParityError("another vector")

    monkeypatch.setattr(sys.modules["export.hub"], "check_pair", other)
    with pytest.raises(parity.ParityError):
        export.hub(model, tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_weights_that_are_not_finite_are_not_exported(tiny_vocabulary, tmp_path):
    model = make("classify", tiny_vocabulary)
    model.named_weights()["pooler/bias"].assign([np.nan] * D)
    with pytest.raises(parity.ParityError, match="pooled_output"):
        export.hub(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
