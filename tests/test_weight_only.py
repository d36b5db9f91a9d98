"""A SavedModel whose matrices lie in eight bits: small, and its answers are those of the rounded weights.

R rows, C columns of a matrix.
"""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from exported_models import make
from saved_model_cases import ODD_TEXTS, ask, expected

import export
from export import tracing
from export.weight_only import axis_of, fingerprint, quantized, rounded
from kbert.config import BertConfig
from kbert.tasks.classify import Classifier


@pytest.fixture(scope="module")
def large(tiny_vocabulary):
    """A classifier most of whose weights are in matrices."""
    config = BertConfig(
        vocab_size=28,
        hidden_size=192,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=400,
        max_position_embeddings=100,
        initializer_range=0.05,
    )
    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return Classifier(config, tokenizer=tokenizer, labels=("a", "b", "c"), seed=3)


@pytest.fixture(scope="module")
def folders(large, tmp_path_factory):
    root = tmp_path_factory.mktemp("int8")
    return {name: export.saved_model(large, root / name, precision=name) for name in ("float32", "int8")}


def test_rounding_is_by_half_a_step_at_most():
    random = np.random.default_rng(0)
    array = random.normal(size=(7, 5)).astype("float32") * random.uniform(0.1, 9, [7, 1]).astype("float32")
    array[3] = 0
    for axis in (0, 1):
        numbers, scales = quantized(array, axis)
        assert numbers.dtype == np.int8 and scales.shape == ((1, 5) if axis == 0 else (7, 1))
        assert (np.abs(numbers * scales - array) <= scales / 2 + 1e-7).all()
        assert np.abs(numbers).max(axis=axis).max() == 127
    np.testing.assert_array_equal(quantized(array, 1)[0][3], 0)


def test_tables_have_a_scale_each_row_and_kernels_each_column():
    assert axis_of("embeddings/token") == 1 and axis_of("layer_0/widen/kernel") == 0


def test_the_file_has_a_quarter_of_the_size(folders):
    sizes = {
        name: sum(path.stat().st_size for path in (folder / "variables").iterdir()) for name, folder in folders.items()
    }
    assert sizes["int8"] < 0.27 * sizes["float32"]


def test_answers_are_close_to_the_models_and_equal_to_those_of_the_rounded_weights(large, folders):
    full, small = (ask(tf.saved_model.load(str(folder)), ODD_TEXTS)["scores"] for folder in folders.values())
    far = np.abs(full - small).max()
    assert 1e-5 < far < 0.02 and full.std() > far
    copy = rounded(large)
    assert copy is not large and fingerprint(copy) != fingerprint(large)
    long = expected(copy, ["the cat sat"])
    np.testing.assert_allclose(
        ask(tf.saved_model.load(str(folders["int8"])), ["the cat sat"])["scores"], long, atol=1e-5
    )


def test_other_models_and_other_copies_in_a_process_keep_their_weights(large, folders, tmp_path):
    other = rounded(large)
    other.named_weights()["layer_1/widen/kernel"].assign_add(0.3 * np.ones([192, 400], "float32"))
    second = export.saved_model(other, tmp_path / "second", precision="int8")
    copy = shutil.copytree(folders["int8"], tmp_path / "copy")
    paths = (folders["int8"], second, copy)
    first, different, again = (tf.saved_model.load(str(path)) for path in paths)
    before = ask(first, ODD_TEXTS)["scores"]
    assert np.abs(ask(different, ODD_TEXTS)["scores"] - before).max() > 1e-4
    del first
    np.testing.assert_array_equal(ask(again, ODD_TEXTS)["scores"], before)


def test_a_session_reads_it_as_tensorflow_serving_does(folders):
    """The server runs the graph of a signature after the initializer, without any of the Python around."""
    right = ask(tf.saved_model.load(str(folders["int8"])), ODD_TEXTS)["scores"]
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folders["int8"]))
        signature = meta.signature_def["serving_default"]
        texts = [text.encode() if isinstance(text, str) else text for text in ODD_TEXTS]
        feed = {signature.inputs["text"].name: texts}
        for _ in range(2):
            scores = session.run(signature.outputs["scores"].name, feed)
    np.testing.assert_allclose(scores, right, atol=1e-6)


@pytest.mark.parametrize("name", ["tag", "choice", "embed", "masks"])
def test_other_tasks_are_exported_so(tiny_vocabulary, name, tmp_path, monkeypatch):
    monkeypatch.setattr(tracing, "SMALL", 100)
    model = make(name, tiny_vocabulary)
    out = export.saved_model(model, tmp_path / "out", precision="int8")
    assert json.loads((out / "assets" / "task.json").read_text())["task"] == model.task
    dtypes = {
        dtype
        for _, dtype in tf.train.load_checkpoint(str(out / "variables" / "variables"))
        .get_variable_to_dtype_map()
        .items()
    }
    assert tf.int8 in dtypes


def test_another_precision_and_broken_weights_are_refused(large, tmp_path):
    with pytest.raises(ValueError, match="float32 or int8; got 'float16'"):
        export.saved_model(large, tmp_path / "out", precision="float16")
    broken = rounded(large)
    broken.named_weights()["pooler/kernel"].assign(np.full([192, 192], np.inf))
    with pytest.raises(ValueError, match="pooler/kernel has others"):
        export.saved_model(broken, tmp_path / "out", precision="int8")
    assert list(tmp_path.iterdir()) == []
