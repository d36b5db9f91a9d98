"""Requests that TensorFlow Serving plays to a model before it takes traffic: no user waits for the first trace.

TensorFlow sets up its kernels for the shapes that it meets. Texts come in any length, so lengths are put into buckets
that double, and each bucket is asked for in several sizes of batches.

B texts, T tokens.
"""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from export.serving import Serving
from pipelines.packing import PAIR_SPECIALS, SINGLE_SPECIALS

FEWEST = 8  # tokens of the shortest bucket
BATCH_SIZES = (1, 4, 32)
MOST_TOKENS = 4096  # B * T of a request, so that a server with a large model is ready in seconds
TEXTS = (
    "",
    "A short text.",
    "Caf\u00e9s, na\u00efve",
    "\u0130stanbul \ufdfa \u6771\u4eac",
)  # all roads of the tokenizer
WORD = "."  # a token in every vocabulary, [UNK] if nothing else


def buckets(max_length: int) -> list[int]:
    """The longest row of each bucket.

    >>> buckets(100)
    [8, 16, 32, 64, 100]
    """
    found = [FEWEST]
    while found[-1] * 2 < max_length:
        found.append(found[-1] * 2)
    return [length for length in found if length < max_length] + [max_length]


def warmup_texts(serving: Serving) -> Iterator[tuple[str, int]]:
    """Texts, and how many of each a request has."""
    yield from ((text, 1) for text in TEXTS)
    columns = len(serving.inputs)
    for length in buckets(serving.max_length):
        words = max(length - (SINGLE_SPECIALS if columns == 1 else PAIR_SPECIALS), 0)
        for size in BATCH_SIZES:
            if size * length <= MOST_TOKENS:
                yield WORD * (words // columns), size
    yield WORD * (3 * serving.max_length), 1  # cut, or seen through windows


def write_warmup_requests(folder: Path, serving: Serving) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`: every bucket of lengths, alone and in batches.

    Args:
        folder: of the SavedModel.
        serving: whose strings are asked.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for text, size in warmup_texts(serving):
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = "serving_default"
            for name, strings in serving.sample([text] * size).items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(strings.numpy(), tf.string))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
