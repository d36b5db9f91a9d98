"""How good vectors are: as similarities against people's scores, and as answers to searches.

N examples, S texts of each, D width, Q queries, M documents. Correlations are scipy's, nDCG and mean average precision
scikit-learn's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

AT = 10  # documents of a search that are looked at
QUERIES_AT_ONCE = 256
FIGURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ranking": ("ndcg_at_10", "mrr", "map", "recall_at_1", "recall_at_10"),
        "cosine": ("spearman", "pearson"),
        "contrastive": ("average_precision", "roc_auc", "spearman", "pearson"),
    }
)


def answers(model, batches: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of every example's texts, beside what is known of them.

    Args:
        model: a compiled or plain `kbert.Embedder`.
        batches: of `pipelines.embedding`: (inputs, numbers int [B, S]) or (inputs, scores float [B]).

    Returns:
        float32 [N, S, D], and int [N, S] or float [N], in the order of the batches.

    Raises:
        ValueError: no batch.
    """
    vectors, known = [], []
    for inputs, right, *_ in batches:
        known.append(np.asarray(right))
        vectors.append(np.asarray(model.predict_on_batch(inputs), "float32"))
    if not known:
        raise ValueError("An evaluation needs at least one example; got none.")
    return np.concatenate(vectors), np.concatenate(known)


def embedding_scores(vectors: np.ndarray, known: np.ndarray) -> dict[str, Any]:
    """Figures of pairs with scores, of pairs with labels 0 and 1, or of pairs and triplets without.

    Args:
        vectors: float [N, S, D].
        known: scores or labels float [N]; or numbers of the texts int [N, S], see `kbert.tasks.contrastive.allowed`.
    """
    if known.ndim == 2:
        return pair_scores(vectors, known)
    right, found = known.astype("float64"), cosine(vectors[:, 0], vectors[:, 1])
    scores = {"examples": len(right), **correlations(right, found)}
    return {**scores, **label_scores(right, found)} if set(np.unique(right)) <= {0.0, 1.0} else scores


def unit(vectors: np.ndarray) -> np.ndarray:
    """float64 vectors of length 1; those of zeros stay as they are.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, "float64")
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosines of rows: [N, D] and [N, D] -> float64 [N]."""
    return np.sum(unit(left) * unit(right), axis=-1)


def correlations(right: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Spearman's and Pearson's correlation of two columns [N]; 0 where one of them is all the same.

    >>> round(correlations(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.2, 0.4, 0.3]))["spearman"], 2)
    0.8
    """
    from scipy import stats

    if np.ptp(right) == 0 or np.ptp(found) == 0:
        return {"spearman": 0.0, "pearson": 0.0}
    return {
        "spearman": float(stats.spearmanr(right, found).statistic),
        "pearson": float(stats.pearsonr(right, found).statistic),
    }


def label_scores(right: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """How well cosines [N] tell pairs of label 1 from those of label 0, at all thresholds; 0 where one has no pair."""
    from sklearn import metrics

    if np.ptp(right) == 0:
        return {"average_precision": 0.0, "roc_auc": 0.0}
    return {
        "average_precision": float(metrics.average_precision_score(right, found)),
        "roc_auc": float(metrics.roc_auc_score(right, found)),
    }


def pair_scores(vectors: np.ndarray, numbers: np.ndarray) -> dict[str, Any]:
    """Each first text looks for its second among all second and third texts: `retrieval_scores`; and for triplets how
    often the second is nearer than the third, "nearer".

    Args:
        vectors: float [N, S, D].
        numbers: int [N, S]; equal ones are one text.
    """
    queries, first = np.unique(numbers[:, 0], return_index=True)
    documents, place = np.unique(numbers[:, 1:].T, return_index=True)  # the second texts, then the third
    laid = np.swapaxes(vectors[:, 1:], 0, 1).reshape(-1, vectors.shape[-1])
    row = {number: index for index, number in enumerate(queries)}
    column = {number: index for index, number in enumerate(documents)}
    gains: list[dict[int, float]] = [{} for _ in queries]
    for query, document in zip(numbers[:, 0], numbers[:, 1], strict=True):
        gains[row[query]][column[document]] = 1.0
    scores = {"examples": len(numbers), **retrieval_scores(vectors[first, 0], laid[place], gains)}
    if numbers.shape[1] == 3:
        near, far = (cosine(vectors[:, 0], vectors[:, other]) for other in (1, 2))
        scores["nearer"] = float(np.mean(near > far))
    return scores


def retrieval_scores(
    queries: np.ndarray, documents: np.ndarray, gains: Sequence[Mapping[int, float]]
) -> dict[str, float]:
    """Means over the queries of what an exact search by cosine finds.

    "ndcg_at_10": discounted gains of the first ten documents against those of the best order (Järvelin and Kekäläinen
    2002; the gain itself, not 2^gain). "mrr": 1 / rank of the first relevant document. "map": mean average precision.
    "recall_at_1", "recall_at_10": share of the relevant documents among the first.

    Args:
        queries: float [Q, D].
        documents: float [M, D].
        gains: of each query, document -> gain above 0; the others are not relevant. Queries with none are left out.

    Raises:
        ValueError: another number of gains than of queries, or no query with a relevant document.
    """
    if len(gains) != len(queries):
        raise ValueError(f"gains are one mapping a query; got {len(gains)} for {len(queries)} queries.")
    asked = [place for place, gain in enumerate(gains) if any(value > 0 for value in gain.values())]
    if not asked:
        raise ValueError("A search is scored on queries with a relevant document; got none.")
    parts = [_figures(found, wanted) for found, wanted in _chunks(unit(queries), unit(documents), gains, asked)]
    return {name: float(np.concatenate([part[name] for part in parts]).mean()) for name in parts[0]}


def _chunks(queries, documents, gains, asked) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cosines and gains [q, M] of some queries at a time."""
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        chosen = asked[start : start + QUERIES_AT_ONCE]
        wanted = np.zeros([len(chosen), len(documents)])
        for row, query in enumerate(chosen):
            for document, gain in gains[query].items():
                wanted[row, document] = gain
        yield queries[chosen] @ documents.T, wanted


def _figures(found: np.ndarray, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of each query [q], from cosines and gains [q, M]."""
    from sklearn import metrics

    order = np.argsort(-found, axis=1, kind="stable")
    hits = np.take_along_axis(wanted > 0, order, axis=1)  # [q, M], best first
    relevant = hits.sum(axis=1)
    rows = [(wanted[row : row + 1], found[row : row + 1]) for row in range(len(found))]
    if found.shape[1] == 1:  # scikit-learn refuses to rank one document
        perfect = np.ones(len(found))
        return dict.fromkeys(("ndcg_at_10", "mrr", "map", "recall_at_1", "recall_at_10"), perfect)
    return {
        "ndcg_at_10": np.array([metrics.ndcg_score(gain, score, k=AT) for gain, score in rows]),
        "mrr": 1.0 / (1 + hits.argmax(axis=1)),
        "map": np.array([metrics.label_ranking_average_precision_score(gain > 0, score) for gain, score in rows]),
        "recall_at_1": hits[:, :1].sum(axis=1) / relevant,
        "recall_at_10": hits[:, :AT].sum(axis=1) / relevant,
    }
