"""Word vectors from the text itself: which tokens stand near which, counted, weighed and factored.

Masked words teach a token table slowly: a word is predicted in one of seven of its places, a rare one a few times in a
short training. What stands near it can be counted everywhere, in a minute. Counts become positive pointwise mutual
information (Church and Hanks 1990; Bullinaria and Levy 2007) with the frequencies of contexts smoothed, and are
factored by a truncated SVD whose vectors are weighed by the root of their singular values (Levy, Goldberg and Dagan
2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", sections 3.2 and 3.3).

V tokens of a vocabulary, D width of a vector, N tokens of a text.
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

SMOOTHING = 0.75  # of the frequencies of contexts, so that rare ones count less
CHUNK = 1_000_000  # tokens whose pairs are added up at a time
MOST_PAIRS = 50_000_000  # that differ, in memory at once: 12 bytes each
ITERATIONS = 4  # of the randomized SVD (Halko, Martinsson and Tropp 2011)


def count_pairs(
    texts: Iterable[np.ndarray], size: int, window: int = 5, ignored: Collection[int] = (), most: int = MOST_PAIRS
) -> Any:
    """How often tokens stand near one another: a scipy.sparse matrix, float32 [V, V], symmetric.

    Two tokens that are d places apart count 1 - (d - 1) / window (as word2vec's random windows do in the mean). Where
    more than `most` pairs differ the rarest half is left out and counting goes on.

    Args:
        texts: int [N], tokens of one text each: nothing is near across two of them.
        size: V.
        window: the most places apart.
        ignored: tokens whose pairs are not counted; they keep their places.
        most: pairs that are held at once.

    Example:
        >>> count_pairs([np.array([0, 1, 2]), np.array([1, 1])], size=3, window=2).toarray().tolist()
        [[0.0, 1.0, 0.5], [1.0, 2.0, 1.0], [0.5, 1.0, 0.0]]
    """
    from scipy import sparse

    counts = sparse.csr_matrix((size, size), dtype=np.float32)
    for tokens, numbers in chunks(texts):
        counted = ~np.isin(tokens, np.fromiter(ignored, np.int64, len(ignored)))
        for apart in range(1, window + 1):
            near = (numbers[apart:] == numbers[:-apart]) & counted[apart:] & counted[:-apart]
            places = tokens[:-apart][near], tokens[apart:][near]
            weights = np.full(len(places[0]), 1 - (apart - 1) / window, np.float32)
            counts = counts + sparse.csr_matrix((weights, places), (size, size))
        if counts.nnz > most:
            counts = commoner_half(counts)
    return counts + counts.T


def chunks(texts: Iterable[np.ndarray]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Whole texts, about CHUNK tokens at a time: tokens int64 [N], and the number of the text of each."""
    part, held = [], 0
    for text in texts:
        part.append(text)
        held += len(text)
        if held >= CHUNK:
            yield joined(part)
            part, held = [], 0
    if part:
        yield joined(part)


def joined(texts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of all texts, and the number of the text of each.

    >>> [found.tolist() for found in joined([np.array([7, 8]), np.array([9])])]
    [[7, 8, 9], [0, 0, 1]]
    """
    return np.concatenate(texts).astype(np.int64), np.repeat(np.arange(len(texts)), [len(text) for text in texts])


def commoner_half(counts: Any) -> Any:
    """The counts above the one in the middle."""
    kept = counts.data > np.median(counts.data)
    found = counts.copy()
    found.data = np.where(kept, counts.data, 0)
    found.eliminate_zeros()
    return found


def positive_information(counts: Any) -> Any:
    """Counts [V, V] -> max(0, log(p(a, b) / (p(a) q(b)))), sparse float32 [V, V]; q is p to the power SMOOTHING."""
    from scipy import sparse

    pairs = counts.tocoo()
    total = np.asarray(counts.sum(axis=1), np.float64).ravel()
    contexts = total**SMOOTHING / np.sum(total**SMOOTHING)
    values = np.log(pairs.data / (total[pairs.row] * contexts[pairs.col]))
    kept = values > 0
    return sparse.csr_matrix((values[kept].astype(np.float32), (pairs.row[kept], pairs.col[kept])), counts.shape)


def vectors(counts: Any, width: int, seed: int = 0) -> np.ndarray:
    """Counts [V, V] -> vectors of length 1, float32 [V, D]; of tokens that stand near none 0.

    The mean of all is taken off: most tokens share a direction, which tells none of them from the others. All are
    turned at random together: the first singular vectors would else be what the first head of a model sees.

    Args:
        counts: of `count_pairs`.
        width: D, under V.
        seed: of the randomized SVD and of the turn.

    Raises:
        ValueError: a vocabulary that is not wider than the vectors; no pairs.
    """
    from sklearn.utils.extmath import randomized_svd

    if width >= (size := counts.shape[0]):
        raise ValueError(f"vectors are narrower than the vocabulary, {size}; got a width of {width}. Take less.")
    if not counts.nnz:
        raise ValueError("vectors are learned from tokens that stand near one another; the text has none. Give more.")
    left, values, _ = randomized_svd(positive_information(counts), width, n_iter=ITERATIONS, random_state=seed)
    found = of_length_one(left * np.sqrt(values))
    seen = np.asarray(counts.sum(axis=1)).ravel() > 0
    found[seen] = of_length_one(found[seen] - found[seen].mean(axis=0))
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))
    return np.where(seen[:, None], found @ turn, 0).astype(np.float32)


def of_length_one(rows: np.ndarray) -> np.ndarray:
    """Rows over their lengths.

    >>> of_length_one(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
