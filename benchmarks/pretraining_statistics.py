"""What the masks of kbert are, counted: python -m benchmarks.pretraining_statistics masks --data DIR.

Counted in the batches that a model is given, beside the text that the labels give back: how many tokens are predicted,
what stands in their places, and how many pairs are random.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from benchmarks.ours import PRESET
from benchmarks.pretraining_speed import ROWS, books_file
from benchmarks.worker import BATCH, Job, say, use_two_threads, work


class Counts(NamedTuple):
    """Tokens, those that are predicted, and what stands there; pairs, and the random ones among them."""

    tokens: int = 0
    predicted: int = 0
    masked: int = 0
    unchanged: int = 0
    pairs: int = 0
    random_pairs: int = 0

    @property
    def replaced(self) -> int:
        """Predicted tokens in whose place another word stands."""
        return self.predicted - self.masked - self.unchanged


def masks(job: Job) -> None:
    """Counts the books' pairs, in shares of what they are shares of."""
    use_two_threads()
    from kbert.presets import open_preset
    from pipelines import WordPiece
    from pipelines.documents import Corpus
    from pipelines.pretraining import pretraining
    from pipelines.pretraining_data import PretrainingData

    tokenizer = open_preset(PRESET).tokenizer
    corpus = Corpus.find(books_file(job, job.amounts.megabytes))
    batches = pretraining(corpus, tokenizer, PretrainingData(**ROWS, seed=job.seed), batch_size=BATCH, epochs=range(1))
    mask_id = WordPiece.from_spec(tokenizer).vocabulary.index("[MASK]")
    arrays = (tuple({key: value.numpy() for key, value in part.items()} for part in batch) for batch in batches)
    counts = count(arrays, mask_id, job.amounts.masked_words)
    note = f"of {counts.tokens} tokens"
    say("tokens that are predicted", 100 * counts.predicted / counts.tokens, "%", note=note)
    note = f"of {counts.predicted} predicted"
    say("predicted: [MASK]", 100 * counts.masked / counts.predicted, "%", note=note)
    say("predicted: another word", 100 * counts.replaced / counts.predicted, "%", note=note)
    say("predicted: unchanged", 100 * counts.unchanged / counts.predicted, "%", note=note)
    note = f"of {counts.pairs} pairs"
    say("random second segments", 100 * counts.random_pairs / counts.pairs, "%", note=note)


def count(batches: Iterable[tuple[dict, dict, dict]], mask_id: int, enough: int) -> Counts:
    """Adds batches up until `enough` tokens are predicted.

    Args:
        batches: (inputs, labels, weights) of `pipelines.pretraining` as arrays.
        mask_id: id of [MASK].
        enough: predicted tokens.
    """
    counts = np.zeros(len(Counts._fields), "int64")
    for inputs, labels, weights in batches:
        real = weights["masked_lm_weights"] > 0  # [B, P]
        shown = np.take_along_axis(inputs["input_word_ids"], inputs["masked_lm_positions"], axis=1)[real]
        unchanged = shown == labels["masked_lm_ids"][real]
        pairs = labels["next_sentence_labels"]
        counts += [
            *(inputs["input_mask"].sum(), real.sum(), (shown == mask_id).sum(), unchanged.sum()),
            *(pairs.size, pairs.sum()),
        ]
        if counts[1] >= enough:
            break
    return Counts(*counts.tolist())


if __name__ == "__main__":
    work({"masks": masks}, __doc__)
