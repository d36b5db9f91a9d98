"""Laws of every format that a RUN can leave in: whole or not at all, replaced only on request, float32."""

import json
import resource
import shutil
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from exported_models import P, make

import export
from kbert.cli import main
from kbert.saving import save_model

EXPORTED = {  # a format of kbert export, and a file by which what was written is known
    "saved_model": "saved_model.pb",
    "hub": "encoder/saved_model.pb",
    "huggingface": "model.safetensors",
    "tflite": "",
}
COMMANDS = {
    **{name: ("export", "--format", name, "--out") for name in EXPORTED},
    **{name: ("convert", "--without-heads", "--to", name) for name in ("google", "keras_hub")},
}


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return make("classify", tiny_vocabulary, hidden_act="gelu_tanh")  # KerasHub has no other


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """A finished RUN of a classifier, as kbert finetune leaves it."""
    folder = save_model(tmp_path_factory.mktemp("runs") / "tone", model)
    columns = {"text_columns": ["sentence"], "label_column": None}
    said = {"task": "classify", "labels": list(model.labels), "max_length": P, **columns, "options": {}}
    (folder / "task.json").write_text(json.dumps(said))
    return folder


def written(format, run, out, *options):
    command, *words = COMMANDS[format]
    return main([command, str(run), *options, *words, str(out)])


@pytest.mark.parametrize("room", [10, 3000], ids="of {} bytes".format)  # for none of the files, and for all but weights
@pytest.mark.parametrize("format", COMMANDS)
def test_a_full_disk_is_told_in_a_line_and_nothing_is_left(run, tmp_path, format, room, capsys, monkeypatch):
    if format == "keras_hub":
        pytest.importorskip("keras_hub")
    (scratch := tmp_path / "scratch").mkdir()
    (disk := tmp_path / "disk").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))  # the system refuses the rest
    try:
        code = written(format, run, disk / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = capsys.readouterr().err.splitlines()
    place = scratch if format == "tflite" else disk / "out"  # TFLite's converter reads from there
    assert code == 1 and line.startswith(f"kbert: File too large: {place}")
    assert not any(disk.iterdir()) and not any(path.is_dir() for path in scratch.iterdir())  # a file is autograph's


def test_a_disk_that_is_full_once_a_file_is_made_is_told_too(model, tmp_path, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*out\.tflite'"):
        export.tflite(model, tmp_path / "out.tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", EXPORTED)
def test_what_is_there_is_replaced_on_request(run, tmp_path, format):
    (disk := tmp_path / "disk").mkdir()
    out = disk / "out"
    old = out if format == "tflite" else out / "thesis.txt"
    old.parent.mkdir(exist_ok=True)
    old.write_text("years")
    assert written(format, run, out) == 1 and old.read_text() == "years"
    assert written(format, run, out, "--overwrite") == 0
    assert (out / EXPORTED[format]).stat().st_size > 1000
    assert old == out or not old.exists()
    assert [path.name for path in disk.iterdir()] == ["out"]


@pytest.mark.parametrize("format", EXPORTED)
def test_a_vocabulary_of_another_size_is_refused(run, tmp_path, format, capsys):
    other = shutil.copytree(run, tmp_path / "run")
    with (other / "vocab.txt").open("a") as file:
        file.write("more\n")
    assert written(format, other, tmp_path / "out") == 1
    assert "at most the model's 28 entries; got 29" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# A model that trained in half precision; equal seeds give it the weights of `model`


@pytest.fixture(scope="module")
def half(tiny_vocabulary):
    return make("classify", tiny_vocabulary, hidden_act="gelu_tanh", dtype="mixed_bfloat16")


def test_a_model_in_half_precision_is_the_same_tflite_file(model, half, tmp_path):
    files = [export.tflite(each, tmp_path / each.compute_dtype) for each in (model, half)]
    assert [file.name for file in files] == ["float32", "bfloat16"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_model_in_half_precision_is_the_hubs_pair_in_float32(model, half, tmp_path):
    folder = export.hub(half, tmp_path / "pair")
    preprocess, encoder = (tf.saved_model.load(str(folder / name)) for name in ("preprocess", "encoder"))
    ids = preprocess(tf.constant(["the cat sat on the film .", "unhappy !"]))
    found, right, rough = (
        np.asarray(each(ids)["pooled_output"], "float32") for each in (encoder, model.encoder, half.encoder)
    )
    assert {weight.dtype for weight in encoder.trainable_variables} == {tf.float32}
    np.testing.assert_allclose(found, right, atol=1e-5)
    assert np.abs(rough - right).max() > 1e-4  # so that this can fail
