"""A TFLite file that takes strings answers as its model, by TFLite's own operations and two of TensorFlow Text.

B texts, T tokens, C classes.
"""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from saved_model_cases import LABELS, MAX_LENGTH, ODD_TEXTS, C, classifier, expected

import export
from export.litert_files import open_interpreter, read_about
from export.parity import ParityError
from export.tflite import writing
from export.tflite.checking import check_texts
from export.tflite.conversion import CUSTOM_OPS
from export.tflite.rows import ExactTokenizer, packed
from pipelines import WordPiece
from pipelines.packing import pack_to_length

IDS = ("input_word_ids", "input_mask", "input_type_ids")
SHORT = 6
TEXTS = tuple(text for text in ODD_TEXTS if isinstance(text, str))
OTHERWISE = "Na\u00efve CAF\u00c9 \u0130stanbul \ufdfa"  # what a device parts in another way than the exact tokenizer
ALIKE = tuple(text for text in TEXTS if text != OTHERWISE)


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return classifier(tiny_vocabulary)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("tflite") / "model.tflite"
    return export.tflite(model, out, lengths=[MAX_LENGTH, SHORT])


@pytest.fixture(scope="module")
def runner(file):
    return export.litert_runner(file, threads=2, batch_size=4)


@pytest.fixture(scope="module")
def interpreter(file):
    return open_interpreter(file)


def test_weights_lie_where_devices_may_read_them_in_place(file):
    from ai_edge_litert import schema_py_generated as schema

    content = np.frombuffer(file.read_bytes(), np.uint8)
    model = schema.Model.GetRootAs(content, 0)
    first = content.__array_interface__["data"][0]
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    places = [one.DataAsNumpy().__array_interface__["data"][0] - first for one in buffers if one.DataLength()]
    assert len(places) > 10 and not any(place % 16 for place in places)


def strings(texts):
    return np.array([text.encode() for text in texts], object)


def test_its_answers_are_the_models(model, runner):
    answers, right = runner(ALIKE), expected(model, list(ALIKE))
    np.testing.assert_allclose(answers["scores"], right, atol=1e-5)
    names = np.array([label.encode() for label in LABELS], object)
    np.testing.assert_array_equal(answers["label"], names[right.argmax(1)])
    np.testing.assert_array_equal(answers["classes"], np.tile(names, [len(ALIKE), 1]))
    assert answers["scores"].std(0).max() > 1e-2  # so that the laws here can fail


@pytest.mark.parametrize("length", [SHORT, MAX_LENGTH])
def test_each_signature_answers_for_rows_of_its_length(model, interpreter, length):
    said = interpreter.get_signature_runner(f"serving_default_{length}")(text=strings(ALIKE))
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    rows = pack_to_length([wordpiece.tokenize(list(ALIKE))], wordpiece, length)
    np.testing.assert_allclose(said["scores"], tf.nn.softmax(model(rows)), atol=1e-5)
    found = interpreter.get_signature_runner("tokenize")(text=strings(ALIKE))
    for name in IDS:
        whole = pack_to_length([wordpiece.tokenize(list(ALIKE))], wordpiece, MAX_LENGTH)[name]
        np.testing.assert_array_equal(found[name], whole)
    by_ids = interpreter.get_signature_runner(f"from_ids_{length}")(**{name: rows[name].numpy() for name in IDS})
    np.testing.assert_allclose(by_ids["scores"], said["scores"], atol=1e-6)


def test_signatures_have_the_names_of_the_contract(interpreter):
    answers = {"inputs": ["text"], "outputs": ["label", "scores"]}
    by_ids = {"inputs": sorted(IDS), "outputs": ["label", "scores"]}
    assert interpreter.get_signature_list() == {
        **{f"serving_default_{length}": answers for length in (SHORT, MAX_LENGTH)},
        **{f"from_ids_{length}": by_ids for length in (SHORT, MAX_LENGTH)},
        "tokenize": {"inputs": ["text"], "outputs": sorted(IDS)},
    }


def test_it_has_no_other_operations_than_the_two_of_tensorflow_text(file):
    from ai_edge_litert import schema_py_generated as schema

    told = schema.Model.GetRootAsModel(file.read_bytes(), 0)
    codes = [told.OperatorCodes(place).CustomCode() for place in range(told.OperatorCodesLength())]
    assert {code.decode() for code in codes if code} == CUSTOM_OPS


def test_batch_neighbours_and_order_never_matter(runner):
    together = runner(TEXTS)["scores"]
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(runner([text])["scores"][0], together[row], atol=1e-5)
    np.testing.assert_allclose(runner(TEXTS[::-1])["scores"][::-1], together, atol=1e-5)
    assert runner([])["scores"].shape == (0, C)


def test_a_batch_is_asked_at_the_shortest_length_that_fits(file):
    runner, asked = export.litert_runner(file), []
    runner._answer = {
        length: lambda length=length, answer=answer, **ids: asked.append(length) or answer(**ids)
        for length, answer in runner._answer.items()
    }
    runner(["a cat"])
    runner(["the cat sat on the film ."])
    runner(["very " * 40])  # longer than all: cut
    assert asked == [SHORT, MAX_LENGTH, MAX_LENGTH]


def test_rows_are_packed_as_for_training(model):
    wordpiece, length = WordPiece.from_spec(model.tokenizer_spec), 9
    exact, others = ExactTokenizer(wordpiece), TEXTS[4:] + TEXTS[:4]
    for columns in ([TEXTS], [TEXTS, others]):
        rows = packed([exact.split(tf.constant(column)) for column in columns], exact.specials, length)
        right = pack_to_length([wordpiece.tokenize(list(column)) for column in columns], wordpiece, length)
        for name, found in zip(IDS, rows[:3], strict=True):
            np.testing.assert_array_equal(found, right[name])


def test_the_check_counts_texts_that_devices_part_otherwise(model):
    found = check_texts(model.tokenizer_spec, TEXTS)
    assert (found["texts"], found["differ"]) == (len(TEXTS), 1)
    assert found["shown"][0]["text"] == OTHERWISE and found["shown"][0]["exact"] != found["shown"][0]["device"]


def test_the_same_model_makes_the_same_file(model, tmp_path):
    files = [export.tflite(model, tmp_path / name, lengths=[SHORT]).read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_the_file_says_what_it_is(file):
    with zipfile.ZipFile(file) as packed_in:
        assert packed_in.read("labels.txt").decode().splitlines() == list(LABELS)
    about = read_about(file)
    assert (about["task"], about["lengths"], about["max_length"]) == ("classify", [SHORT, MAX_LENGTH], MAX_LENGTH)


STRANGER = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("kbert", "pipelines", "export"):
            raise ImportError(f"{name} may not be imported here")

sys.meta_path.insert(0, Blocker())
import numpy as np
import tensorflow_text as tf_text
from ai_edge_litert.interpreter import InterpreterWithCustomOps

ops = tf_text.tflite_registrar.SELECT_TFTEXT_OPS
interpreter = InterpreterWithCustomOps(model_path=sys.argv[1], custom_op_registerers=ops)
answer = interpreter.get_signature_runner(sys.argv[2])
print(answer(text=np.array([b"the cat sat"], object))["scores"].tolist())
"""

ALONE = """
import json, sys
import export
runner = export.litert_runner(sys.argv[1])
print(json.dumps([runner(["the cat sat"])["scores"].tolist(), sorted({name.split(".")[0] for name in sys.modules})]))
"""


def said_by(code, *words, folder, **environment):
    command = [sys.executable, "-P", "-c", code, *map(str, words)]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


def test_it_answers_where_this_project_cannot_be_imported(file, runner, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = said_by(STRANGER, file, f"serving_default_{SHORT}", folder=tmp_path, **environment)
    np.testing.assert_allclose(json.loads(said), runner(["the cat sat"])["scores"], atol=1e-6)


def test_the_runner_imports_neither_keras_nor_tensorflow(file, runner, tmp_path):
    import kbert

    home = os.path.dirname(os.path.dirname(kbert.__file__))
    scores, modules = json.loads(said_by(ALONE, file, folder=tmp_path, **{**os.environ, "PYTHONPATH": home}))
    np.testing.assert_allclose(scores, runner(["the cat sat"])["scores"], atol=1e-6)
    assert not {"keras", "tensorflow", "kbert"} & set(modules)


def test_a_model_whose_weights_are_not_finite_is_refused_and_leaves_nothing(tiny_vocabulary, tmp_path):
    broken = classifier(tiny_vocabulary)
    broken.classifier.bias.assign([float("nan")] * C)
    with pytest.raises(ParityError, match="Nothing was written"):
        export.tflite(broken, tmp_path / "model.tflite", lengths=[SHORT])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["swapped labels", "lost name"])
def test_a_file_that_answers_otherwise_is_refused(model, tmp_path, monkeypatch, harm):
    made = writing.text_signatures

    def harmed(task, tokenizer, lengths):
        answer = task.answer

        def worse(ids):
            said = answer(ids)
            if harm == "lost name":
                return {"scores": said["scores"], "output_0": said["label"]}
            return {**said, "scores": said["scores"][:, ::-1]}

        task.answer = worse
        try:
            return made(task, tokenizer, lengths)
        finally:
            task.answer = answer

    monkeypatch.setattr(writing, "text_signatures", harmed)
    with pytest.raises(ParityError, match="outputs have their names" if harm == "lost name" else "scores of"):
        export.tflite(model, tmp_path / "model.tflite", lengths=[SHORT])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"precision": "int4"}, "precision is one of float32, float16, int8, int8-full"),
        ({"precision": "int8-full"}, "Give calibration"),
        ({"calibration": ["a"]}, "calibration is for precision int8-full"),
        ({"lengths": [17]}, "from 5 to 16 for this model; got 17"),
        ({"lengths": [3]}, "from 5 to 16"),
        ({"lengths": [6, 9], "input": "ids"}, "has one length"),
        ({"input": "sound"}, "input is text or ids"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(model, tmp_path, settings, told):
    with pytest.raises(ValueError, match=told):
        export.tflite(model, tmp_path / "model.tflite", **settings)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_stays(model, file, tmp_path):
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match="is there. Choose another name"):
        export.tflite(model, file)
    with pytest.raises(FileExistsError, match="is a folder"):
        export.tflite(model, tmp_path, overwrite=True)
    assert file.read_bytes() == before


def test_a_tokenizer_that_devices_have_not_is_refused_and_told_of_ids(tiny_vocabulary, tmp_path):
    model = classifier(tiny_vocabulary)
    model.tokenizer["strip_accents"] = False
    with pytest.raises(ValueError, match="--input ids"):
        export.tflite(model, tmp_path / "model.tflite", lengths=[SHORT])
