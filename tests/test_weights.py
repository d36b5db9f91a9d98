"""Laws of the name tables: tensor for tensor there and back, nothing dropped unseen."""

import json
import re
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kbert.config import BertConfig
from kbert.weights import google, huggingface, keras_hub, model_garden
from kbert.weights.assign import assign, check_shapes
from kbert.weights.table import HEADS_FIRST, HEADS_LAST, TRANSPOSED, expand, load, save, shapes

V, P, S, D, H, F, C, L = 17, 7, 4, 6, 3, 10, 5, 2
CONFIG = BertConfig(
    vocab_size=V,
    hidden_size=D,
    num_hidden_layers=L,
    num_attention_heads=H,
    intermediate_size=F,
    max_position_embeddings=P,
    type_vocab_size=S,
)
HEAD_SHAPES = {
    "classifier/kernel": (D, C),
    "classifier/bias": (C,),
    "span/kernel": (D, 2),
    "span/bias": (2,),
    "masked_tokens/transform/kernel": (D, D),
    "masked_tokens/transform/bias": (D,),
    "masked_tokens/norm/gamma": (D,),
    "masked_tokens/norm/beta": (D,),
    "masked_tokens/bias": (V,),
    "next_sentence/kernel": (D, 2),
    "next_sentence/bias": (2,),
}


class Variable:
    """What `assign` asks of a variable."""

    def __init__(self, shape):
        self.shape, self.value = shape, None

    def assign(self, value):
        self.value = value


def random_arrays(sizes):
    noise = np.random.default_rng(0)
    return {name: noise.normal(size=shape).astype(np.float32) for name, shape in sizes.items()}


def same(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


@pytest.fixture
def arrays():
    return random_arrays(shapes(CONFIG))


@pytest.fixture
def with_heads():
    return random_arrays(shapes(CONFIG) | HEAD_SHAPES)


def stored(arrays):
    """The tensors of a Hugging Face file under its own names, without `bert.`."""
    return save(expand(huggingface.TABLE, L), arrays)


# Round trips


def test_google_checkpoint_gives_back_what_was_written(tmp_path, with_heads):
    google.write(tmp_path / "bert_model.ckpt", with_heads, L)
    loaded = google.read(tmp_path / "bert_model.ckpt", L)
    assert same(loaded.arrays, with_heads)
    assert loaded.unknown == loaded.ignored == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
    ]


def test_safetensors_give_back_what_was_written(tmp_path, with_heads):
    huggingface.write(tmp_path / "model.safetensors", with_heads, L)
    loaded = huggingface.read(tmp_path, L)
    assert same(loaded.arrays, with_heads)
    assert loaded.unknown == loaded.ignored == ()


def test_kernels_are_transposed_for_hugging_face_and_split_in_three(with_heads):
    tensors = stored(with_heads)
    fused = with_heads["layer_1/attention/query_key_value/kernel"]
    assert np.array_equal(tensors["encoder.layer.1.attention.self.key.weight"], fused[:, D : 2 * D].T)
    assert tensors["encoder.layer.0.intermediate.dense.weight"].shape == (F, D)
    assert tensors["classifier.weight"].shape == (C, D)
    assert tensors["embeddings.word_embeddings.weight"].shape == (V, D)


def test_the_prefix_is_written_with_a_head_and_not_without(tmp_path, arrays, with_heads):
    huggingface.write(tmp_path / "bare.safetensors", arrays, L)
    huggingface.write(tmp_path / "headed.safetensors", with_heads, L)
    assert "pooler.dense.bias" in load_file(tmp_path / "bare.safetensors")
    headed = load_file(tmp_path / "headed.safetensors")
    assert {"bert.pooler.dense.bias", "classifier.bias", "cls.predictions.bias"} <= set(headed)


# Google's releases


def test_googles_toy_checkpoint_is_accounted_for_to_the_last_tensor(shared_data):
    import tensorflow as tf

    folder = shared_data / "keras_bert_test_checkpoint"
    config = BertConfig.read(folder / "bert_config.json")
    loaded = google.read(folder / "bert_model.ckpt", config.num_hidden_layers)
    listed = dict(tf.train.list_variables(str(folder / "bert_model.ckpt")))
    assert sorted([*loaded.used, *loaded.ignored]) == sorted(listed)
    assert len(listed) == 139
    assert all(name.endswith(("adam_m", "adam_v", "global_step")) for name in loaded.ignored)
    check_shapes(shapes(config), loaded.arrays)
    reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    value = reader.get_tensor("bert/encoder/layer_1/attention/self/value/kernel")
    width = config.hidden_size
    assert np.array_equal(loaded.arrays["layer_1/attention/query_key_value/kernel"][:, 2 * width :], value)


def test_the_table_names_every_tensor_of_the_chinese_release_and_no_other(shared_data):
    import tensorflow as tf

    prefix = shared_data / "bert_assets" / "chinese_L-12_H-768_A-12" / "bert_model.ckpt"
    pretrained = [row for row in google.TABLE if not row[0].startswith(("classifier/", "span/"))]
    named = [name for row in expand(pretrained, 12) for name in row.theirs]
    assert sorted(named) == sorted(name for name, _ in tf.train.list_variables(str(prefix)))


def test_a_release_without_its_data_is_refused(shared_data):
    with pytest.raises(FileNotFoundError, match=r"got no bert_model\.ckpt\.data"):
        google.read(shared_data / "bert_assets" / "chinese_L-12_H-768_A-12" / "bert_model.ckpt", 12)


# Hugging Face's files


def old_names(tensors):
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }


def prefixed(tensors):
    return {"bert." + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("spelling", [dict, old_names, prefixed, lambda t: prefixed(old_names(t))])
def test_old_and_new_names_read_alike(tmp_path, arrays, spelling):
    tensors = spelling(stored(arrays))
    tensors["bert.embeddings.position_ids"] = np.arange(P)[None]
    save_file(tensors, tmp_path / "model.safetensors")
    loaded = huggingface.read(tmp_path, L)
    assert same(loaded.arrays, arrays)
    assert loaded.ignored == ("embeddings.position_ids",)


def test_shards_read_as_the_whole(tmp_path, arrays):
    tensors = stored(arrays)
    names = sorted(tensors)
    where = {}
    for number in range(3):
        file = f"model-{number + 1:05}-of-00003.safetensors"
        save_file({name: tensors[name] for name in names[number::3]}, tmp_path / file)
        where |= dict.fromkeys(names[number::3], file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    assert same(huggingface.read(tmp_path, L).arrays, arrays)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"got no model-00002-of-00003\.safetensors"):
        huggingface.read(tmp_path, L)
    index.write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))
    with pytest.raises(ValueError, match="must lie beside its index"):
        huggingface.read(tmp_path, L)
    index.write_text("[]")
    with pytest.raises(ValueError, match="must hold a weight_map"):
        huggingface.read(tmp_path, L)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_become_float32_of_the_same_value(tmp_path, arrays, dtype):
    rounded = {name: tensor.astype(dtype) for name, tensor in stored(arrays).items()}
    save_file(rounded, tmp_path / "model.safetensors")
    loaded = huggingface.read(tmp_path, L).arrays
    assert all(array.dtype == np.float32 for array in loaded.values())
    assert np.array_equal(loaded["layer_0/widen/kernel"].T, rounded["encoder.layer.0.intermediate.dense.weight"])


def test_integer_weights_are_refused(tmp_path, arrays):
    tensors = stored(arrays) | {"pooler.dense.weight": np.ones((D, D), np.int8)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"float type; got int8 in pooler\.dense\.weight"):
        huggingface.read(tmp_path, L)


def test_pickle_is_never_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(FileNotFoundError, match=r"only pytorch_model\.bin.*never opens pickle.*weights_only=True"):
        huggingface.read(tmp_path, L)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(FileNotFoundError, match="got neither"):
        huggingface.read(tmp_path, L)


def test_a_broken_file_is_refused_with_its_name(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"must be a safetensors file; got .*model\.safetensors"):
        huggingface.read(tmp_path, L)


def test_a_tensor_stored_twice_is_refused(tmp_path, arrays):
    tensors = stored(arrays)
    save_file(tensors | {"bert.pooler.dense.bias": tensors["pooler.dense.bias"]}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"stored once; got .*pooler\.dense\.bias"):
        huggingface.read(tmp_path, L)


def test_tied_copies_are_dropped_and_untied_ones_refused(tmp_path, with_heads):
    tensors = stored(with_heads)
    copies = {
        "cls.predictions.decoder.weight": tensors["embeddings.word_embeddings.weight"].copy(),
        "cls.predictions.decoder.bias": tensors["cls.predictions.bias"].copy(),
    }
    save_file(tensors | copies, tmp_path / "model.safetensors")
    loaded = huggingface.read(tmp_path, L)
    assert same(loaded.arrays, with_heads)
    assert set(loaded.ignored) == set(copies)
    copies["cls.predictions.decoder.weight"][3, 1] += 1
    save_file(tensors | copies, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"tied to embeddings/token; got another cls\.predictions\.decoder\.weight"):
        huggingface.read(tmp_path, L)


def test_unfitting_parts_are_refused_by_name(tmp_path, arrays):
    tensors = stored(arrays) | {"encoder.layer.1.attention.self.key.bias": np.ones(D + 1, np.float32)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"layer\.1\.attention\.self\.key\.bias \[7\]"):
        huggingface.read(tmp_path, L)


# Tables


def test_heads_split_and_merge(arrays):
    table = (("a", "{q,k,v}", HEADS_LAST), ("b", "out", HEADS_FIRST))
    ours = {"a": arrays["layer_0/attention/query_key_value/kernel"], "b": arrays["layer_0/attention/output/kernel"]}
    theirs = save(expand(table, L), ours, num_heads=H)
    assert theirs["k"].shape == (D, H, D // H)
    assert theirs["out"].shape == (H, D // H, D)
    assert theirs["k"][4, 1, 1] == ours["a"][4, D + 3]
    assert same(load(expand(table, L), list(theirs), theirs.__getitem__).arrays, ours)


def test_saving_refuses_names_without_a_place(arrays):
    with pytest.raises(ValueError, match="got adapter/kernel, layer_2/widen/bias"):
        save(expand(google.TABLE, L), arrays | {"layer_2/widen/bias": np.ones(F), "adapter/kernel": np.ones(D)})


def test_every_table_puts_query_key_and_value_in_our_order():
    for table in (google.TABLE, huggingface.TABLE, keras_hub.TABLE, model_garden.TABLE):
        rows = [row for row in expand(table, L) if "query_key_value" in row.ours]
        assert len(rows) == 2 * L
        for row in rows:
            assert [re.search("query|key|value", name)[0] for name in row.theirs] == ["query", "key", "value"]


def test_square_kernels_are_transposed_like_the_others():
    """A wrong mark on a [D, D] kernel passes every check of shapes."""
    assert {row.ours for row in expand(huggingface.TABLE, L) if row.how == TRANSPOSED} == {
        row.ours for row in expand(huggingface.TABLE, L) if row.ours.endswith("/kernel")
    }
    assert {row.theirs for row in expand(google.TABLE, L) if row.how == TRANSPOSED} == {
        row.theirs for row in expand(google.TABLE, L) if row.theirs[0].endswith("output_weights")
    }


def test_the_two_layouts_name_the_same_tensors():
    ours_alone = ("crf/", "scalar_mix/")  # heads that neither Google's code nor transformers has
    known = [row[0] for row in huggingface.TABLE if not row[0].startswith(ours_alone)]
    assert [row[0] for row in google.TABLE] == known
    assert {row.ours for row in expand(google.TABLE, L)} == set(shapes(CONFIG)) | set(HEAD_SHAPES)


# Assigning


def test_assign_fills_every_variable_and_names_the_new_ones(arrays, with_heads):
    wanted = shapes(CONFIG) | {"classifier/kernel": (D, C), "classifier/bias": (C,)}
    variables = {name: Variable(shape) for name, shape in wanted.items()}
    assert assign(variables, arrays, new=("classifier/",)) == ["classifier/kernel", "classifier/bias"]
    assert all(np.array_equal(variables[name].value, arrays[name]) for name in arrays)
    assert variables["classifier/bias"].value is None
    assert assign(variables, with_heads, new=("classifier/",)) == []
    assert np.array_equal(variables["classifier/kernel"].value, with_heads["classifier/kernel"])


def test_unused_heads_are_named_on_the_log(with_heads, caplog):
    caplog.set_level("INFO", logger="kbert.weights.assign")
    assign({name: Variable(shape) for name, shape in shapes(CONFIG).items()}, with_heads, source="here")
    assert "here: heads left unused: classifier/bias" in caplog.text
    assert "masked_tokens/transform/kernel" in caplog.text


def test_one_error_lists_all_that_does_not_fit_and_nothing_is_assigned(arrays):
    variables = {name: Variable(shape) for name, shape in (shapes(CONFIG) | {"classifier/bias": (C,)}).items()}
    del arrays["pooler/bias"], arrays["layer_0/widen/kernel"]
    arrays |= {"adapter.weight": np.ones((2, 3)), "embeddings/position": np.ones((P + 1, D))}
    with pytest.raises(ValueError) as raised:
        assign(variables, arrays, new=("classifier/",), source="somewhere")
    told = str(raised.value)
    assert "somewhere" in told
    assert "2 missing: layer_0/widen/kernel [6, 10], pooler/bias [6]" in told
    assert "1 surplus: adapter.weight [2, 3]" in told
    assert "1 of another shape: embeddings/position is [8, 6] for [7, 6]" in told
    assert "classifier" not in told
    assert all(variable.value is None for variable in variables.values())


def test_a_head_in_the_file_must_fit_the_head_of_the_model(with_heads):
    variables = {name: Variable(shape) for name, shape in (shapes(CONFIG) | {"classifier/bias": (C + 1,)}).items()}
    with pytest.raises(ValueError, match=r"classifier/bias is \[5\] for \[6\]"):
        assign(variables, with_heads, new=("classifier/",))


def test_a_layer_that_the_config_does_not_have_is_surplus(tmp_path, arrays):
    huggingface.write(tmp_path / "model.safetensors", arrays, L)
    loaded = huggingface.read(tmp_path, 1)
    assert all(name.startswith("encoder.layer.1.") for name in loaded.unknown)
    with pytest.raises(ValueError, match=r"16 surplus: encoder\.layer\.1\."):
        check_shapes(shapes(BertConfig(**{**vars(CONFIG), "num_hidden_layers": 1})), loaded.arrays)


def test_a_missing_part_is_reported_with_what_is_left_of_it(tmp_path, arrays):
    tensors = stored(arrays)
    del tensors["encoder.layer.0.attention.self.query.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"missing: layer_0/attention/query_key_value/kernel.*attention\.self\.key\.weight"
    ):
        check_shapes(shapes(CONFIG), huggingface.read(tmp_path, L).arrays)


# Other libraries' models


def test_keras_hub_backbone_takes_and_gives_back_every_tensor(arrays):
    keras_hub_library = pytest.importorskip("keras_hub")
    backbone = keras_hub_library.models.BertBackbone(
        vocabulary_size=V,
        num_layers=L,
        num_heads=H,
        hidden_dim=D,
        intermediate_dim=F,
        max_sequence_length=P,
        num_segments=S,
    )
    keras_hub.write(arrays, backbone)
    loaded = keras_hub.read(backbone)
    assert same(loaded.arrays, arrays)
    assert loaded.unknown == loaded.ignored == ()
    assert keras_hub.config({"config": backbone.get_config()}) == CONFIG
    with pytest.raises(ValueError, match="got none for num_segments"):
        keras_hub.config({"config": {k: v for k, v in backbone.get_config().items() if k != "num_segments"}})
    with pytest.raises(ValueError, match="missing"):
        keras_hub.write({name: arrays[name] for name in list(arrays)[1:]}, backbone)


def test_model_garden_encoder_takes_and_gives_back_every_tensor(arrays):
    networks = pytest.importorskip("official.nlp.modeling.networks")
    encoder = networks.BertEncoderV2(
        vocab_size=V,
        hidden_size=D,
        num_layers=L,
        num_attention_heads=H,
        inner_dim=F,
        max_sequence_length=P,
        type_vocab_size=S,
    )
    with pytest.raises(ValueError, match=r"Call encoder\(encoder\.inputs\)"):
        model_garden.write(arrays, encoder)
    encoder(encoder.inputs)
    model_garden.write(arrays, encoder)
    loaded = model_garden.read(encoder)
    assert same(loaded.arrays, arrays)
    assert loaded.unknown == loaded.ignored == ()


def test_the_tables_load_without_the_libraries_they_are_for():
    import subprocess

    code = (
        "import sys; from kbert.weights import google, huggingface, keras_hub, model_garden;"
        "sys.exit(int(any(n in sys.modules for n in ('tensorflow', 'keras', 'keras_hub', 'official', 'safetensors'))))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
