"""An index: the vectors of a file's texts, and exact search in them by cosine.

vectors.npy   float32 [N, D], of length 1, in the order of the texts
texts.jsonl   a text a line, as a JSON string
model/        the model, where it was a folder; a name or an address is in index.json
index.json    what made it; the last that is written

The search is NumPy's product of all vectors with that of the query, and its partition for the highest: both read the
vectors once from the mapped file. scikit-learn's NearestNeighbors computes the same, after a copy of all vectors.

N texts, D width, Q queries.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kbert.cli.embedding import embed, open_embedder
from kbert.saving import save_model
from kbert.tasks.embed import Embedder

VECTORS, TEXTS, MODEL, ABOUT = "vectors.npy", "texts.jsonl", "model", "index.json"


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 vectors of length 1; those of zeros stay as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype("float32")


def write_index(
    folder: Path,
    texts: Sequence[str],
    model: str,
    *,
    max_length: int | None = None,
    window: int | None = None,
    merge: str = "mean",
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda number: None,
) -> dict[str, Any]:
    """Embeds texts and writes the index, whole or not at all; returns what index.json says.

    Args:
        folder: new or empty.
        texts: one at least.
        model: a preset or a RUN; where it is a folder, a copy of the model goes into the index, which can then move.
        max_length: most tokens of a text; the model's own by default.
        window, merge: of longer texts and queries, see `kbert.tasks.long_texts`; without a window they are cut.
        batch_size: texts at once.
        advance: told how many texts were embedded.

    Raises:
        ValueError: no text, or a folder that holds files.
    """
    if not texts:
        raise ValueError("An index is of one text at least; got none. Check --input.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out names a new or empty folder; {folder} holds files.")
    embedder = open_embedder(model)
    seen = {"max_length": max_length or embedder.max_length, "window": window, "merge": merge}
    vectors = unit(embed(embedder, texts, **seen, batch_size=batch_size, advance=advance))
    local = Path(model).is_dir()
    about = {"texts": len(texts), "width": vectors.shape[1], **seen, "model": MODEL if local else model}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "index"
        made.mkdir()
        if local:
            save_model(made / MODEL, embedder)
        np.save(made / VECTORS, vectors, allow_pickle=False)
        lines = (json.dumps(text, ensure_ascii=False) for text in texts)
        (made / TEXTS).write_text("".join(f"{line}\n" for line in lines), "utf-8", "surrogatepass")
        (made / ABOUT).write_text(json.dumps(about, indent=2) + "\n", "utf-8")
        if folder.exists():
            folder.rmdir()
        shutil.move(made, folder)
    return about


@dataclass(frozen=True)
class Index:
    """An opened index.

    Args:
        vectors: float32 [N, D] of length 1.
        texts: N of them.
        model: what made the vectors.
        seen: how it sees texts: arguments of `embed`.
    """

    vectors: np.ndarray
    texts: tuple[str, ...]
    model: Embedder = field(repr=False)
    seen: Mapping[str, Any]

    def search(self, queries: Sequence[str], top_k: int) -> list[list[dict[str, Any]]]:
        """For each query the texts with the highest cosines, best first: place in the file from 0, score, text."""
        asked = unit(embed(self.model, queries, **self.seen))
        found = nearest(self.vectors, asked, top_k)
        return [
            [
                {"place": int(i), "score": round(float(score), 6), "text": self.texts[i]}
                for i, score in zip(*row, strict=True)
            ]
            for row in found
        ]


def open_index(folder: Path) -> Index:
    """The index in a folder.

    Raises:
        FileNotFoundError: it holds none.
        ValueError: its files do not belong together.
    """
    if not (folder / ABOUT).is_file():
        raise FileNotFoundError(f"An index is a folder with {ABOUT}, written by kbert index; got {folder}.")
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    with (folder / TEXTS).open(encoding="utf-8", errors="surrogatepass") as lines:
        texts = tuple(map(json.loads, lines))
    if vectors.shape != (len(texts), about["width"]):
        raise ValueError(
            f"{folder} holds {len(texts)} texts and vectors {list(vectors.shape)} for a width of {about['width']}. "
            "Make it anew with kbert index."
        )
    model = str(folder / MODEL) if about["model"] == MODEL else about["model"]
    seen = {name: about[name] for name in ("max_length", "window", "merge") if name in about}
    return Index(vectors, texts, open_embedder(model), seen)


def nearest(vectors: np.ndarray, queries: np.ndarray, top_k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places and products of the `top_k` vectors with the highest product with each query; of equal ones the first.

    Args:
        vectors: float [N, D].
        queries: float [Q, D].
        top_k: K; all where there are fewer.

    Returns:
        For each query int [K] and float [K], best first.

    >>> [(places.tolist(), scores.tolist()) for places, scores in nearest(np.eye(3), np.array([[0.0, 2.0, 5.0]]), 2)]
    [([2, 1], [5.0, 2.0])]
    """
    most, found = min(top_k, len(vectors)), []
    for query in queries:
        scores = vectors @ query  # [N]
        least = np.partition(scores, len(scores) - most)[len(scores) - most]  # the K-th highest
        able = np.flatnonzero(scores >= least)  # K of them, or more that are equal
        chosen = able[np.argsort(-scores[able], kind="stable")][:most]
        found.append((chosen, scores[chosen]))
    return found
