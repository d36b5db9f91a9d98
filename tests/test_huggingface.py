"""A folder for transformers: what lies in it, that our own reader gives the model back, and that transformers agrees.

What needs transformers and PyTorch runs under the Python that $KBERT_PEER_PYTHON names, and is skipped without it.

B texts, T tokens, C labels.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import yaml
from exported_models import MODELS, L, P, make
from safetensors.numpy import load_file

import export
import pipelines
from export.parity import ParityError
from kbert import sentence_transformers
from kbert.weights.huggingface import TABLE
from kbert.weights.table import expand
from pipelines import WordPiece, pack

TEXTS = ("the cat sat on the film .", "unhappy !", "very " * 30, "A GOOD dog, not\u2026 b\u00e4d")
ARCHITECTURES = {
    "classify": "BertForSequenceClassification",
    "multilabel": "BertForSequenceClassification",
    "regress": "BertForSequenceClassification",
    "tag": "BertForTokenClassification",
    "crf": "BertForTokenClassification",
    "qa": "BertForQuestionAnswering",
    "choice": "BertForMultipleChoice",
    "embed": "BertModel",
    "pretrain": "BertForPreTraining",
    "masks": "BertForMaskedLM",
}
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def models(tiny_vocabulary):
    return {name: make(name, tiny_vocabulary) for name in MODELS}


@pytest.fixture(scope="module")
def folders(models, tmp_path_factory):
    root = tmp_path_factory.mktemp("huggingface")
    return {name: export.huggingface(model, root / name) for name, model in models.items()}


def config_of(folder):
    return json.loads((folder / "config.json").read_text("utf-8"))


@every_model
def test_our_own_reader_gives_the_model_back(models, folders, name):
    model, folder = models[name], folders[name]
    again = type(model).from_preset(str(folder), **({} if name != "masks" else {"next_sentence": False}))
    assert again.new_weights == ()
    assert (again.labels, again.tokenizer["lowercase"]) == (model.labels, True)
    assert {key: getattr(again, key) for key in model.settings} == {key: getattr(model, key) for key in model.settings}
    own = model.named_weights()
    for key, weight in again.named_weights().items():
        np.testing.assert_array_equal(weight, own[key], err_msg=key)


@every_model
def test_what_is_exported_again_is_the_same_to_the_byte(models, folders, name, tmp_path):
    model = models[name]
    again = type(model).from_preset(str(folders[name]), **({} if name != "masks" else {"next_sentence": False}))
    second = export.huggingface(again, tmp_path / "again")
    for path in sorted(folders[name].rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(folders[name])).read_bytes(), path.name


@every_model
def test_the_folder_has_what_transformers_reads(folders, name):
    folder, config = folders[name], config_of(folders[name])
    assert config["architectures"] == [ARCHITECTURES[name]] and config["model_type"] == "bert"
    files = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"}
    assert files <= {path.name for path in folder.iterdir()}
    special = json.loads((folder / "special_tokens_map.json").read_text("utf-8"))
    assert special["cls_token"] == "[CLS]" and special["mask_token"] == "[MASK]" and len(special) == 5
    known = {one for row in expand(TABLE, L) for one in row.theirs}
    assert {key.removeprefix("bert.") for key in load_file(folder / "model.safetensors")} <= known


def test_labels_are_told_both_ways(folders, models):
    config = config_of(folders["classify"])
    assert config["id2label"] == {"0": "negative", "1": "positive", "2": "n\u00e4chste"}
    assert config["label2id"] == {"negative": 0, "positive": 1, "n\u00e4chste": 2}
    assert config_of(folders["multilabel"])["problem_type"] == "multi_label_classification"
    assert config_of(folders["regress"])["problem_type"] == "regression"


def test_an_embedder_has_the_layout_of_sentence_transformers(folders):
    folder = folders["embed"]
    assert sentence_transformers.read(folder) == {"pooling": "max", "normalize": False, "max_length": 9}
    assert [part["path"] for part in json.loads((folder / "modules.json").read_text())] == ["", "1_Pooling"]
    assert not (folders["classify"] / "modules.json").exists()


def test_files_of_later_sentence_transformers_are_read(folders, tmp_path):
    """Of version 6, where poolings have one key, modules other places, and the tokenizer tells the length."""
    folder = shutil.copytree(folders["embed"], tmp_path / "later")
    (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 12, "pooling_mode": "cls"}')
    (folder / "sentence_bert_config.json").write_text("{}")
    kinds = ("base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling")
    parts = [
        {"type": f"sentence_transformers.{kind}", "path": path}
        for kind, path in zip(kinds, ("", "1_Pooling"), strict=True)
    ]
    (folder / "modules.json").write_text(json.dumps(parts))
    assert sentence_transformers.read(folder) == {"pooling": "cls", "normalize": False, "max_length": P}
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": ["cls", "lasttoken"]}')
    with pytest.raises(ValueError, match="got pooling_mode_cls_token, lasttoken"):
        sentence_transformers.read(folder)


@every_model
def test_the_card_has_a_header_and_says_how_to_call(folders, name):
    text = (folders[name] / "README.md").read_text("utf-8")
    _, header, body = text.split("---\n", 2)
    told = yaml.safe_load(header)
    assert told["license"] == "unknown" and told["pipeline_tag"]
    assert told["library_name"] == ("sentence-transformers" if name == "embed" else "transformers")
    assert "from_preset" in body and ("CRF" in body) == (name == "crf")


def test_a_model_in_half_precision_leaves_in_float32(tiny_vocabulary, folders, tmp_path):
    half = make("classify", tiny_vocabulary, dtype="mixed_bfloat16")
    out = export.huggingface(half, tmp_path / "out")
    weights, right = (load_file(folder / "model.safetensors") for folder in (out, folders["classify"]))
    assert all(np.array_equal(weights[name], right[name]) and weights[name].dtype == "float32" for name in right)


# What is refused


def test_what_transformers_cannot_compute_is_refused(tiny_vocabulary, tmp_path):
    with pytest.raises(ValueError, match="--mix sum.*Train it with --mix last"):
        export.huggingface(make("tag", tiny_vocabulary, mix="sum"), tmp_path / "out")
    with pytest.raises(ValueError, match="has a task, one of classify.*got None"):
        export.huggingface(make("classify", tiny_vocabulary).encoder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_vocabulary_of_another_size_is_refused(tiny_vocabulary, tmp_path):
    longer = tmp_path / "vocab.txt"
    longer.write_text(tiny_vocabulary.read_text() + "more\n")
    with pytest.raises(ValueError, match=r"the model has embeddings, 28; got 29 in .*vocab\.txt"):
        export.huggingface(make("classify", longer), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.txt"]


def test_a_folder_with_files_is_kept_unless_it_may_go(models, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match=r"mine holds files.*overwrite=True"):
        export.huggingface(models["regress"], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    export.huggingface(models["regress"], tmp_path / "mine", overwrite=True)
    assert not (tmp_path / "mine" / "thesis.txt").exists() and (tmp_path / "mine" / "config.json").exists()


def test_a_full_disk_leaves_nothing_under_the_name(models, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["export.huggingface"], "save_model", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*out'"):
        export.huggingface(models["regress"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_not_exported(tiny_vocabulary, tmp_path):
    model = make("regress", tiny_vocabulary)
    model.named_weights()["classifier/bias"].assign([np.nan])
    with pytest.raises(ParityError, match="classifier/bias differ"):
        export.huggingface(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# transformers itself

PEER = """
import json, sys
import numpy as np
import torch, transformers
root, names = sys.argv[1], sys.argv[2].split(",")
for name in names:
    folder = f"{root}/{name}"
    kind = json.load(open(f"{folder}/config.json"))["architectures"][0]
    model, told = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = dict(np.load(f"{root}/{name}.inputs.npz"))
    texts = json.load(open(f"{root}/texts.json"))
    ids = [tokenizer(text, truncation=True, max_length=int(sys.argv[3]))["input_ids"] for text in texts]
    with torch.no_grad():
        outputs = model.eval()(**{key: torch.tensor(value) for key, value in batch.items()})
    arrays = {key: value.numpy() for key, value in outputs.items() if isinstance(value, torch.Tensor)}
    np.savez(f"{root}/{name}.outputs.npz", **arrays)
    labels = {str(key): value for key, value in model.config.id2label.items()}
    found = {"missing": sorted(told["missing_keys"]), "ids": ids, "labels": labels}
    found["unexpected"] = sorted(told["unexpected_keys"])
    json.dump(found, open(f"{root}/{name}.found.json", "w"))
"""


@pytest.fixture(scope="module")
def peer(models, folders):
    """What transformers makes of each folder: outputs, and what it says of the loading."""
    python = os.environ.get("KBERT_PEER_PYTHON")
    if not python or not shutil.which(python):
        pytest.skip("KBERT_PEER_PYTHON names no Python with torch and transformers")
    root = folders["classify"].parent
    (root / "texts.json").write_text(json.dumps(TEXTS))
    batches = {name: batch_of(model) for name, model in models.items()}
    for name, batch in batches.items():
        theirs = {"input_word_ids": "input_ids", "input_mask": "attention_mask", "input_type_ids": "token_type_ids"}
        arrays = {theirs[key]: value.numpy().astype("int64") for key, value in batch.items() if key in theirs}
        np.savez(root / f"{name}.inputs.npz", **arrays)
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        [python, "-P", "-c", PEER, str(root), ",".join(MODELS), str(P)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return {
        name: (batch, np.load(root / f"{name}.outputs.npz"), json.loads((root / f"{name}.found.json").read_text()))
        for name, batch in batches.items()
    }


def batch_of(model):
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    batch = pack([wordpiece.tokenize(list(TEXTS))], wordpiece, P)
    if model.task == "choice":
        pair = pack([wordpiece.tokenize(list(TEXTS)), wordpiece.tokenize(list(TEXTS[::-1]))], wordpiece, P)
        return {name: tf.reshape(ids, [2, 2, -1]) for name, ids in pair.items()}
    if model.task == "pretrain":
        batch["masked_lm_positions"] = tf.constant([[1, 2]] * len(TEXTS))
    return batch


def ours(model, batch):
    """Outputs of a model under transformers' names."""
    outputs = model(batch)
    if model.task == "embed":
        return {"last_hidden_state": model.encoder(batch)["sequence_output"]}
    if model.task == "pretrain":
        tokens, pairs = outputs["masked_tokens"], outputs.get("next_sentence")
        both = {"prediction_logits": tokens, "seq_relationship_logits": pairs}
        return both if pairs is not None else {"logits": tokens}
    if model.task == "qa":
        return outputs
    return {"logits": outputs[:, None] if model.task == "regress" else outputs}


@every_model
def test_transformers_gives_the_same_logits(models, peer, name):
    batch, found, said = peer[name]
    assert said["missing"] == []
    allowed = ("bert.pooler.", "crf.") if name in ("tag", "crf", "qa", "masks") else ()
    assert all(key.startswith(allowed) for key in said["unexpected"]), said["unexpected"]
    real = batch["input_mask"].numpy() > 0
    for key, expected in ours(models[name], batch).items():
        expected, logits = np.asarray(expected), found[key]
        if models[name].task == "pretrain" and key != "seq_relationship_logits":
            logits = logits[:, 1:3]
        elif name in ("tag", "crf", "qa", "embed"):
            expected, logits = expected[real], logits[real]
        assert np.abs(expected - logits).max() < 1e-4, key
        assert expected.std() > 1e-2


@every_model
def test_its_tokenizer_gives_the_same_ids_and_its_config_the_labels(models, peer, name):
    _, _, said = peer[name]
    wordpiece = WordPiece.from_spec(models[name].tokenizer_spec)
    packed = pack([wordpiece.tokenize(list(TEXTS))], wordpiece, P)
    rows = zip(packed["input_word_ids"].numpy(), packed["input_mask"].numpy(), strict=True)
    assert said["ids"] == [row[mask > 0].tolist() for row, mask in rows]
    if models[name].labels:
        assert tuple(said["labels"].values()) == models[name].labels


SENTENCES = """
import json, sys
from sentence_transformers import SentenceTransformer
print(json.dumps(SentenceTransformer(sys.argv[1], device="cpu").encode(json.loads(sys.argv[2])).tolist()))
"""


def test_sentence_transformers_gives_the_same_vectors(models, folders):
    python = os.environ.get("KBERT_PEER_PYTHON")
    if not python or subprocess.run([python, "-c", "import sentence_transformers"], capture_output=True).returncode:
        pytest.skip("KBERT_PEER_PYTHON names no Python with sentence-transformers")
    command = [python, "-P", "-c", SENTENCES, str(folders["embed"]), json.dumps(TEXTS)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folders["embed"].parent), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    batches, order = pipelines.texts(TEXTS, models["embed"].tokenizer_spec, batch_size=len(TEXTS), max_length=9)
    vectors = models["embed"].predict(batches, verbose=0)[order]
    np.testing.assert_allclose(json.loads(run.stdout.splitlines()[-1]), vectors, atol=1e-5)
