"""A model from a preset: which weights are its own, which are new; and what a model refuses, with the remedy."""

from pathlib import Path

import numpy as np
import pytest
from model_cases import LABELS, SIZES, differ, inputs, weights_of

from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.saving import save_preset
from kbert.tasks.classify import Classifier
from kbert.weights.table import shapes

CONFIG = BertConfig(**{**SIZES, "vocab_size": 28})  # the tiny vocabulary's
NEW = ("classifier/kernel", "classifier/bias")


@pytest.fixture(scope="module")
def tokenizer(tiny_vocabulary):
    return {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}


@pytest.fixture(scope="module")
def trained(tokenizer):
    return Classifier(CONFIG, tokenizer=tokenizer, labels=LABELS, seed=7)


@pytest.fixture(scope="module")
def with_head(trained, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "with_head"
    return save_preset(folder, CONFIG, weights_of(trained), tokenizer, labels=LABELS)


@pytest.fixture(scope="module")
def without_head(trained, tokenizer, tmp_path_factory):
    arrays = {name: array for name, array in weights_of(trained).items() if name not in NEW}
    return save_preset(tmp_path_factory.mktemp("presets") / "without_head", CONFIG, arrays, tokenizer)


def test_all_weights_of_a_classifiers_preset_are_its_own(trained, with_head):
    model = Classifier.from_preset(with_head)
    assert (model.labels, model.new_weights) == (LABELS, ())
    np.testing.assert_array_equal(model(inputs()), trained(inputs()))


@pytest.mark.parametrize("preset", ["with_head", "without_head"])
def test_an_encoder_takes_the_encoder_of_any_preset(trained, preset, request):
    encoder = Encoder.from_preset(request.getfixturevalue(preset))
    expected = weights_of(trained)
    assert encoder.new_weights == ()
    assert {name: array.shape for name, array in weights_of(encoder).items()} == shapes(CONFIG)
    assert all(np.array_equal(array, expected[name]) for name, array in weights_of(encoder).items())


def test_the_head_that_a_task_adds_is_new_and_named(trained, without_head):
    model = Classifier.from_preset(without_head, labels=["no", "yes", "perhaps"], seed=2)
    expected = weights_of(trained)
    assert sorted(model.new_weights) == sorted(NEW)
    assert all(np.array_equal(x, expected[name]) for name, x in weights_of(model).items() if name not in NEW)
    assert np.std(weights_of(model)["classifier/kernel"]) > 0


@pytest.mark.parametrize(
    "labels", [["no", "yes"], ["other", "names", "four", "again"], LABELS[::-1]], ids=["fewer", "renamed", "reordered"]
)
def test_labels_that_are_not_the_presets_get_a_new_head(with_head, labels):
    """The same classes in another order too: the old head would answer with the wrong names."""
    model = Classifier.from_preset(with_head, labels=labels)
    assert model.labels == tuple(labels)
    assert sorted(model.new_weights) == sorted(NEW)


def test_the_presets_own_labels_keep_the_head(trained, with_head):
    model = Classifier.from_preset(with_head, labels=list(LABELS))
    assert model.new_weights == ()
    assert differ(model(inputs()), trained(inputs())) == 0


def test_a_new_head_is_a_function_of_the_seed(without_head):
    first, again, other = (
        weights_of(Classifier.from_preset(without_head, labels=["no", "yes"], seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first["classifier/kernel"], again["classifier/kernel"])
    assert differ(first["classifier/kernel"], other["classifier/kernel"]) > 1e-3


def test_spec_says_what_a_pipeline_must_agree_on(with_head, tiny_vocabulary):
    spec = Classifier.from_preset(with_head).tokenizer_spec
    assert Path(spec.pop("vocabulary")).read_bytes() == tiny_vocabulary.read_bytes()
    assert spec == {
        "lowercase": True,
        "strip_accents": None,
        "split_cjk": True,
        "vocab_size": 28,
        "max_positions": SIZES["max_position_embeddings"],
        "labels": list(LABELS),
    }


def test_arguments_of_the_model_pass_through(with_head):
    model = Classifier.from_preset(with_head, dtype="mixed_bfloat16", name="reader")
    assert (model.compute_dtype, model.name) == ("bfloat16", "reader")


def test_a_size_is_random_weights_over_a_vocabulary(tiny_vocabulary):
    encoder = Encoder.from_preset("tiny", vocabulary=str(tiny_vocabulary), lowercase=True)
    assert encoder.new_weights == ()
    assert encoder.config.vocab_size == 28


def test_random_weights_spread_as_they_are_asked_to(tiny_vocabulary):
    sizes = {"vocabulary": str(tiny_vocabulary), "lowercase": True}
    usual, wide = (Encoder.from_preset("tiny", **sizes, **more) for more in ({}, {"initializer_range": 0.06}))
    assert wide.config.initializer_range == 0.06
    name = "layer_1/attention/output/kernel"
    np.testing.assert_allclose(wide.named_weights()[name], 3 * usual.named_weights()[name].numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="initializer_range must be in"):
        Encoder.from_preset("tiny", **sizes, initializer_range=1.5)


def test_weights_that_do_not_fit_are_listed_and_none_is_taken(tokenizer, trained, tmp_path):
    """A file of other sizes than its config's: nothing is cut or filled up."""
    from safetensors.numpy import load_file, save_file

    folder = save_preset(tmp_path / "preset", CONFIG, weights_of(trained), tokenizer, labels=LABELS)
    tensors = load_file(folder / "model.safetensors")
    lost, cut = sorted(tensors)[3], next(name for name in sorted(tensors) if "intermediate" in name)
    tensors.pop(lost)
    tensors[cut] = tensors[cut][:-1]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match="missing") as error:
        Classifier.from_preset(folder)
    assert "[" in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize("labels", [None, [], ["only"]])
def test_a_classifier_has_two_labels_at_least(labels):
    with pytest.raises(ValueError, match=r"two at least; got .* Give labels="):
        Classifier(CONFIG, labels=labels)


def test_labels_differ():
    with pytest.raises(ValueError, match=r"must differ .*got \['a', 'b', 'a'\]"):
        Classifier(CONFIG, labels=["a", "b", "a"])


@pytest.mark.parametrize("labels", ["yes", [0, 1]])
def test_labels_are_a_list_of_strings(labels):
    with pytest.raises(ValueError, match="labels is a list of strings; got"):
        Classifier(CONFIG, labels=labels)


def test_a_model_without_a_tokenizer_says_so():
    with pytest.raises(ValueError, match=r"built without.*Give tokenizer="):
        _ = Encoder(CONFIG).tokenizer_spec


def test_a_preset_without_labels_asks_for_them(without_head):
    with pytest.raises(ValueError, match="Give labels="):
        Classifier.from_preset(without_head)


def test_a_preset_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        Encoder.from_preset(tmp_path / "nothing_here")


def test_dropout_can_be_asked_for(shared_data):
    folder = str(shared_data / "keras_bert_test_checkpoint")
    model = Encoder.from_preset(folder, lowercase=True, dropout=0.25)
    assert (model.config.hidden_dropout_prob, model.config.attention_probs_dropout_prob) == (0.25, 0.25)
    assert Encoder.from_preset(folder, lowercase=True).config.hidden_dropout_prob == 0.1
