"""Requests that TensorFlow Serving plays to a model before it takes traffic: no user waits for the first trace.

TensorFlow sets up its kernels for the shapes that it meets. Texts come in any length, so lengths are put into buckets
that double, and each bucket is asked for in several sizes of batches, up to the largest of batching.config.
The file is small and soon written; a server is ready once it has answered it, most of the time the largest requests,
whose memory it then has.

B texts, T tokens.
"""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from export.serving import Serving
from export.tf_serving_batching import MAX_BATCH

FEWEST = 8  # tokens of the shortest bucket
BATCH_SIZES = (1, 4, MAX_BATCH)
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
    for length in buckets(serving.max_length):
        for size in BATCH_SIZES:
            yield WORD * serving.sample_words(length), size
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
