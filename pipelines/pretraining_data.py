"""PretrainingData: how text becomes the rows of pre-training, in one frozen object."""

import math
from dataclasses import dataclass

from pipelines.examples import contiguous_tokens, full_sentences, next_sentence_pairs, sentence_order_pairs
from pipelines.masking import UNITS
from pipelines.word_segments import PIECES

PAIRS = {"next_sentence": next_sentence_pairs, "sentence_order": sentence_order_pairs}
OBJECTIVES = {**PAIRS, "none": full_sentences, "contiguous": contiguous_tokens}
LEAST_LENGTH = 8  # tokens of a row


@dataclass(frozen=True)
class PretrainingData:
    """How text becomes rows.

    Args:
        max_length: tokens of a row, special ones included.
        objective: "next_sentence" or "sentence_order" for pairs; "none" for rows of whole sentences, "contiguous" for
            rows that are cut where they are full: see `examples.py`.
        short_share: of the documents whose examples are made shorter at random.
        masked_share: of the tokens of a row to be predicted.
        max_predictions: the most of a row; None: the masked share of a full row.
        masking: "tokens", "words" or "spans": see `masking.py`.
        words: what begins a word, "pieces", "spaces" or the path of a word list: see `word_segments.py`.
        packed: several examples share a row without seeing one another.
        split: lines are split into sentences; else a line is one.
        seed: of all random choices.

    Raises:
        ValueError: a setting out of its range, or words where none are masked.
    """

    max_length: int = 128
    objective: str = "next_sentence"
    short_share: float = 0.1
    masked_share: float = 0.15
    max_predictions: int | None = None
    masking: str = "tokens"
    words: str = PIECES
    packed: bool = False
    split: bool = True
    seed: int = 0

    def __post_init__(self):
        if self.max_length < LEAST_LENGTH:
            raise ValueError(f"max_length is {LEAST_LENGTH} tokens or more; got {self.max_length}.")
        for name, allowed in (("objective", OBJECTIVES), ("masking", UNITS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}; got {getattr(self, name)!r}.")
        if not 0 <= self.short_share <= 1:
            raise ValueError(f"short_share is a share, 0 to 1; got {self.short_share}. BERT's is 0.1.")
        if not 0 < self.masked_share <= 1:
            raise ValueError(f"masked_share is a share over 0, to 1; got {self.masked_share}. BERT's is 0.15.")
        if self.max_predictions is not None and not 1 <= self.max_predictions <= self.max_length:
            raise ValueError(
                f"max_predictions is 1 to max_length, {self.max_length}; got {self.max_predictions}. None computes it."
            )
        if self.words != PIECES and self.masking == "tokens":
            raise ValueError(
                f'words={self.words!r} says what whole words are, and masking="tokens" does not ask. '
                'Use masking="words" or "spans".'
            )

    @property
    def pairs(self) -> bool:
        """Whether there are two segments, and a question about them."""
        return self.objective in PAIRS

    @property
    def predictions(self) -> int:
        """P, the most predictions of a row."""
        return self.max_predictions or math.ceil(self.masked_share * self.max_length)
