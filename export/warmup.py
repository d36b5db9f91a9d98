"""Requests that TensorFlow Serving plays to a model before it takes traffic: no user waits for the first trace."""

from pathlib import Path

import tensorflow as tf

from export.serving import Serving

WARMUP_TEXTS = (
    "",
    "A short text.",
    "One of some twenty words, which is about as long as a sentence of a newspaper tends to be, and no more. " * 5,
)
BATCH_SIZES = (1, 4)


def write_warmup_requests(folder: Path, serving: Serving) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`: short and long texts, alone and in batches.

    Args:
        folder: of the SavedModel.
        serving: whose strings are asked.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in BATCH_SIZES:
            for text in WARMUP_TEXTS:
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = "serving_default"
                for name, strings in serving.sample([text] * size).items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(strings.numpy(), tf.string))
                log = prediction_log_pb2.PredictLog(request=request)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
