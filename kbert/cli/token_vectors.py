"""Texts -> vectors of their tokens or words, in bounded memory.

B windows of a batch, T tokens of a window, N tokens of a text, L layers, D width.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from export.serving import ID_TENSORS, IDS
from kbert.cli.text_stream import parts
from kbert.cli.tokens_in_windows import Tokens, continuing, tokens_in_windows, window_length
from kbert.encoder import Encoder
from kbert.features import layer_numbers, token_features, word_features, word_starts
from pipelines import WordPiece, pack

CHARACTERS_AT_ONCE = 50_000  # some 12,000 tokens: four layers of them, 768 wide, are 150 MB


class TextVectors(NamedTuple):
    """A text, the N tokens or words found in it, where they stand in its characters (int32 [N]), and their vectors:
    float32 [N, L, D], or [N, D] where layers are mixed."""

    text: str
    tokens: list[str]
    starts: np.ndarray
    ends: np.ndarray
    vectors: np.ndarray


class TokenVectors:
    """Texts -> vectors; texts of more tokens than a window are seen through windows that overlap by half, and each
    token's vectors come from the window that shows it with the most context. [CLS] and [SEP] are left out.

    Args:
        encoder: with its tokenizer.
        layers: 0 (the embeddings) to the number of blocks, or -1 (the last) and down.
        mix: "none", "last", "sum" or "mean" of these layers, see `kbert.features.token_features`.
        pieces: None for a vector a token; "mean" or "first" for one a word, from its pieces.
        max_length: tokens of a window, special ones included; None for all positions of the model.
        batch_size: B.

    Raises:
        ValueError: a layer that there is not; max_length is over the model's positions.
    """

    def __init__(
        self,
        encoder: Encoder,
        layers: Sequence[int] = (-1,),
        mix: str = "none",
        pieces: str | None = None,
        max_length: int | None = None,
        batch_size: int = 32,
    ):
        self.max_length, self.batch_size, self.pieces = window_length(encoder, max_length), batch_size, pieces
        numbers = layer_numbers(layers, encoder.config.num_hidden_layers)
        self.shape = (*([len(numbers)] if mix == "none" else []), encoder.config.hidden_size)  # of a token's vectors
        self.wordpiece = WordPiece.from_spec(encoder.tokenizer_spec)
        self.continues = continuing(self.wordpiece)
        self._ask = tf.function(
            lambda *ids: token_features(encoder, dict(zip(ID_TENSORS, ids, strict=True)), numbers, mix),
            list(IDS.values()),
            autograph=False,
        )

    def of(self, texts: Iterable[str]) -> Iterator[TextVectors]:
        """The vectors of each text, in the order of the texts."""
        for part in parts(texts, CHARACTERS_AT_ONCE):
            tokens = tokens_in_windows(part, self.wordpiece, self.max_length)
            vectors = self._vectors(tokens)
            for text, start, end in zip(part, tokens.splits, tokens.splits[1:], strict=False):
                ids, starts, ends, rows = (
                    values[start:end] for values in (tokens.ids, tokens.starts, tokens.ends, vectors)
                )
                spelled = [self.wordpiece.vocabulary[number] for number in ids]
                found = TextVectors(text, spelled, starts, ends, rows)
                yield found if self.pieces is None else self._words(found, self.continues[ids])

    def _words(self, found: TextVectors, continues: np.ndarray) -> TextVectors:
        """Tokens as words: from the start of the first piece to the end of the last, spelled as in the text."""
        first = word_starts(continues)
        starts, ends = found.starts[first], found.ends[np.append(first[1:], len(continues))[: len(first)] - 1]
        words = [found.text[start:end] for start, end in zip(starts, ends, strict=True)]
        vectors = word_features(found.vectors, continues, self.pieces)
        return TextVectors(found.text, words, starts, ends, vectors)

    def _vectors(self, tokens: Tokens) -> np.ndarray:
        """Vectors of all tokens, float32 [N of all texts, ...]; windows of like length go together."""
        vectors = np.zeros([len(tokens.ids), *self.shape], "float32")
        order = np.argsort([len(window) for window in tokens.windows], kind="stable")
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            ids = [tokens.windows[number] for number in chosen]
            ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(ids), [len(window) for window in ids])
            packed = pack([ragged], self.wordpiece, self.max_length)
            rows = self._ask(*(packed[name] for name in ID_TENSORS)).numpy()  # [B, T, ...]
            for row, number in zip(rows, chosen, strict=True):
                best = tokens.best[number]
                vectors[tokens.first[number] + best] = row[1 + best]  # [CLS] comes before
        return vectors
