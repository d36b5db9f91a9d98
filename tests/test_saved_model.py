"""The exported SavedModel: it answers as its model, strings in, and needs nothing of this project.

B texts, T tokens, C classes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import export
from export import parity
from kbert.config import BertConfig
from kbert.models import Classifier
from pipelines import WordPiece, pack

IDS = ("input_word_ids", "input_mask", "input_type_ids")
LABELS = ("negative", "positive", "n\u00e4chste")  # one of them not ASCII
C, MAX_LENGTH = len(LABELS), 11
ODD_TEXTS = (
    "the cat sat on the film .",
    "",
    "   \t\n ",
    "\U0001f642\U0001f469\u200d\U0001f4bb good",
    "ctrl \x01\x07\x1b characters \u200b\ufeff",
    "nul \x00 inside",
    b"invalid \xff\xfe utf-8 \xc3",
    "very " * 40 + "bad",
    "\u6211\u4eec\u5728\u5317\u4eac\u5403\u996d\u3002",
    "Na\u00efve CAF\u00c9 \u0130stanbul \ufdfa",
    "[CLS] [SEP] [MASK]",
    "!" * 300,
)
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


def classifier(vocabulary, dtype="float32", tokenizer=True):
    config = BertConfig(
        vocab_size=28,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=16,
        initializer_range=0.4,  # wide, so that texts get different answers
    )
    settings = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return Classifier(config, tokenizer=settings if tokenizer else None, labels=LABELS, seed=1, dtype=dtype)


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


def ask(loaded, *columns, signature="serving_default"):
    names = ("text",) if len(columns) == 1 else ("text_a", "text_b")
    tensors = {name: tf.constant(list(texts), tf.string) for name, texts in zip(names, columns, strict=True)}
    return {name: value.numpy() for name, value in loaded.signatures[signature](**tensors).items()}


def expected(model, *columns):
    """The model's own answers, through the pipeline that trains it."""
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    packed = pack([wordpiece.tokenize(list(texts)) for texts in columns], wordpiece, MAX_LENGTH)
    return tf.nn.softmax(model(packed)).numpy()


def assert_answers(answers, scores):
    np.testing.assert_allclose(answers["scores"], scores, atol=1e-5)
    labels = np.array([label.encode() for label in LABELS], object)
    np.testing.assert_array_equal(answers["classes"], np.tile(labels, [len(scores), 1]))
    np.testing.assert_array_equal(answers["label"], labels[answers["scores"].argmax(-1)])


# Answers


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


# The folder


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


def test_labels_and_vocabulary_lie_under_assets(folder, tiny_vocabulary):
    assert (folder / "assets" / "labels.txt").read_text(encoding="utf-8").splitlines() == list(LABELS)
    assert (folder / "assets" / "vocab.txt").read_bytes() == tiny_vocabulary.read_bytes()
    assert sorted(path.name for path in (folder / "assets").iterdir()) == ["labels.txt", "vocab.txt"]


@pytest.mark.parametrize("kind", ["folder", "pair_folder"])
def test_each_warmup_request_is_answered(kind, request):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = request.getfixturevalue(kind)
    module = tf.saved_model.load(str(path))
    records = list(tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests")))
    assert len(records) > 1
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        signature = module.signatures[log.model_spec.signature_name]
        answers = signature(**{name: tf.constant(tf.make_ndarray(x)) for name, x in log.inputs.items()})
        assert np.isfinite(answers["scores"]).all()


def test_it_is_as_readable_as_any_folder_beside_it(folder, tmp_path):
    """A server runs as another user."""
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain.txt").touch()
    modes = {path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "plain.txt").stat().st_mode}


def test_weights_are_not_kept_twice(folder, model):
    size = sum(4 * int(np.prod(weight.shape)) for weight in model.weights)
    variables = sum(path.stat().st_size for path in (folder / "variables").iterdir())
    assert variables < size


def test_a_moved_folder_answers(model, folder, tmp_path):
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "model"))
    (moved / "note.txt").write_text("beside", encoding="utf-8")
    assert_answers(ask(tf.saved_model.load(str(moved)), ODD_TEXTS), expected(model, ODD_TEXTS))


# What is refused


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_folder_with_files_is_refused_and_left_alone(model, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"new or empty folder; .*mine holds files.*overwrite=True"):
        export.saved_model(model, tmp_path / "mine")
    assert contents(tmp_path) == before


def test_a_file_is_refused_and_left_alone(model, tmp_path):
    (tmp_path / "mine").write_text("years of work", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="new or empty folder; .* is a file"):
            export.saved_model(model, tmp_path / "mine", overwrite=overwrite)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "years of work"


def test_an_empty_folder_is_filled_and_an_export_replaced_on_request(model, tmp_path):
    (tmp_path / "out").mkdir()
    export.saved_model(model, tmp_path / "out", max_length=MAX_LENGTH)
    (tmp_path / "out" / "stale.txt").write_text("old", encoding="utf-8")
    export.saved_model(model, tmp_path / "out", max_length=MAX_LENGTH, overwrite=True)
    assert not (tmp_path / "out" / "stale.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert_answers(ask(tf.saved_model.load(str(tmp_path / "out")), ODD_TEXTS), expected(model, ODD_TEXTS))


def test_an_export_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*_):
        raise parity.ParityError("another answer")

    monkeypatch.setattr(sys.modules["export.saved_model"], "check_parity", fail)
    with pytest.raises(parity.ParityError):
        export.saved_model(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_keeps_what_it_would_have_replaced(model, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "before.txt").write_text("good", encoding="utf-8")
    monkeypatch.setattr(sys.modules["export.saved_model"], "check_parity", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.saved_model(model, tmp_path / "out", overwrite=True)
    assert contents(tmp_path) == {Path("out/before.txt"): b"good"}


def test_weights_that_are_not_finite_are_not_exported(tiny_vocabulary, tmp_path):
    model = classifier(tiny_vocabulary)
    model.classifier.bias.assign([np.nan] * C)
    with pytest.raises(parity.ParityError, match="finite"):
        export.saved_model(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_parity_sees_another_models_answers(model, folder, tiny_vocabulary):
    from export.serving import TextClassification

    other = classifier(tiny_vocabulary)
    other.classifier.bias.assign([0.0, 0.01, 0.0])
    serving = TextClassification(model, WordPiece.from_spec(model.tokenizer_spec), MAX_LENGTH)
    assert parity.check_parity(folder, model, serving) <= parity.TOLERANCE
    with pytest.raises(parity.ParityError):
        parity.check_parity(folder, other, serving)


@pytest.mark.parametrize("length", [17, 0, -3, 2])
def test_max_length_fits_the_model(model, length, tmp_path):
    with pytest.raises(ValueError, match=rf"max_length .*got {length}"):
        export.saved_model(model, tmp_path / "out", max_length=length)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_tokenizer_is_refused(tiny_vocabulary, tmp_path):
    with pytest.raises(ValueError, match="Give tokenizer="):
        export.saved_model(classifier(tiny_vocabulary, tokenizer=False), tmp_path / "out")


def test_a_model_in_half_precision_is_exported_in_float32(tiny_vocabulary, model, tmp_path):
    half = classifier(tiny_vocabulary, dtype="mixed_bfloat16")  # equal seeds: the weights of `model`
    out = export.saved_model(half, tmp_path / "out", max_length=MAX_LENGTH)
    assert_answers(ask(tf.saved_model.load(str(out)), ODD_TEXTS), expected(model, ODD_TEXTS))
    assert half.compute_dtype == "bfloat16"


# Other processes

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
