"""How likely texts are to a model of masked tokens, by masking each token in turn.

B rows of a batch, T tokens of a row, N tokens of a text, V vocabulary.

Salazar et al. 2020, "Masked Language Model Scoring": the pseudo-log-likelihood of a text is the sum of log p(token |
all others), and exp(-sum / N) over a corpus its pseudo-perplexity. Kauf and Ivanova 2023, "A Better Way to Do Masked
Language Model Scoring": what stands to the right in the same word is masked too, or a word of many pieces looks too
likely.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from export.serving import ID_TENSORS, IDS
from kbert.cli.text_stream import parts
from kbert.cli.tokens_in_windows import Tokens, continuing, tokens_in_windows, window_length
from kbert.pretraining.pretrainer import Pretrainer
from pipelines import WordPiece, pack
from pipelines.vocab import MASK

CHARACTERS_AT_ONCE = 20_000  # every token is a row of its own: of 128 tokens, 2 MB


class Row(NamedTuple):
    """A window with a token masked: its ids, the token's place in it, its id, and its number among all tokens."""

    ids: np.ndarray
    place: int
    target: int
    number: int


class Likelihood:
    """Texts -> log-probabilities of their tokens.

    Args:
        model: with a head for masked tokens.
        whole_words: mask the pieces to the right in the same word too.
        max_length: tokens of a window, special ones included; None for all positions of the model.
        batch_size: B.

    Raises:
        ValueError: the vocabulary has no [MASK]; max_length is over the model's positions.
    """

    def __init__(
        self, model: Pretrainer, whole_words: bool = False, max_length: int | None = None, batch_size: int = 64
    ):
        self.max_length, self.batch_size = window_length(model, max_length), batch_size
        self.wordpiece = WordPiece.from_spec(model.tokenizer_spec)
        if self.wordpiece.mask_id is None:
            raise ValueError(f"Texts are scored with a vocabulary that has {MASK}; that of this model has none.")
        known = len(self.wordpiece.vocabulary)
        self.continues = continuing(self.wordpiece) if whole_words else np.zeros(known, bool)
        number = tf.TensorSpec([None], tf.int32)

        def ask(*tensors):
            *ids, places, targets = tensors
            rows, length = tf.unstack(tf.shape(ids[0]))
            logits = model.logits_at(dict(zip(ID_TENSORS, ids, strict=True)), tf.range(rows) * length + places)
            return tf.gather(tf.nn.log_softmax(logits[:, :known]), targets, batch_dims=1)  # [B]

        self._ask = tf.function(ask, [*IDS.values(), number, number], autograph=False)

    def of(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """For each text its "tokens" and float32 [N] "log_probabilities", in the order of the texts."""
        for part in parts(texts, CHARACTERS_AT_ONCE):
            tokens = tokens_in_windows(part, self.wordpiece, self.max_length)
            found = self._answered(list(self._rows(tokens)), len(tokens.ids))
            for text, start, end in zip(part, tokens.splits, tokens.splits[1:], strict=False):
                spelled = [self.wordpiece.vocabulary[number] for number in tokens.ids[start:end]]
                yield {"text": text, "tokens": spelled, "log_probabilities": found[start:end]}

    def _rows(self, tokens: Tokens) -> Iterator[Row]:
        for window, first, best in zip(tokens.windows, tokens.first, tokens.best, strict=True):
            for place in best:
                masked, end = window.copy(), place + 1
                while end < len(window) and self.continues[window[end]]:
                    end += 1
                masked[place:end] = self.wordpiece.mask_id
                yield Row(masked, place, window[place], first + place)

    def _answered(self, rows: Sequence[Row], count: int) -> np.ndarray:
        """Log-probabilities float32 [count] of the tokens that rows ask for; rows of like length go together."""
        found = np.zeros(count, "float32")
        rows = sorted(rows, key=lambda row: len(row.ids))
        for start in range(0, len(rows), self.batch_size):
            ids, places, targets, numbers = zip(*rows[start : start + self.batch_size], strict=True)
            ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(ids), [len(row) for row in ids])
            packed = pack([ragged], self.wordpiece, self.max_length)
            asked = [np.add(places, 1, dtype="int32"), np.array(targets, "int32")]  # [CLS] comes before
            found[list(numbers)] = self._ask(*(packed[name] for name in ID_TENSORS), *map(tf.constant, asked)).numpy()
        return found
