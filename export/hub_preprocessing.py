"""The first of TensorFlow Hub's pair for text: strings -> what an encoder reads.

Its names are those of https://www.tensorflow.org/hub/common_saved_model_apis/text, and those of the Model Garden's
`export_tfhub_lib.create_preprocessing` where that page leaves them open.

B texts, T tokens.
"""

from collections.abc import Callable

import tensorflow as tf

from pipelines import WordPiece, pack, pack_to_length
from pipelines.packing import PAIR_SPECIALS, SINGLE_SPECIALS, shared_room

TEXTS = tf.TensorSpec([None], tf.string, "sentences")
ANY = 1 << 30  # tokens


def preprocessing(wordpiece: WordPiece, seq_length: int) -> tf.train.Checkpoint:
    """A module to save; loaded, it is called.

    Calls of what is loaded:
        itself(strings [B]): the three id tensors int32 [B, seq_length].
        tokenize(strings [B]): ids, ragged int32 [B, (T)].
        tokenize_with_offsets(strings [B]): ids, and where each token starts and ends, in bytes, ragged int64 [B, (T)].
        bert_pack_inputs([ids] or [ids, ids], seq_length=): the three id tensors. Ids are ragged, with one or two ragged
            dimensions.
        tokenize.get_special_tokens_dict(): the numbers of the special tokens, and how many tokens there are.

    Args:
        wordpiece: the model's.
        seq_length: tokens of a row where nothing else is asked for.
    """
    module = callable_module(
        tf.function(
            lambda sentences: pack_to_length([wordpiece.tokenize(sentences)], wordpiece, seq_length),
            input_signature=[TEXTS],
            autograph=False,
        )
    )
    module.tokenize = callable_module(tf.function(wordpiece.tokenize, input_signature=[TEXTS], autograph=False))
    module.tokenize_with_offsets = callable_module(
        tf.function(lambda sentences: with_bytes(wordpiece, sentences), input_signature=[TEXTS], autograph=False)
    )
    specials = callable_module(tf.function(lambda: special_tokens(wordpiece), input_signature=[], autograph=False))
    module.tokenize.get_special_tokens_dict = specials
    module.tokenize_with_offsets.get_special_tokens_dict = specials
    module.bert_pack_inputs = callable_module(packer(wordpiece, seq_length))
    return module


def callable_module(function: Callable) -> tf.train.Checkpoint:
    """What can be called once it is saved and loaded."""
    module = tf.train.Checkpoint()
    module.__call__ = function
    return module


def special_tokens(wordpiece: WordPiece) -> dict[str, tf.Tensor]:
    """Ids of the special tokens, by the names that the Model Garden has for them."""
    ids = {
        "start_of_sequence_id": wordpiece.cls_id,
        "end_of_segment_id": wordpiece.sep_id,
        "padding_id": wordpiece.pad_id,
        "mask_id": wordpiece.mask_id,
        "vocab_size": len(wordpiece.vocabulary),
    }
    return {name: tf.constant(value, tf.int32) for name, value in ids.items() if value is not None}


def with_bytes(wordpiece: WordPiece, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """As `WordPiece.tokenize_with_offsets`, in bytes of the texts as TensorFlow Text counts: starts and ends int64."""
    ids, starts, ends = wordpiece.tokenize_with_offsets(texts)
    _, offsets = tf.strings.unicode_decode_with_offsets(texts, "UTF-8")  # [B, (characters)]
    edges = tf.concat([offsets, tf.cast(tf.strings.length(texts), tf.int64)[:, None]], axis=1)
    line = tf.gather(edges.row_splits, ids.value_rowids())  # [tokens]
    return ids, *(
        places.with_values(tf.gather(edges.values, line + tf.cast(places.values, tf.int64)))
        for places in (starts, ends)
    )


def packer(wordpiece: WordPiece, seq_length: int) -> tf.types.experimental.GenericFunction:
    """`bert_pack_inputs`, traced for one and for two segments of one and of two ragged dimensions."""

    @tf.function(autograph=False)
    def bert_pack_inputs(inputs, seq_length=seq_length):
        return pack_segments(list(inputs), wordpiece, seq_length)

    for ragged in (1, 2):
        for count in (1, 2):
            ids = [tf.RaggedTensorSpec([None] * (ragged + 1), tf.int32) for _ in range(count)]
            bert_pack_inputs.get_concrete_function(ids, seq_length=tf.TensorSpec([], tf.int32))
    return bert_pack_inputs


def pack_segments(segments: list[tf.RaggedTensor], wordpiece: WordPiece, length: tf.Tensor) -> dict[str, tf.Tensor]:
    """As `pipelines.packing.pack_to_length`, to a length that is a tensor: int32 [B, length] by name."""
    segments = [part.merge_dims(1, -1) if part.ragged_rank > 1 else part for part in segments]
    sizes = [part.row_lengths() for part in segments]  # [B]
    room = tf.cast(length, tf.int64) - (SINGLE_SPECIALS if len(segments) == 1 else PAIR_SPECIALS)
    kept = [tf.minimum(sizes[0], room)] if len(segments) == 1 else shared_room(*sizes, room)
    packed = pack([first(part, size) for part, size in zip(segments, kept, strict=True)], wordpiece, ANY)
    missing = tf.cast(length, tf.int32) - tf.shape(packed["input_word_ids"])[1]
    fill = {"input_word_ids": wordpiece.pad_id}
    return {
        name: tf.pad(ids, [[0, 0], [0, missing]], constant_values=fill.get(name, 0)) for name, ids in packed.items()
    }


def first(ids: tf.RaggedTensor, sizes: tf.Tensor) -> tf.RaggedTensor:
    """So many ids of each row: ragged [B, (T)], int64 [B] -> ragged [B, (size)]."""
    starts = ids.row_splits[:-1]
    places = tf.ragged.range(starts, starts + sizes)
    return places.with_values(tf.gather(ids.values, places.values))
