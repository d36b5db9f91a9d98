"""Batches as text: what a model sees in pre-training, for a person to read.

`[MASK→cat]` is a mask over "cat", `[dog→cat]` a random word in its place, `[=cat]` a word that is predicted and left as
it is; a piece that goes on with a word is joined to it.

B rows of a batch, T tokens of a row, P predictions, S examples that share a packed row.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.vocab import MASK
from pipelines.wordpiece import SUFFIX, WordPiece

LABELS = {  # of pairs, by objective
    "next_sentence": ("B follows A", "B is from elsewhere"),
    "sentence_order": ("in order", "swapped"),
}


def batch_text(
    inputs: Mapping[str, Any],
    labels: Mapping[str, Any],
    weights: Mapping[str, Any],
    wordpiece: WordPiece,
    *,
    rows: int | None = None,
    objective: str = "next_sentence",
) -> list[str]:
    """The rows of a batch of `pretraining` as lines of text.

    Args:
        inputs, labels, weights: tensors or arrays, as the batch has them.
        wordpiece: whose vocabulary the ids are of.
        rows: how many; None shows all.
        objective: what the labels of pairs mean, "next_sentence" or "sentence_order".

    Returns:
        For each row a line with its place and sizes, then a line a segment, then an empty line.

    Example:
        >>> wordpiece = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", "ran", "dog"])
        >>> ids, types = [[2, 5, 4, 7, 3, 8, 3, 0]], [[0, 0, 0, 0, 0, 1, 1, 0]]
        >>> inputs = {"input_word_ids": ids, "input_type_ids": types, "input_mask": [[1, 1, 1, 1, 1, 1, 1, 0]]}
        >>> inputs |= {"masked_lm_positions": [[2, 5, 0]], "place": [[0, 3, 9]]}
        >>> labels = {"masked_lm_ids": [[6, 7, 0]], "next_sentence_labels": [1]}
        >>> print("\\n".join(batch_text(inputs, labels, {"masked_lm_weights": [[1.0, 1.0, 0.0]]}, wordpiece)))
        epoch 0, window 3, row 9: 7 tokens of 8, 2 predicted; B is from elsewhere
          A  cat[MASK→##s] ran
          B  [dog→ran]
        <BLANKLINE>
    """
    batch = {name: np.asarray(values) for part in (inputs, labels, weights) for name, values in part.items()}
    count = len(batch["input_word_ids"])
    return [
        line
        for row in range(count if rows is None else min(rows, count))
        for line in _row_text({name: values[row] for name, values in batch.items()}, wordpiece, objective)
    ]


def _row_text(row: dict[str, np.ndarray], wordpiece: WordPiece, objective: str) -> list[str]:
    """Lines of a row, {name: array [T], [P] or [S], or a number}."""
    epoch, window, number = row["place"]
    size, predicted = int(row["input_mask"].sum()), int(row["masked_lm_weights"].sum())
    told = f"epoch {epoch}, window {window}, row {number}: {size} tokens of {len(row['input_mask'])}"
    told += f", {predicted} predicted"
    pieces = _pieces(row, wordpiece.vocabulary)
    labels = [f"; {LABELS[objective][label]}" for label in np.ravel(row.get("next_sentence_labels", []))]
    if "input_example_ids" not in row:
        return [told + "".join(labels), *_segments(pieces[:size], row["input_type_ids"]), ""]
    number_of = row["input_example_ids"]
    lines = [f"{told}, {number_of.max()} examples"]
    for example in range(1, number_of.max() + 1):
        cells = np.flatnonzero(number_of == example)
        lines.append(f" example {example}{labels[example - 1] if labels else ''}")
        lines += _segments([pieces[cell] for cell in cells], row["input_type_ids"][cells])
    return [*lines, ""]


def _pieces(row: dict[str, np.ndarray], vocabulary: tuple[str, ...]) -> list[str]:
    """A text for each cell of a row, with a space before it where it does not go on with a word."""
    shown = [vocabulary[number] for number in row["input_word_ids"]]
    pieces = [_join(token, token.removeprefix(SUFFIX)) for token in shown]
    for place, number, weight in zip(
        row["masked_lm_positions"], row["masked_lm_ids"], row["masked_lm_weights"], strict=True
    ):
        if weight:
            now, was = shown[place], vocabulary[number]
            change = f"={was}" if now == was else f"{'MASK' if now == MASK else now}→{was}"
            pieces[place] = _join(was, f"[{change}]")
    return pieces


def _join(token: str, text: str) -> str:
    return text if token.startswith(SUFFIX) else f" {text}"


def _segments(pieces: list[str], types: np.ndarray) -> list[str]:
    """A line a segment, of the pieces of `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, special tokens left out."""
    second = next((place for place, kind in enumerate(types[: len(pieces)]) if kind), None)
    if second is None:
        return [f"  {''.join(pieces[1:-1]).strip()}"]
    parts = pieces[1 : second - 1], pieces[second:-1]
    return [f"  {name}  {''.join(part).strip()}" for name, part in zip("AB", parts, strict=True)]
