"""The signatures of every task's SavedModel, by the contract, and a graph that belongs on no device.

B texts, C classes or choices, T tokens, W words, E entities, M masks of a text, K answers a mask, D width.
"""

import numpy as np
import pytest
import tensorflow as tf
from exported_models import MODELS, make
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

import export
from export.serving import ID_TENSORS

TEXTS = ("the cat sat on the film .", "unhappy !", "very very good", "")
STRINGS = {  # what `serving_default` and `tokenize` take; "text" alone where a task is not named
    "qa": {"question": "B string", "context": "B string"},
    "choice": {"text": "B string", "choices": "BC string"},
}
CLASSES = {"classes": "BC string", "scores": "BC float32", "label": "B string"}
WORDS = {"tags": "BW string", "scores": "BW float32"}
SPANS = {"start": "B int32", "end": "B int32", "score": "B float32", "null_score": "B float32"}
MASKS = {"tokens": "BMK string", "scores": "BMK float32"}
ENTITIES = {
    "entities": "BE string",
    "entity_labels": "BE string",
    "entity_starts": "BE int32",
    "entity_ends": "BE int32",
    "entity_scores": "BE float32",
}
ANSWERS = {  # of `serving_default`
    "classify": CLASSES,
    "multilabel": CLASSES,
    "regress": {"score": "B float32"},
    "tag": {"tokens": "BW string", **WORDS, "starts": "BW int32", "ends": "BW int32", **ENTITIES},
    "qa": {"answer": "B string", **SPANS},
    "choice": {"scores": "BC float32", "choice": "B int32"},
    "embed": {"embedding": "BD float32"},
    "pretrain": {**MASKS, "sequences": "BMK string"},
}
OF_IDS = {"tag": WORDS, "qa": SPANS, "pretrain": MASKS}  # of `from_ids`, where that is not all: it sees no text


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tiny_vocabulary, tmp_path_factory):
    """The task of a model, its folder, and what is loaded of it."""
    model = make(request.param, tiny_vocabulary)
    folder = export.saved_model(model, tmp_path_factory.mktemp("signatures") / request.param)
    return model.task, folder, tf.saved_model.load(str(folder))


def described(tensors):
    """Tensors by name as the tables above have them, but for the letters."""
    return {name: (len(spec.shape), spec.shape[0], spec.dtype.name) for name, spec in tensors.items()}


def asked_for(table):
    return {name: (len(said.split()[0]), None, said.split()[1]) for name, said in table.items()}


def test_names_types_and_shapes_are_those_of_the_contract(exported):
    task, _, loaded = exported
    strings = STRINGS.get(task, {"text": "B string"})
    ids = dict.fromkeys(ID_TENSORS, "BCT int32" if task == "choice" else "BT int32")
    answers = ANSWERS[task]
    contract = {
        "serving_default": (strings, answers),
        "tokenize": (strings, ids),
        "from_ids": (ids, OF_IDS.get(task, answers)),
    }
    assert set(loaded.signatures) == set(contract)
    for name, (inputs, outputs) in contract.items():
        signature = loaded.signatures[name]
        assert described(signature.structured_input_signature[1]) == asked_for(inputs), name
        assert described(signature.structured_outputs) == asked_for(outputs), name


def test_ids_of_texts_are_answered_as_the_texts_are(exported):
    task, _, loaded = exported
    texts = [f"{text}[MASK]" for text in TEXTS] if task == "pretrain" else list(TEXTS)
    columns = [texts, texts[::-1]]
    strings = {
        name: tf.constant([columns[1]] * len(texts) if said.startswith("BC") else columns[place])
        for place, (name, said) in enumerate(STRINGS.get(task, {"text": "B string"}).items())
    }
    direct = loaded.signatures["serving_default"](**strings)
    found = loaded.signatures["from_ids"](**loaded.signatures["tokenize"](**strings))
    for name, answer in found.items():
        right, answer = direct[name].numpy(), answer.numpy()
        if task == "qa" and name in ("start", "end"):  # of tokens, and of characters
            right, answer = right < 0, answer < 0
        if task == "tag":  # an entry a token, and an entry a word
            words, tokens = (both["scores"].numpy() >= 0 for both in (direct, found))
            right, answer = right[words], answer[tokens]
        assert len(right) and (right.dtype.kind != "f" or np.ptp(right) > 1e-3)  # so that this can fail
        np.testing.assert_array_equal(answer, right, err_msg=name)


def test_no_node_is_bound_to_a_device(exported):
    _, folder, _ = exported
    assert devices_of(folder) == {""}


def test_no_node_of_the_hubs_pair_is_bound_to_a_device(tiny_vocabulary, tmp_path):
    folder = export.hub(make("embed", tiny_vocabulary), tmp_path / "pair")
    assert devices_of(folder / "preprocess") == devices_of(folder / "encoder") == {""}


def devices_of(folder):
    """The devices that nodes of a SavedModel's functions name, but for TensorFlow's own that read and write weights."""
    library = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def.library
    own = [each for each in library.function if "traced_save" not in each.signature.name]
    own = [each for each in own if "traced_restore" not in each.signature.name]
    assert len(library.function) == len(own) + 2
    return {node.device for function in own for node in function.node_def}
