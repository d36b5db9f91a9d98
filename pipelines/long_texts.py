"""Long texts: windows of texts as rows, each of which knows its text, so that what is said to it can be merged.

N texts, W windows of all texts, B windows of a batch, T tokens of the batch's longest row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.orders import FileOrder
from pipelines.packing import SINGLE_SPECIALS
from pipelines.row_batches import Rows, open_wordpiece, row_batches, tokenize_all
from pipelines.windows import windows
from pipelines.wordpiece import WordPiece

TEXT_IDS = "input_text_ids"  # which text a window is of


def text_windows(
    texts: Sequence[str], spec: Mapping[str, Any], *, window: int, batch_size: int = 32, max_length: int = 128
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Texts of any length without labels -> batches of their windows for `model.predict`, the longest first.

    Args:
        texts: N of them.
        spec: `model.tokenizer_spec`.
        window: tokens from the start of one window to the next.
        batch_size: windows in a batch.
        max_length: most tokens of a window, special tokens included.

    Returns:
        A dataset of `pack`'s three tensors int32 [B, T] and `input_text_ids` int32 [B]; and the latter of all windows,
        int64 [W]: `model.predict(dataset)[text_ids == i]` are the answers to the windows of `texts[i]`.

    Raises:
        ValueError: max_length over the model's positions, a size below 1.
    """
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    ids = tokenize_all(tf.constant(texts, tf.string), wordpiece)
    cut = windows(ids, max_length - SINGLE_SPECIALS, window)
    longest_first = tf.argsort(cut.ids.row_lengths(), direction="DESCENDING", stable=True)  # [W]
    owners = tf.gather(cut.owners, longest_first)
    rows = Rows((tf.gather(cut.ids, longest_first),), {TEXT_IDS: owners})
    batches = row_batches(
        rows, wordpiece, FileOrder(), batch_size, max_length, lambda inputs, targets: {**inputs, **targets}
    )
    return batches, owners.numpy().astype("int64")


def window_rows(
    columns: Sequence[tf.Tensor], labels: tf.Tensor, wordpiece: WordPiece, max_length: int, stride: int
) -> Rows:
    """Texts string [N] and their labels [N, ...] -> windows as rows, each with the label and the number of its text.

    Raises:
        ValueError: two columns, a stride below 1.
    """
    if len(columns) > 1:
        raise ValueError(
            "window slides over single texts; these are pairs. Leave it out, or put what is long into one text."
        )
    cut = windows(tokenize_all(columns[0], wordpiece), max_length - SINGLE_SPECIALS, stride)
    return Rows((cut.ids,), {"labels": tf.gather(labels, cut.owners), TEXT_IDS: cut.owners})


def with_text_ids(inputs: dict[str, tf.Tensor], targets: dict[str, tf.Tensor]) -> tuple[dict, tf.Tensor]:
    """A batch of `window_rows`: (the three id tensors and `input_text_ids`, labels)."""
    return {**inputs, TEXT_IDS: targets[TEXT_IDS]}, targets["labels"]
