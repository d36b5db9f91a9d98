"""Vectors of many texts: what an index, labels given as words, and few examples a class are made of.

N texts, D width.
"""

from collections.abc import Callable, Sequence

import numpy as np

from kbert.tasks.embed import Embedder
from kbert.tasks.long_texts import merge_windows
from pipelines import text_windows
from pipelines import texts as text_batches

TEXTS_AT_ONCE = 4096  # sorted by length together, then embedded


def open_embedder(model: str, **arguments) -> Embedder:
    """An embedder from a preset or a RUN, ready to answer; arguments are those of `Embedder.from_preset`."""
    embedder = Embedder.from_preset(model, **arguments)
    embedder.compile()
    return embedder


def embed(
    model: Embedder,
    texts: Sequence[str],
    *,
    max_length: int | None = None,
    batch_size: int = 32,
    window: int | None = None,
    merge: str = "mean",
    advance: Callable[[int], None] = lambda number: None,
) -> np.ndarray:
    """Vectors of texts, float32 [N, D], in their order.

    Args:
        model: compiled.
        texts: any number of them.
        max_length: most tokens of a text; the model's own by default.
        batch_size: texts at once.
        window, merge: of longer texts, see `kbert.tasks.long_texts`; without a window they are cut.
        advance: told how many were done.
    """
    made = [np.zeros([0, model.config.hidden_size], "float32")]
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[start : start + TEXTS_AT_ONCE]
        sizes = {"batch_size": batch_size, "max_length": max_length or model.max_length}
        if window is None:
            batches, back = text_batches(part, model.tokenizer_spec, **sizes)
            made.append(model.predict(batches, verbose=0)[back])
        else:
            batches, text_ids = text_windows(part, model.tokenizer_spec, window=window, **sizes)
            vectors = merge_windows(model.predict(batches, verbose=0), text_ids, model.link, merge)
            made.append(vectors.astype("float32"))
        advance(len(part))
    return np.concatenate(made)
