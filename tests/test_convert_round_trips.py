"""Any format -> kbert -> the same format is equal, tensor for tensor; and Keras' own files of every model.

`tests/test_presets.py` has Hugging Face's and Google's folders, `tests/test_weights.py` their tables.
"""

import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from exported_models import MODELS, config_of, make, tokenizer_of

from kbert.cli import main
from kbert.conversion import convert
from kbert.presets import open_preset, save_preset
from kbert.saving import save_model
from kbert.weights.table import HEADS, shapes
from pipelines import WordPiece, read_vocabulary

CONFIG = config_of()


@pytest.fixture
def arrays():
    noise = np.random.default_rng(4)
    return {name: noise.normal(size=shape).astype("float32") for name, shape in shapes(CONFIG).items()}


@pytest.fixture
def folder(tmp_path, arrays, tiny_vocabulary):
    return save_preset(tmp_path / "huggingface", CONFIG, arrays, tokenizer_of(tiny_vocabulary))


def same(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


# KerasHub


@pytest.fixture
def library():
    return pytest.importorskip("keras_hub")


def test_a_keras_hub_preset_comes_back_equal(folder, arrays, library, tmp_path):
    first = convert(folder, tmp_path / "first", layout="keras_hub")
    assert first.layout == "keras_hub" and same(first.read_weights(), arrays)
    convert(tmp_path / "first", tmp_path / "middle")
    convert(tmp_path / "middle", tmp_path / "second", layout="keras_hub")
    before, after = (
        library.models.BertBackbone.from_preset(str(tmp_path / name)).weights for name in ("first", "second")
    )
    assert [one.path for one in before] == [one.path for one in after] and len(before) > 10
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    for name in ("assets/tokenizer/vocabulary.txt", "tokenizer_config.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_keras_hub_computes_and_tokenizes_the_same(folder, library, tmp_path):
    from kbert.encoder import Encoder
    from pipelines import WordPiece

    convert(folder, tmp_path / "theirs", layout="keras_hub")
    backbone = library.models.BertBackbone.from_preset(str(tmp_path / "theirs"))
    encoder = Encoder.from_preset(str(tmp_path / "theirs"))
    ids = tf.constant([[2, 7, 8, 3], [2, 9, 3, 0]])
    mask = tf.cast(ids > 0, tf.int32)
    theirs = backbone({"token_ids": ids, "padding_mask": mask, "segment_ids": 0 * ids})
    ours = encoder({"input_word_ids": ids, "input_mask": mask, "input_type_ids": 0 * ids})
    np.testing.assert_allclose(theirs["pooled_output"], ours["pooled_output"], atol=1e-5)
    texts = ["the Cats sat, unhappy!", "a dog"]
    pieces = library.models.BertTokenizer.from_preset(str(tmp_path / "theirs"))(tf.constant(texts))
    assert [list(map(int, row)) for row in pieces] == WordPiece.from_spec(encoder.tokenizer_spec).tokenize(
        texts
    ).to_list()


def test_keras_hubs_own_preset_tells_its_case(arrays, library, tiny_vocabulary, tmp_path):
    """Its folder need not be called cased or uncased."""
    for lowercase in (True, False):
        out = tmp_path / f"theirs-{lowercase}"
        convert(
            save_preset(tmp_path / f"ours-{lowercase}", CONFIG, arrays, tokenizer_of(tiny_vocabulary)),
            out,
            layout="keras_hub",
        )
        (out / "tokenizer_config.json").unlink()
        library.models.BertTokenizer(vocabulary=str(tiny_vocabulary), lowercase=lowercase).save_to_preset(str(out))
        assert open_preset(out).tokenizer["lowercase"] is lowercase


def test_what_keras_hub_cannot_say_is_refused(folder, arrays, library, tiny_vocabulary, tmp_path):
    model = make("classify", tiny_vocabulary, hidden_act="gelu_tanh")
    headed = save_model(tmp_path / "headed", model)
    with pytest.raises(ValueError, match="got classifier/bias, classifier/kernel"):
        convert(headed, tmp_path / "out", layout="keras_hub")
    made = convert(headed, tmp_path / "bare", layout="keras_hub", heads=False)
    assert not [name for name in made.read_weights() if name.startswith(HEADS)]
    erf = save_model(tmp_path / "erf", make("classify", tiny_vocabulary))
    with pytest.raises(ValueError, match="hidden_act is always gelu_tanh in KerasHub's BERT; got gelu_erf"):
        convert(erf, tmp_path / "out", layout="keras_hub", heads=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(FileExistsError, match=r"mine, which holds files.*overwrite=True"):
        convert(folder, tmp_path / "mine", layout="keras_hub")
    assert convert(folder, tmp_path / "mine", layout="keras_hub", overwrite=True).layout == "keras_hub"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"huggingface", "headed", "bare", "erf", "mine"}


def test_the_command_converts_to_each_layout(folder, library, tmp_path, capsys):
    for layout in ("google", "keras_hub", "huggingface"):
        assert main(["convert", str(folder), str(tmp_path / layout / "out"), "--to", layout, "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["layout"] == layout
    assert main(["convert", str(folder), str(tmp_path / "old"), "--layout", "google", "--without-heads"]) == 0


# A task's head


@pytest.mark.parametrize("name", [name for name in MODELS if name != "crf"])
@pytest.mark.parametrize("layout", ["google", "huggingface"])
def test_every_tasks_model_goes_through_each_layout(tiny_vocabulary, name, layout, tmp_path):
    model = make(name, tiny_vocabulary)
    saved = save_model(tmp_path / "saved", model)
    convert(saved, tmp_path / "other", layout=layout)
    back = convert(tmp_path / "other", tmp_path / "back", layout="huggingface")
    own = {name: np.asarray(weight.value) for name, weight in model.named_weights().items()}
    assert same(back.read_weights(), own)
    assert (back.task, back.labels) == (model.task, model.labels)
    assert (tmp_path / "back" / "model.safetensors").read_bytes() == (saved / "model.safetensors").read_bytes()


def test_what_google_has_no_name_for_is_refused(tiny_vocabulary, tmp_path):
    saved = save_model(tmp_path / "saved", make("crf", tiny_vocabulary))
    with pytest.raises(ValueError, match="got crf/transitions"):
        convert(saved, tmp_path / "google", layout="google")
    assert not (tmp_path / "google").exists()


# Keras' own file


every_model = pytest.mark.parametrize("name, changes", [*((name, {}) for name in MODELS), ("tag", {"mix": "scalar"})])


@every_model
def test_a_keras_file_of_every_task_loads_as_it_was(tiny_vocabulary, name, changes, tmp_path):
    model = make(name, tiny_vocabulary, **changes)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert (loaded.labels, loaded.tokenizer, loaded.config) == (model.labels, model.tokenizer, model.config)
    assert {key: getattr(loaded, key) for key in model.settings} == {key: getattr(model, key) for key in model.settings}
    again = loaded.named_weights()
    for key, weight in model.named_weights().items():
        np.testing.assert_array_equal(again[key].numpy(), weight.numpy(), err_msg=key)


@every_model
def test_a_keras_file_that_is_moved_has_its_vocabulary(tiny_vocabulary, name, changes, tmp_path):
    vocabulary = shutil.copy(tiny_vocabulary, tmp_path / "mine.txt")
    model = make(name, vocabulary, **changes)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.tokenizer == model.tokenizer  # while it is there
    Path(vocabulary).write_text("another\n")
    keras.saving.load_model(tmp_path / "model.keras").save(tmp_path / "again.keras")
    Path(vocabulary).unlink()
    for file in ("model.keras", "again.keras"):
        spec = keras.saving.load_model(tmp_path / file).tokenizer_spec
        wordpiece = WordPiece.from_spec(spec)
        assert wordpiece.vocabulary == read_vocabulary(tiny_vocabulary)
        assert wordpiece.tokenize(["Unhappy cats"]).to_list() == [[21, 22, 7, 23]]


def test_a_keras_file_without_a_vocabulary_still_loads(tiny_vocabulary, tmp_path):
    model = make("regress", tiny_vocabulary)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as whole, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        assert "assets/vocab.txt" in whole.namelist()
        for part in whole.namelist():
            if not part.startswith("assets"):
                old.writestr(part, whole.read(part))
    assert keras.saving.load_model(tmp_path / "old.keras").tokenizer == model.tokenizer
