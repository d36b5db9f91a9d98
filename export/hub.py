"""TensorFlow Hub's pair for text: preprocess/ takes strings, encoder/ gives vectors and learns on once it is loaded.

https://www.tensorflow.org/hub/common_saved_model_apis/text says what both are called with; what is published under it
can be replaced by this pair.

B texts, T tokens, D width, L blocks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from export.hub_preprocessing import preprocessing
from export.model_card import Card, code, write_card
from export.parity import TEXTS, difference
from export.serving import ID_TENSORS, IDS
from export.tracing import without_gradients
from export.whole_folders import beside, check_free
from kbert.encoder import Encoder
from kbert.layout import Padded
from kbert.lora import merged_weights
from kbert.pooling import POOLINGS, unit_length
from kbert.weights.table import shapes
from pipelines import WordPiece, pack_to_length

PREPROCESS, ENCODER = "preprocess", "encoder"
SEQ_LENGTH = 128  # tokens of a row, as the published preprocessors have

CALLS = """import tensorflow as tf
import tensorflow_text  # its operations are in the preprocessing

preprocess, encoder = tf.saved_model.load("preprocess"), tf.saved_model.load("encoder")
outputs = encoder(preprocess(tf.constant(["a text"])), training=False)
outputs["pooled_output"], outputs["sequence_output"], outputs["encoder_outputs"], outputs["default"]
pair = preprocess.bert_pack_inputs([preprocess.tokenize(["a text"]), preprocess.tokenize(["another"])], seq_length=64)
encoder.trainable_variables  # fine-tune them under a tf.GradientTape, with training=True for dropout"""


def hub(
    model: keras.Model,
    out: str | Path,
    *,
    seq_length: int | None = None,
    overwrite: bool = False,
    card: Card | None = None,
) -> Path:
    """Writes a model's encoder and its tokenizer as a pair of SavedModels with TensorFlow Hub's API for text.

    `preprocess/`: see `export.hub_preprocessing.preprocessing`. `encoder/` is called with a dict of the three id
    tensors int32 [B, T] and `training=`, and gives `sequence_output` [B, T, D], `pooled_output` [B, D],
    `encoder_outputs`, L of [B, T, D], and `default` [B, D], which is the vector of an embedder and `pooled_output` of
    other models. It has `variables`, `trainable_variables` and `regularization_losses`. A head stays behind.

    Before it gets its name, the pair is loaded and its vectors are compared with the model's.

    Args:
        model: a `kbert.Encoder` or a task's model, with a tokenizer.
        out: folder to write; new or empty unless `overwrite`.
        seq_length: tokens of a row where a caller asks for nothing else; 128, or all positions where there are fewer.
        overwrite: replaces what is in `out`.
        card: what README.md says beside what the model knows of itself.

    Returns:
        The folder.

    Raises:
        ValueError: `out` holds files; `seq_length` is over the model's positions; the model has no tokenizer.
        ParityError: the exported vectors are not the model's.
    """
    out = Path(out)
    check_free(out, overwrite)
    spec = model.tokenizer_spec
    length = min(SEQ_LENGTH, spec["max_positions"]) if seq_length is None else seq_length
    if length > spec["max_positions"]:
        raise ValueError(f"seq_length is at most {spec['max_positions']} for this model; got {length}. Lower it.")
    wordpiece, encoder, whole = WordPiece.from_spec(spec), encoder_of(model), pooling_of(model)
    with beside(out) as folder:
        first = preprocessing(wordpiece, length)
        strings = {"serving_default": first.__call__.get_concrete_function()}
        tf.saved_model.save(first, str(folder / PREPROCESS), strings)
        second = module(encoder, whole)
        second.vocab_file = tf.saved_model.Asset(str(spec["vocabulary"]))
        second.do_lower_case = tf.Variable(wordpiece.lowercase, trainable=False)
        tf.saved_model.save(second, str(folder / ENCODER), {"serving_default": flat(second.__call__)})
        check_pair(folder, wordpiece, encoder, whole, length)
        if model.task is not None:
            write_card(folder, model, card, ["## How to call it", "In this folder:", code("python", CALLS)])
    return out


def encoder_of(model: keras.Model) -> Encoder:
    """A model's encoder as one that computes in float32, whose weights all learn, and whose padding stays."""
    encoder = Encoder(model.config, tokenizer=model.tokenizer, seed=model.seed)
    own = merged_weights(model)
    for name in shapes(model.config):
        encoder.named_weights()[name].assign(own[name])
    encoder.use_layout(Padded)  # rows of one length have static shapes, which XLA and TPUs need
    return encoder


def pooling_of(model: keras.Model) -> Callable:
    """(outputs of the encoder, input_mask) -> the vector of each text, float [B, D]."""
    if model.task != "embed":
        return lambda outputs, mask: outputs["pooled_output"]
    pooling = POOLINGS[model.pooling]

    def pooled(outputs, mask):
        tokens = outputs["sequence_output"]
        vectors = pooling(Padded(mask), tf.reshape(tokens, [-1, tokens.shape[-1]]), mask)
        return unit_length(vectors) if model.normalize else vectors

    return pooled


def module(encoder: Encoder, whole: Callable) -> tf.train.Checkpoint:
    """The encoder as a module to save. Its gradients are TensorFlow's own, so that whoever loads it can take them.

    Args:
        encoder: padded.
        whole: see `pooling_of`.
    """
    noise = [state for state in encoder.variables if "seed_generator" in state.path]
    steps = tf.Variable(0, trainable=False, dtype=tf.int64, name="steps")  # of training, each with its own dropout
    learned = [weight.value for weight in encoder.weights]

    def answers(training: bool) -> Callable:
        def lean(step, *ids):
            inputs = dict(zip(ID_TENSORS, ids, strict=True))
            states = [(state, state.value + tf.cast(step, state.dtype)) for state in noise]
            with keras.StatelessScope(states):
                outputs = encoder(inputs, training=training)
                return {**outputs, "default": whole(outputs, inputs["input_mask"])}

        return inlined(lean, [tf.TensorSpec([], tf.int64), *IDS.values()])

    ways = {training: answers(training) for training in (False, True)}

    @tf.function(autograph=False)
    def call(inputs, training=False):
        step = tf.convert_to_tensor(steps.assign_add(1)) if training else tf.constant(0, tf.int64)
        return ways[bool(training)](step, *(inputs[name] for name in ID_TENSORS))

    for training in ways:
        call.get_concrete_function(dict(IDS), training=training)
    saved = tf.train.Checkpoint()
    saved.__call__ = call
    saved.variables = [*learned, *(state.value for state in noise), steps]
    saved.trainable_variables = learned
    saved.regularization_losses = []
    return saved


def inlined(function: Callable, specs: Sequence[tf.TensorSpec]) -> Callable:
    """A function whose operations appear where it is called, without the custom gradients that only we could take."""
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    graph = without_gradients(traced.graph.as_graph_def())
    given = {tensor.op.name for tensor in traced.inputs}
    for node in [node for node in graph.node if node.name in given]:
        graph.node.remove(node)
    used = {source.partition(":")[0].lstrip("^") for node in graph.node for source in node.input}
    names = [tensor.name for tensor in traced.outputs]

    def call(*tensors):
        captured = map(tf.compat.v1.get_default_graph().capture, traced.captured_inputs)  # handles of variables
        fed = zip(traced.inputs, [*tensors, *captured], strict=True)
        found = tf.graph_util.import_graph_def(
            graph,
            input_map={tensor.name: value for tensor, value in fed if tensor.op.name in used},
            return_elements=names,
            name="",
        )
        return tf.nest.pack_sequence_as(traced.structured_outputs, found)

    return call


def flat(call: tf.types.experimental.GenericFunction) -> tf.types.experimental.ConcreteFunction:
    """The encoder as a signature, whose outputs have a name each."""
    specs = list(IDS.values())

    def serve(*ids):
        outputs = call(dict(zip(ID_TENSORS, ids, strict=True)), training=False)
        return {name: outputs[name] for name in ("sequence_output", "pooled_output", "default")}

    return tf.function(serve, autograph=False).get_concrete_function(*specs)


def check_pair(folder: Path, wordpiece: WordPiece, encoder: Encoder, whole: Callable, length: int) -> None:
    """Raises ParityError where the loaded pair gives other ids or vectors than the model."""
    first, second = (tf.saved_model.load(str(folder / name)) for name in (PREPROCESS, ENCODER))
    ids = first(tf.constant(TEXTS))
    right_ids = pack_to_length([wordpiece.tokenize(list(TEXTS))], wordpiece, length)
    for name in ID_TENSORS:
        difference(name, ids[name].numpy(), right_ids[name].numpy())
    right, found = encoder(right_ids), second(ids)
    right["default"] = whole(right, right_ids["input_mask"])
    for name in ("sequence_output", "pooled_output", "default"):
        difference(name, np.asarray(found[name]), np.asarray(right[name]))
