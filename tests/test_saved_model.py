"""The exported SavedModel answers as its model, strings in, and needs nothing of this project.

B texts, T tokens, C classes.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from saved_model_cases import MAX_LENGTH, ODD_TEXTS, C, ask, assert_answers, classifier, expected

import export
from pipelines import WordPiece, pack

IDS = ("input_word_ids", "input_mask", "input_type_ids")
SIGNATURES = {
    "serving_default": ({"text": ([None], "string")}, "answers"),
    "tokenize": ({"text": ([None], "string")}, "ids"),
    "from_ids": ({name: ([None, None], "int32") for name in IDS}, "answers"),
}
OUTPUTS = {
    "answers": {
        "classes": ([None, C], "string"),
        "scores": ([None, C], "float32"),
        "label": ([None], "string"),
    },
    "ids": {name: ([None, None], "int32") for name in IDS},
}


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return classifier(tiny_vocabulary)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export.saved_model(model, tmp_path_factory.mktemp("export") / "single", max_length=MAX_LENGTH)


@pytest.fixture(scope="module")
def pair_folder(model, tmp_path_factory):
    return export.saved_model(model, tmp_path_factory.mktemp("export") / "pair", max_length=MAX_LENGTH, pair=True)


@pytest.fixture(scope="module")
def loaded(folder):
    return tf.saved_model.load(str(folder))


@pytest.fixture(scope="module")
def loaded_pair(pair_folder):
    return tf.saved_model.load(str(pair_folder))


def test_exported_answers_are_the_models(model, loaded):
    answers = ask(loaded, ODD_TEXTS)
    assert_answers(answers, expected(model, ODD_TEXTS))
    np.testing.assert_allclose(answers["scores"].sum(-1), 1.0, atol=1e-6)
    assert answers["scores"].std(0).max() > 1e-2  # so that the laws here can fail


def test_exported_answers_of_pairs_are_the_models(model, loaded_pair):
    others = ODD_TEXTS[5:] + ODD_TEXTS[:5]
    assert_answers(ask(loaded_pair, ODD_TEXTS, others), expected(model, ODD_TEXTS, others))
    swapped = np.abs(ask(loaded_pair, others, ODD_TEXTS)["scores"] - expected(model, ODD_TEXTS, others))
    assert swapped.max() > 1e-3


def test_exported_answers_are_those_of_predict(model, loaded):
    model.compile()
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    texts = [text.encode() if isinstance(text, str) else text for text in ODD_TEXTS]
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(5)
    logits = model.predict(batches.map(lambda x: pack([wordpiece.tokenize(x)], wordpiece, MAX_LENGTH)), verbose=0)
    assert_answers(ask(loaded, ODD_TEXTS), tf.nn.softmax(logits).numpy())


def test_no_texts_have_no_answers(loaded, loaded_pair):
    for answers in (ask(loaded, []), ask(loaded_pair, [], [])):
        assert [answers[name].shape for name in ("classes", "scores", "label")] == [(0, C), (0, C), (0,)]


def test_batch_neighbours_and_order_never_matter(loaded):
    together = ask(loaded, ODD_TEXTS)["scores"]
    for row, text in enumerate(ODD_TEXTS):
        np.testing.assert_allclose(ask(loaded, [text])["scores"][0], together[row], atol=1e-5)
    np.testing.assert_allclose(ask(loaded, ODD_TEXTS[::-1])["scores"][::-1], together, atol=1e-5)


def test_from_ids_of_tokenize_is_serving_default(loaded, loaded_pair):
    for module, columns in ((loaded, [ODD_TEXTS]), (loaded_pair, [ODD_TEXTS, ODD_TEXTS[::-1]])):
        ids = ask(module, *columns, signature="tokenize")
        answers = module.signatures["from_ids"](**{name: tf.constant(ids[name]) for name in IDS})
        direct = ask(module, *columns)
        for name in direct:
            np.testing.assert_array_equal(answers[name], direct[name])


def test_nothing_is_padded_longer_than_the_longest_text(model, loaded):
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    for texts in (["", "cat"], ["a cat sat", "unhappy cats !"], ODD_TEXTS):
        longest = min(max(len(ids) for ids in wordpiece.tokenize(list(texts)).to_list()) + 2, MAX_LENGTH)
        ids = ask(loaded, texts, signature="tokenize")
        assert {ids[name].shape for name in IDS} == {(len(texts), longest)}
        assert ids["input_mask"].sum(-1).max() == longest


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signatures_have_the_names_types_and_shapes_of_the_contract(loaded, signature):
    inputs, outputs = SIGNATURES[signature]
    function = loaded.signatures[signature]
    assert described(function.structured_input_signature[1]) == inputs
    assert described(function.structured_outputs) == OUTPUTS[outputs]
    assert set(loaded.signatures) == set(SIGNATURES)


def described(tensors):
    return {
        name: ([size if size is None or size > 0 else None for size in spec.shape.as_list()], spec.dtype.name)
        for name, spec in tensors.items()
    }


def test_pairs_are_given_as_text_a_and_text_b(loaded_pair):
    for signature in ("serving_default", "tokenize"):
        inputs = described(loaded_pair.signatures[signature].structured_input_signature[1])
        assert inputs == {"text_a": ([None], "string"), "text_b": ([None], "string")}


def test_a_model_in_half_precision_is_exported_in_float32(tiny_vocabulary, model, tmp_path):
    half = classifier(tiny_vocabulary, dtype="mixed_bfloat16")  # equal seeds: the weights of `model`
    out = export.saved_model(half, tmp_path / "out", max_length=MAX_LENGTH)
    assert_answers(ask(tf.saved_model.load(str(out)), ODD_TEXTS), expected(model, ODD_TEXTS))
    assert half.compute_dtype == "bfloat16"


STRANGER = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    names = ("kbert", "pipelines", "export", "keras_hub", "keras_nlp", "official")

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ImportError(f"{name} may not be imported here")

sys.meta_path.insert(0, Blocker())
import numpy as np
import tensorflow as tf
import tensorflow_text
model = tf.saved_model.load(sys.argv[1])
texts = list(np.load(sys.argv[2], allow_pickle=False).tolist())
answers = model.signatures["serving_default"](text=tf.constant(texts))
np.save(sys.argv[3], answers["scores"].numpy())
print([label.decode() for label in answers["label"].numpy()])
"""


def test_it_answers_where_this_project_cannot_be_imported(model, folder, tmp_path):
    texts = [text.encode() if isinstance(text, str) else text for text in ODD_TEXTS]
    np.save(tmp_path / "texts.npy", np.array(texts))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", STRANGER, folder, tmp_path / "texts.npy", tmp_path / "scores.npy"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected(model, texts), atol=1e-5)


def test_saved_model_cli_shows_it(folder):
    command = "import tensorflow_text\nfrom tensorflow.python.tools.saved_model_cli import main\nmain()"
    run = subprocess.run(
        [sys.executable, "-c", command, "show", "--dir", str(folder), "--all"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert all(f"signature_def['{name}']" in run.stdout for name in SIGNATURES)


def test_a_model_trained_padded_is_served_unpadded(model):
    from export.tasks.classify import TextClassification
    from kbert.layout import Padded
    from pipelines import WordPiece

    before = model.use_layout(Padded)
    try:
        serving = TextClassification(model, WordPiece.from_spec(model.tokenizer_spec), 16)
        assert model.encoder.layout is Padded
    finally:
        model.use_layout(before)
    graph = serving.signatures()["from_ids"].graph.as_graph_def()
    assert any(node.op == "Where" for function in graph.library.function for node in function.node_def)
