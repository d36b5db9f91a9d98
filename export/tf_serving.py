"""What TensorFlow Serving reads beside a model's versions: which models there are, and how requests are put together.

served/
  1/  2/            versions, a SavedModel each; the highest is served
  models.config     --model_config_file
  batching.config   --batching_parameters_file, with --enable_batching

Layout: https://www.tensorflow.org/tfx/serving/serving_config
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import tensorflow as tf

from export.model_card import code
from export.tf_serving_batching import MAX_BATCH, MAX_WAITING, TIMEOUT_MICROS
from kbert.whole_files import beside

MODELS, BATCHING = "models.config", "batching.config"
WHERE = "/models"  # where the server's image looks for models
REST_PORT, GRPC_PORT = 8501, 8500

BATCHING_TEXT = f"""# Requests wait a millisecond at most for others; a batch costs what its texts cost.
# For CPUs. Give num_batch_threads the number of cores, or leave it to the server.
max_batch_size {{ value: {MAX_BATCH} }}
batch_timeout_micros {{ value: {TIMEOUT_MICROS} }}
max_enqueued_batches {{ value: {MAX_WAITING} }}
"""

# What is asked in examples: a string, or several for one question.
QUESTIONS: Mapping[str, str | list[str]] = MappingProxyType(
    {
        "text": "a text",
        "text_a": "a text",
        "text_b": "another",
        "question": "who?",
        "context": "a context that says who",
        "choices": ["one choice", "another"],
    }
)


def is_version(out: Path) -> bool:
    """Whether a folder has the name of a version.

    >>> is_version(Path("served/12")), is_version(Path("served/model"))
    (True, False)
    """
    return out.name.isascii() and out.name.isdecimal()


def next_version(folder: str | Path) -> Path:
    """The folder of the version after the last that is there; `1` where there is none.

    >>> next_version("nothing/here").as_posix()
    'nothing/here/1'
    """
    folder = Path(folder)
    there = [int(path.name) for path in folder.iterdir() if is_version(path)] if folder.is_dir() else []
    return folder / str(max(there, default=0) + 1)


def write_configs(folder: Path) -> None:
    """Writes models.config and batching.config beside the versions in `folder`; what is there is left alone."""
    name = folder.resolve().name
    models = (
        "# Paths are those in the server's container; write others where it runs without one.\n"
        "model_config_list {\n"
        "  config {\n"
        f"    name: {json.dumps(name)}\n"
        f"    base_path: {json.dumps(f'{WHERE}/{name}')}\n"
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )
    for file, text in ((MODELS, models), (BATCHING, BATCHING_TEXT)):
        if not (folder / file).exists():
            with beside(folder / file) as unfinished:
                unfinished.write_text(text, "utf-8")


def calls(out: Path, inputs: Mapping[str, tf.TensorSpec]) -> list[str]:
    """How a SavedModel is asked: in Python, by TensorFlow's command, by curl and gRPC; Markdown.

    Args:
        out: the SavedModel's folder, as it will be called.
        inputs: its strings.
    """
    name = (out.resolve().parent if is_version(out) else out.resolve()).name
    asked = {key: [QUESTIONS.get(key, "a text")] for key in inputs}
    told = {key: json.dumps(value) for key, value in asked.items()}
    return [
        "## How to call it",
        "In Python, in this folder:",
        code("python", PYTHON.format(asked=", ".join(f"{key}=tf.constant({told[key]})" for key in told))),
        "By TensorFlow's own command, which must load the operations first:",
        code("sh", COMMAND.format(asked=";".join(f"{key}={asked[key]!r}" for key in asked))),
        "From TensorFlow Serving:",
        code("sh", SERVER.format(name=name, rest=REST_PORT, grpc=GRPC_PORT, where=WHERE)),
        "By curl:",
        code("sh", CURL.format(asked=json.dumps({"inputs": asked}), name=name, port=REST_PORT)),
        "By gRPC:",
        code("python", GRPC.format(port=GRPC_PORT, name=name, asked=json.dumps(asked))),
    ]


PYTHON = """import tensorflow as tf
import tensorflow_text  # its operations are in the graph

loaded = tf.saved_model.load(".")
answers = loaded.signatures["serving_default"]({asked})"""

COMMAND = """python -c 'import tensorflow_text; from tensorflow.python.tools.saved_model_cli import main; main()' \\
  run --dir . --tag_set serve --signature_def serving_default --input_exprs "{asked}" """.rstrip()

SERVER = """# in the folder that holds {name}/, whose 1/ is this one
docker run -p {rest}:{rest} -p {grpc}:{grpc} -v "$PWD/{name}:{where}/{name}" tensorflow/serving \\
  --model_config_file={where}/{name}/models.config \\
  --enable_batching --batching_parameters_file={where}/{name}/batching.config"""

CURL = """curl -d '{asked}' http://localhost:{port}/v1/models/{name}:predict"""

GRPC = """import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel("localhost:{port}"))
request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
for key, strings in {asked}.items():
    request.inputs[key].CopyFrom(tf.make_tensor_proto(strings))
answers = {{key: tf.make_ndarray(value) for key, value in stub.Predict(request, timeout=10).outputs.items()}}"""
