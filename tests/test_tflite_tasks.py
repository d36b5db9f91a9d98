"""Every task that devices answer: its TFLite file says what its SavedModel's serving says.

B texts, T tokens, C classes.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import export
from export.parity import ParityError
from export.saved_model import serving_of
from export.tflite import writing
from export.tflite.conversion import traced
from export.tflite.sequences import Decoder
from kbert.config import BertConfig
from kbert.tasks.classify import Classifier
from kbert.tasks.embed import Embedder
from kbert.tasks.multilabel import MultiLabelClassifier
from kbert.tasks.qa import SpanReader
from kbert.tasks.regress import Regressor
from kbert.tasks.tag import Tagger
from kbert.tasks.viterbi import best_tags

TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
C, T, B = len(TAGS), 7, 3
LENGTH = 24
FIRST = ("the cat sat on the film .", "Unhappy cats! very good, the dog ran", "a", "Caf\u00e9 the bad dog 012", "")
SECOND = ("very bad film . the cat ran", "it was not good", "sat sat", "\u00e4 the", "a dog")
ANSWERED = {  # model, its arguments, settings of its serving, strings
    "pairs": (Classifier, {"labels": ["no", "yes"]}, {"pair": True}, (FIRST, SECOND)),
    "multilabel": (MultiLabelClassifier, {"labels": ["x", "y", "z"], "thresholds": [0.5, 0.45, 0.4]}, {}, (FIRST,)),
    "regress": (Regressor, {}, {}, (FIRST,)),
    "embed": (Embedder, {}, {}, (FIRST,)),
    "tag": (Tagger, {"labels": TAGS, "crf": True}, {}, (FIRST,)),
    "qa": (SpanReader, {}, {"max_answer_length": 4}, (SECOND, FIRST)),
}


def made(kind, vocabulary, width=6, **arguments):
    config = BertConfig(
        vocab_size=28,
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=2 * width - 2,
        max_position_embeddings=LENGTH,
        initializer_range=0.4,
        hidden_act="gelu_erf",
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    model = kind(config, tokenizer=tokenizer, seed=1, **arguments)
    if getattr(model, "crf", False):
        model.chain.transitions.assign(0.01 * np.random.default_rng(2).normal(size=(C, C)))
    return model


@pytest.mark.parametrize("task", ANSWERED)
def test_a_file_says_what_the_saved_model_says(task, tiny_vocabulary, tmp_path):
    kind, arguments, settings, columns = ANSWERED[task]
    model = made(kind, tiny_vocabulary, **arguments)
    runner = export.litert_runner(export.tflite(model, tmp_path / "model.tflite", lengths=[LENGTH], **settings))
    assert_equal_answers(runner(*columns), serving_of(model, LENGTH, **settings), columns)


def assert_equal_answers(said, serving, columns):
    right = {name: value.numpy() for name, value in serving.serve(*map(tf.constant, columns)).items()}
    assert set(said) == set(right)
    for name, expected in right.items():
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(said[name], expected, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(said[name], expected, err_msg=name)


@pytest.mark.parametrize("crf", [False, True])
def test_the_walk_over_words_finds_the_path_that_viterbi_finds(crf, tiny_vocabulary):
    model, random = made(Tagger, tiny_vocabulary, labels=TAGS, crf=crf), np.random.default_rng(4)
    logits = tf.constant(random.normal(size=(B, T, C)), tf.float32)
    lengths = np.array([7, 4, 1])
    begins = np.arange(T) < lengths[:, None]
    tags, scores = Decoder(model)(logits, tf.constant(begins))
    right = best_tags(logits, tf.constant(lengths, tf.int32), model.legal, np.asarray(model.transitions(), "float32"))
    np.testing.assert_array_equal(tags.numpy()[begins], right.numpy()[begins])
    assert (scores.numpy()[begins] > 0).all() and (scores.numpy()[begins] <= 1 + 1e-6).all()


def test_tokens_that_begin_no_word_are_stepped_over(tiny_vocabulary):
    model, random = made(Tagger, tiny_vocabulary, labels=TAGS, crf=True), np.random.default_rng(5)
    words = random.normal(size=(1, T, C)).astype("float32")
    places = [1, 2, 4, 7, 8, 10, 11]
    spread = random.normal(size=(1, 13, C)).astype("float32")
    spread[0, places] = words[0]
    begins = np.isin(np.arange(13), places)[None]
    decode = Decoder(model)
    together = decode(tf.constant(words), tf.ones([1, T], tf.bool))
    apart = decode(tf.constant(spread), tf.constant(begins))
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(other.numpy()[0, places], one.numpy()[0], atol=1e-5)


@pytest.mark.parametrize("precision", ["float16", "int8", "int8-full"])
def test_coarser_numbers_answer_nearly_alike(precision, tiny_vocabulary, tmp_path):
    model = made(Classifier, tiny_vocabulary, labels=["no", "maybe", "yes"])
    calibration = {"calibration": [*FIRST, *SECOND]} if precision == "int8-full" else {}
    file = export.tflite(model, tmp_path / "model.tflite", lengths=[LENGTH], precision=precision, **calibration)
    said = export.litert_runner(file)(FIRST)["scores"]
    right = serving_of(model, LENGTH).serve(tf.constant(FIRST))["scores"].numpy()
    near = {"float16": 1e-2, "int8": 0.1, "int8-full": 0.3}[precision]
    np.testing.assert_allclose(said, right, atol=near)
    assert not np.array_equal(said, right)  # it is another precision


SWAPPED = {"input_mask": "input_type_ids", "input_type_ids": "input_mask"}
HARM = {  # what a file answers amiss, by the task; "tokenize" harms the rows that it tells
    "tokenize": ("tag", lambda said: {name: said[SWAPPED.get(name, name)] for name in said}),
    "names": ("pairs", lambda said: {**said, "label": tf.gather(["no", "yes"], tf.argmin(said["scores"], -1))}),
    "chosen": ("multilabel", lambda said: {**said, "chosen": ~said["chosen"]}),
    "places": ("tag", lambda said: {**said, "start": said["end"], "end": said["start"]}),
    "answers": ("qa", lambda said: {**said, "start": said["end"] + 1, "end": said["start"]}),
}


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("harm", HARM)
def test_outputs_that_changed_places_are_found_whatever_the_numbers(
    harm, precision, tiny_vocabulary, tmp_path, monkeypatch
):
    task, worse = HARM[harm]
    kind, arguments, settings, _ = ANSWERED[task]
    made_whole = writing.text_signatures

    def harmed(*arguments):
        signatures = made_whole(*arguments)
        name = "tokenize" if harm == "tokenize" else "serving_default"
        whole = signatures[name]
        strings = whole.structured_input_signature[1]
        return {**signatures, name: traced(lambda **texts: worse(whole(**texts)), strings)}

    monkeypatch.setattr(writing, "text_signatures", harmed)
    with pytest.raises(ParityError, match="Nothing was written"):
        out = tmp_path / "model.tflite"
        export.tflite(made(kind, tiny_vocabulary, **arguments), out, lengths=[LENGTH], precision=precision, **settings)
    assert not list(tmp_path.iterdir())


def test_equal_scales_and_the_table_of_positions_are_written_once(tiny_vocabulary, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    model = made(Classifier, tiny_vocabulary, width=48, labels=["no", "yes"])  # no matrix below 1,024 is quantized
    file = export.tflite(model, tmp_path / "model.tflite", lengths=[8, LENGTH], precision="int8")
    content = np.frombuffer(file.read_bytes(), np.uint8)
    read = schema.Model.GetRootAs(content, 0)
    graphs = [read.Subgraphs(number) for number in range(read.SubgraphsLength())]
    tensors = [graph.Tensors(number) for graph in graphs for number in range(graph.TensorsLength())]
    told = [one.Quantization() for one in tensors if one.Quantization() and one.Quantization().ScaleLength() > 1]
    for values in ([one.ScaleAsNumpy() for one in told], [one.ZeroPointAsNumpy() for one in told]):
        places = {(one.tobytes(), one.__array_interface__["data"][0]) for one in values}
        assert len(values) > len(places) == len({numbers for numbers, _ in places}) > 1
    shapes = [tuple(one.ShapeAsNumpy()) for one in tensors if read.Buffers(one.Buffer()).DataLength()]
    tables = {
        one.Buffer()
        for one in tensors
        if tuple(one.ShapeAsNumpy()) == (LENGTH, 48) and one.Type() == schema.TensorType.INT8
    }
    assert (8, 48) not in shapes and len(tables) == 1


def test_a_chooser_has_no_such_form(tiny_vocabulary, tmp_path):
    from kbert.tasks.choice import Chooser

    with pytest.raises(ValueError, match="a model of choice. Export it as a SavedModel"):
        export.tflite(made(Chooser, tiny_vocabulary), tmp_path / "model.tflite")


MEDIAPIPE = """
import json, sys
from mediapipe.tasks.python import BaseOptions, text

def opened(kind, path):
    return getattr(text, kind).create_from_options(
        getattr(text, f"{kind}Options")(base_options=BaseOptions(model_asset_path=path)))

texts = json.loads(sys.argv[4])
*classifiers, embedder = sys.argv[1:4]
said = []
for classifier in classifiers:
    found = [opened("TextClassifier", classifier).classify(line).classifications[0].categories for line in texts]
    said.append([{one.category_name: one.score for one in categories} for categories in found])
embedder = opened("TextEmbedder", embedder)
vectors = [embedder.embed(line).embeddings[0].embedding.tolist() for line in texts]
print(json.dumps([*said, vectors]))
"""


def test_mediapipe_runs_files_that_take_ids(tiny_vocabulary, tmp_path):
    python = os.environ.get("KBERT_MEDIAPIPE_PYTHON")
    if not python or not Path(python).is_file():
        pytest.skip("KBERT_MEDIAPIPE_PYTHON names no Python with mediapipe")
    labels, texts = ["no", "maybe", "yes"], ["the cat sat on the film .", "Unhappy cats!"]
    classifiers = [made(kind, tiny_vocabulary, labels=labels) for kind in (Classifier, MultiLabelClassifier)]
    models = [*classifiers, made(Embedder, tiny_vocabulary)]
    files = [export.tflite(model, tmp_path / f"{model.task}.tflite", lengths=[LENGTH], input="ids") for model in models]
    command = [python, "-c", MEDIAPIPE, *map(str, files), json.dumps(texts)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    *said, vectors = json.loads(run.stdout.splitlines()[-1])
    right = [serving_of(model, LENGTH).serve(tf.constant(texts)) for model in models]
    for found, answers in zip(said, right[:-1], strict=True):
        np.testing.assert_allclose([[one[name] for name in labels] for one in found], answers["scores"], atol=1e-5)
    np.testing.assert_allclose(vectors, right[-1]["embedding"], atol=1e-5)


@pytest.mark.parametrize("task", ANSWERED)
def test_the_runner_tokenizes_for_a_file_that_takes_ids(task, tiny_vocabulary, tmp_path):
    kind, arguments, settings, columns = ANSWERED[task]
    model = made(kind, tiny_vocabulary, **arguments)
    file = export.tflite(model, tmp_path / "model.tflite", lengths=[LENGTH], input="ids", **settings)
    assert_equal_answers(export.litert_runner(file)(*columns), serving_of(model, LENGTH, **settings), columns)
