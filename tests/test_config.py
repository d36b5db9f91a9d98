"""Laws of BertConfig: both layouts read and write back, and nothing that changes the mathematics passes unseen."""

import dataclasses
import json
import subprocess
import sys

import pytest

from kbert.config import SIZES, BertConfig

PLAIN = {
    "vocab_size": 17,
    "hidden_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 10,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.3,
    "max_position_embeddings": 7,
    "type_vocab_size": 4,
    "initializer_range": 0.05,
}


def test_published_google_configs_are_read_and_written_back_equal(shared_data):
    paths = [
        *sorted((shared_data / "bert_assets" / "configs").glob("*.json")),
        shared_data / "bert_assets" / "chinese_L-12_H-768_A-12" / "bert_config.json",
        shared_data / "keras_bert_test_checkpoint" / "bert_config.json",
    ]
    assert len(paths) > 10
    for path in paths:
        settings = json.loads(path.read_text())
        assert BertConfig.read(path, layout="google").to_google() == settings
        through = BertConfig.from_huggingface(BertConfig.from_google(settings).to_huggingface())
        assert through.to_google() == settings


@pytest.mark.parametrize(
    ("size", "file"),
    [
        ("tiny", "bert_tiny_L-2_H-128_A-2"),
        ("mini", "bert_mini_L-4_H-256_A-4"),
        ("small", "bert_small_L-4_H-512_A-8"),
        ("medium", "bert_medium_L-8_H-512_A-8"),
        ("base", "bert_base_uncased"),
        ("large", "bert_large_uncased"),
    ],
)
def test_sizes_are_the_published_ones(shared_data, size, file):
    assert BertConfig.read(shared_data / "bert_assets" / "configs" / f"{file}.json", layout="google") == SIZES[size]


def test_sizes_cannot_be_changed():
    with pytest.raises(TypeError):
        SIZES["tiny"] = SIZES["base"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        SIZES["tiny"].hidden_size = 6


def test_gelu_means_tanh_in_googles_layout_and_erf_in_hugging_faces():
    assert BertConfig.from_google(PLAIN).hidden_act == "gelu_tanh"
    assert BertConfig.from_huggingface(PLAIN).hidden_act == "gelu_erf"


@pytest.mark.parametrize("activation", ["gelu_erf", "gelu_tanh", "relu"])
def test_the_activation_survives_either_layout(activation):
    config = BertConfig(hidden_act=activation)
    assert BertConfig.from_google(config.to_google()) == config
    assert BertConfig.from_huggingface(config.to_huggingface()) == config


def test_google_code_never_reads_an_erf_model_as_tanh():
    assert BertConfig(hidden_act="gelu_erf").to_google()["hidden_act"] not in ("gelu", "relu", "tanh", "linear")


def test_googles_layout_refuses_an_epsilon_that_its_code_would_ignore():
    with pytest.raises(ValueError, match="1e-12 in Google's layout; got 1e-05"):
        BertConfig(layer_norm_eps=1e-5).to_google()
    with pytest.raises(ValueError, match="layer_norm_eps"):
        BertConfig.from_google({**PLAIN, "layer_norm_eps": 1e-5})
    assert BertConfig.from_huggingface({**PLAIN, "layer_norm_eps": 1e-5}).layer_norm_eps == 1e-5


def test_unknown_keys_are_written_back():
    unused = {"pad_token_id": 0, "id2label": {"0": "no", "1": "yes"}, "use_cache": True, "something_new": [1, {"a": 2}]}
    settings = {**PLAIN, **unused, "model_type": "bert", "layer_norm_eps": 1e-6, "is_decoder": False}
    assert BertConfig.from_huggingface(settings).to_huggingface() == settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("is_encoder_decoder", True),
        ("embedding_size", 5),
        ("model_type", "roberta"),
        ("pruned_heads", {"0": [1]}),
        ("hidden_act", "silu"),
        ("hidden_act", ["gelu"]),
        ("quantization_config", {"bits": 8}),
        ("auto_map", {"AutoModel": "code.py"}),
        ("pooler_type", "mean"),
        ("directionality", "left"),
        ("layer_norm_epsilon", 1e-3),
    ],
)
def test_a_key_that_changes_the_mathematics_is_refused_with_its_value(key, value):
    for read in (BertConfig.from_google, BertConfig.from_huggingface):
        with pytest.raises(ValueError) as raised:
            read({**PLAIN, key: value})
        assert key in str(raised.value)
        assert repr(value) in str(raised.value)


def test_keys_that_say_plain_bert_are_accepted():
    said = {"position_embedding_type": "absolute", "embedding_size": 6, "pruned_heads": {}, "model_type": "bert"}
    assert BertConfig.from_huggingface({**PLAIN, **said}).hidden_size == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 0),
        ("vocab_size", "17"),
        ("hidden_size", 6.0),
        ("num_hidden_layers", True),
        ("num_attention_heads", 5),
        ("intermediate_size", -1),
        ("hidden_act", "gelu"),
        ("hidden_dropout_prob", 1.0),
        ("attention_probs_dropout_prob", "0.1"),
        ("max_position_embeddings", None),
        ("type_vocab_size", 0),
        ("initializer_range", 0),
        ("layer_norm_eps", -1e-12),
        ("extra", (("hidden_size", 6),)),
    ],
)
def test_a_wrong_number_is_refused_with_its_name_and_value(field, value):
    with pytest.raises(ValueError, match=field if field != "extra" else "hidden_size"):
        BertConfig(**{field: value})


def test_missing_keys_are_all_named():
    with pytest.raises(ValueError, match="got none for hidden_size, type_vocab_size"):
        BertConfig.from_google({key: PLAIN[key] for key in PLAIN if key not in ("hidden_size", "type_vocab_size")})


def test_a_file_written_is_read_back_equal(tmp_path):
    config = BertConfig.from_huggingface({**PLAIN, "id2label": {"0": "nein", "1": "schön"}})
    for name in ("bert_config.json", "config.json"):
        config.write(tmp_path / name)
        assert BertConfig.read(tmp_path / name) == config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bert_config.json", "config.json"]


def test_a_bad_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json, which is not there"):
        BertConfig.read(tmp_path / "config.json")
    for content, rule in (("[1]", "JSON object; got list"), ("{", "must be JSON"), ("{}", "vocab_size")):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=rule) as raised:
            BertConfig.read(tmp_path / "config.json")
        assert str(tmp_path) in str(raised.value)
    with pytest.raises(ValueError, match="layout must be one of google, huggingface"):
        BertConfig.read(tmp_path / "other.json")
    with pytest.raises(ValueError, match="layout must be one of google, huggingface"):
        BertConfig().write(tmp_path / "other.json")


def test_extra_survives_json_and_equal_configs_hash_equal():
    config = BertConfig.from_huggingface({**PLAIN, "id2label": {"0": "a"}})
    again = BertConfig(**json.loads(json.dumps(dataclasses.asdict(config))))
    assert again == config
    assert hash(again) == hash(config)


def test_config_loads_without_tensorflow():
    code = (
        "import sys, kbert.config; sys.exit(int(any(name in sys.modules for name in ('tensorflow', 'keras', 'numpy'))))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
