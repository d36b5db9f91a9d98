"""What stands around a SavedModel for TensorFlow Serving: versions, configs, warm-up, batching, and a true card.

B texts, T tokens.
"""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from exported_models import make
from google.protobuf import text_format
from saved_model_cases import MAX_LENGTH, ODD_TEXTS, ask, classifier

import export
from export import tf_serving, warmup
from export.saved_model import serving_of
from export.tf_serving_batching import MAX_BATCH

TEXTS = ("the cat sat", "unhappy", "a very good film .", "", "dog !")


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return classifier(tiny_vocabulary)


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """A folder of two versions."""
    root = tmp_path_factory.mktemp("models") / "tone"
    card = export.Card("apache-2.0", "minilm-l6", {"train": "train.tsv"}, {"accuracy": 0.875})
    export.saved_model(model, tf_serving.next_version(root), max_length=MAX_LENGTH, card=card)
    export.saved_model(model, tf_serving.next_version(root), max_length=MAX_LENGTH, signature_batching=True)
    return root


# Versions and configs


def test_versions_follow_one_another_and_the_configs_lie_beside(served):
    assert sorted(path.name for path in served.iterdir()) == ["1", "2", "batching.config", "models.config"]
    (served / "10").mkdir()
    (served / "notes").mkdir()
    assert tf_serving.next_version(served) == served / "11"
    (served / "10").rmdir()
    (served / "notes").rmdir()


def test_the_server_reads_the_models_config(served):
    pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    config = text_format.Parse((served / "models.config").read_text(), pb2.ModelServerConfig())
    (one,) = config.model_config_list.config
    assert (one.name, one.base_path, one.model_platform) == ("tone", "/models/tone", "tensorflow")


def test_the_batching_config_is_the_servers(served):
    """Its message is in no package: fields of session_bundle_config.proto, each a number in a wrapper."""
    lines = [line for line in (served / "batching.config").read_text().splitlines() if not line.startswith("#")]
    told = dict(re.fullmatch(r"(\w+) \{ value: (\d+) \}", line).groups() for line in lines)
    assert set(told) == {"max_batch_size", "batch_timeout_micros", "max_enqueued_batches"}
    assert int(told["max_batch_size"]) == max(warmup.BATCH_SIZES) == 32


def test_configs_that_somebody_changed_are_kept(model, tmp_path):
    (tmp_path / "models.config").write_text("mine")
    export.saved_model(model, tmp_path / "7", max_length=MAX_LENGTH)
    assert (tmp_path / "models.config").read_text() == "mine"
    assert (tmp_path / "batching.config").exists()


def test_a_folder_of_another_name_has_nothing_beside(model, tmp_path):
    export.saved_model(model, tmp_path / "out", max_length=MAX_LENGTH)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_saved_model_cli_runs_it_as_the_card_says(served, tmp_path):
    card = (served / "1" / "README.md").read_text("utf-8")
    (command,) = re.findall(r"```sh\npython (-c .*?)\n```", card, re.DOTALL)
    words = f"{sys.executable} {command} --outdir {tmp_path}"
    run = subprocess.run(words, shell=True, cwd=served / "1", capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    right = ask(tf.saved_model.load(str(served / "1")), [tf_serving.QUESTIONS["text"]])["scores"]
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), right, atol=1e-6)


# Warm-up


@pytest.mark.parametrize("positions, buckets", [(16, [8, 16]), (300, [8, 16, 32, 64, 128, 256, 300])])
@pytest.mark.parametrize("name", ["classify", "pair", "qa", "choice", "embed", "tag", "pretrain"])
def test_every_bucket_is_warmed_alone_and_in_batches(tiny_vocabulary, name, positions, buckets):
    model = make("classify" if name == "pair" else name, tiny_vocabulary, positions=positions)
    serving = serving_of(model, **({"pair": True} if name == "pair" else {}))
    met = set()
    for text, size in warmup.warmup_texts(serving):
        ids = serving.tokenize(*serving.sample([text] * size).values())["input_word_ids"]
        met.add((int(ids.shape[-1]), size))
    for shortest, most in zip([0, *buckets], buckets, strict=False):
        assert {size for length, size in met if shortest < length <= most} >= set(warmup.BATCH_SIZES)


def test_a_model_is_warmed_to_its_end():
    assert warmup.buckets(512)[-1] == 512 and warmup.buckets(8) == [8] and warmup.buckets(5) == [5]


# Batching


def test_requests_that_are_put_together_have_their_own_answers(served):
    together, alone = (tf.saved_model.load(str(served / version)) for version in ("2", "1"))
    graph = together.signatures["serving_default"].graph.as_graph_def()
    nodes = [node for function in graph.library.function for node in function.node_def]
    assert [node.op for node in [*graph.node, *nodes]].count("BatchFunction") == 1
    requests = [list(ODD_TEXTS[place : place + 1 + place % 3]) for place in range(len(ODD_TEXTS) - 3)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda texts: ask(together, texts), requests))
    for texts, answers in zip(requests, found, strict=True):
        expected = ask(alone, texts)
        np.testing.assert_allclose(answers["scores"], expected["scores"], atol=1e-5)
        np.testing.assert_array_equal(answers["label"], expected["label"])


@pytest.mark.parametrize("count", [0, 1, MAX_BATCH, MAX_BATCH + 7])
def test_requests_of_any_size_are_answered(served, count):
    loaded = tf.saved_model.load(str(served / "2"))
    assert ask(loaded, (TEXTS * 8)[:count])["scores"].shape == (count, 3)


def test_two_models_in_a_process_have_queues_of_their_own(served, tiny_vocabulary, tmp_path):
    other = classifier(tiny_vocabulary)
    other.classifier.bias.assign([0.0, 0.0, 9.0])
    export.saved_model(other, tmp_path / "other", max_length=MAX_LENGTH, signature_batching=True)
    first, second = (tf.saved_model.load(str(path)) for path in (served / "2", tmp_path / "other"))
    for _ in range(2):
        assert ask(first, TEXTS)["scores"][:, 2].max() < 0.9 < ask(second, TEXTS)["scores"][:, 2].min()


def test_a_tagger_is_batched_though_its_answers_have_many_sizes(tiny_vocabulary, tmp_path):
    model = make("tag", tiny_vocabulary)
    out = export.saved_model(model, tmp_path / "out", signature_batching=True)
    loaded = tf.saved_model.load(str(out))
    answers = ask(loaded, ["the " * count for count in range(40)])
    assert answers["tokens"].shape == (40, 39)


def test_choices_cannot_be_put_together(tiny_vocabulary, tmp_path):
    with pytest.raises(ValueError, match="text, choices of choice are not"):
        export.saved_model(make("choice", tiny_vocabulary), tmp_path / "out", signature_batching=True)
    assert list(tmp_path.iterdir()) == []


# The card


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)


def test_the_card_says_what_a_run_tells(served):
    told = (served / "1" / "README.md").read_text("utf-8")
    for part in (
        "apache-2.0",
        "`minilm-l6`",
        "`train.tsv`",
        "| accuracy | 0.8750 |",
        "`positive`",
        "/models/tone",
        f"{MAX_LENGTH} tokens",
    ):
        assert part in told
    assert "unknown" not in told and "unknown" in (served / "2" / "README.md").read_text("utf-8")


def test_the_cards_python_runs(served, monkeypatch):
    monkeypatch.chdir(served / "1")
    names: dict = {}
    exec(blocks(served / "1" / "README.md", "python")[0], names)
    assert names["answers"]["scores"].shape == (1, 3)


def test_the_cards_curl_asks_for_what_the_signature_takes(served):
    (line,) = [block for block in blocks(served / "1" / "README.md", "sh") if block.startswith("curl")]
    asked, url = re.fullmatch(r"curl -d '(.*)' (\S+)\n", line).groups()
    assert url == "http://localhost:8501/v1/models/tone:predict"
    assert ask(tf.saved_model.load(str(served / "1")), json.loads(asked)["inputs"]["text"])["label"].shape == (1,)


def test_the_cards_grpc_is_answered(served):
    grpc = pytest.importorskip("grpc")
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    loaded = tf.saved_model.load(str(served / "1"))

    class Answering(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "tone"
            texts = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            response = predict_pb2.PredictResponse()
            for name, value in loaded.signatures["serving_default"](**texts).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Answering(), server)
        port = server.add_insecure_port("localhost:0")
        server.start()
        names: dict = {}
        exec(blocks(served / "1" / "README.md", "python")[1].replace("8500", str(port)), names)
        server.stop(None)
    assert names["answers"]["scores"].shape == (1, 3)
