"""The folder of an exported SavedModel: what lies in it, what is refused, and what a failure leaves."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from saved_model_cases import LABELS, MAX_LENGTH, ODD_TEXTS, C, ask, assert_answers, classifier, expected

import export
from export import parity
from pipelines import WordPiece


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return classifier(tiny_vocabulary)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export.saved_model(model, tmp_path_factory.mktemp("export") / "single", max_length=MAX_LENGTH)


@pytest.fixture(scope="module")
def pair_folder(model, tmp_path_factory):
    return export.saved_model(model, tmp_path_factory.mktemp("export") / "pair", max_length=MAX_LENGTH, pair=True)


def test_labels_and_vocabulary_lie_under_assets(folder, tiny_vocabulary):
    assert (folder / "assets" / "labels.txt").read_text(encoding="utf-8").splitlines() == list(LABELS)
    assert (folder / "assets" / "vocab.txt").read_bytes() == tiny_vocabulary.read_bytes()
    assert sorted(path.name for path in (folder / "assets").iterdir()) == ["labels.txt", "task.json", "vocab.txt"]


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
    from export.tasks.classify import TextClassification

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
