"""Augmentation: new training texts by replacing words with what a model samples in their places, labels kept.

Kobayashi 2018 ("Contextual Augmentation"), without a condition on the label; each text of a pair alone. What is drawn
for a text is a function of the seed and its place in the file.

B texts, P masked words of a text, V vocabulary.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kbert.pretraining.pretrainer import Pretrainer
from kbert.repeats import by_example
from pipelines import WordPiece, pack
from pipelines.tasks.texts import Texts
from pipelines.wordpiece import SUFFIX

BATCH, MOST_TOKENS = 32, 254  # texts at once; tokens of a text, words after them stay as they are


class Substituter:
    """Replaces words of texts by samples of a model's masked-token head.

    Args:
        preset: with such a head.
        lowercase: where the preset does not say.

    Raises:
        ValueError: the preset has no such head, or its vocabulary no [MASK].
    """

    def __init__(self, preset: str, lowercase: bool | None = None):
        self.model = Pretrainer.from_preset(preset, next_sentence=False, lowercase=lowercase)
        self.wordpiece = WordPiece.from_spec(self.model.tokenizer_spec)
        if self.model.new_weights or self.wordpiece.mask_id is None:
            raise ValueError(
                f"--augment needs a model with a head for masked tokens and a [MASK]; {preset} has none. "
                "Give a RUN of kbert pretrain."
            )
        self.words = np.array([token.isalpha() for token in self.wordpiece.vocabulary])  # whole ones, no pieces
        self.room = min(MOST_TOKENS, self.model.config.max_position_embeddings - 2)

    def substituted(self, texts: Sequence[str], share: float, seeds: tuple[int, ...]) -> list[str]:
        """The texts with about this share of their words replaced, one at least; a text without words as it is.

        Args:
            texts: N.
            share: in (0, 1].
            seeds: of the draws; a text's own adds its place.
        """
        found = list(texts)
        rows = [self._masked(text, place, share, seeds) for place, text in enumerate(texts)]
        rows = [row for row in rows if row]
        rows.sort(key=lambda row: len(row["ids"]))
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            most = max(len(row["places"]) for row in batch)
            inputs = pack([tf.ragged.constant([row["ids"] for row in batch], tf.int32)], self.wordpiece, self.room + 2)
            places = [[place + 1 for place in row["places"]] for row in batch]  # [CLS] comes before
            inputs["masked_lm_positions"] = tf.constant([row + [0] * (most - len(row)) for row in places], tf.int32)
            for row, logits in zip(batch, self.model(inputs)["masked_tokens"].numpy(), strict=True):
                found[row["place"]] = self._filled(texts[row["place"]], row, logits)
        return found

    def _masked(self, text: str, place: int, share: float, seeds: tuple[int, ...]) -> dict[str, Any] | None:
        """A text's ids with one [MASK] for each word that is drawn, and where these words stood; None for no words."""
        ids, starts, ends = (part.numpy()[0][: self.room] for part in self.wordpiece.tokenize_with_offsets([text]))
        first = [n for n, i in enumerate(ids) if not self.wordpiece.vocabulary[i].startswith(SUFFIX)]
        words = list(itertools.pairwise([*first, len(ids)]))
        words = words[:-1] if len(ids) == self.room else words  # the last may be cut
        able = [n for n, (b, e) in enumerate(words) if text[starts[b] : ends[e - 1]].isalpha()]
        if not able:
            return None
        random = np.random.default_rng([*seeds, place])
        drawn = set(random.choice(able, max(1, round(share * len(able))), replace=False).tolist())
        masked, places, spans, kept = [], [], [], []
        for number, (begin, end) in enumerate(words):
            if number in drawn:
                places.append(len(masked))
                spans.append((int(starts[begin]), int(ends[end - 1])))
                kept.append(int(ids[begin]) if end - begin == 1 else None)
                masked.append(self.wordpiece.mask_id)
            else:
                masked += ids[begin:end].tolist()
        return {"place": place, "ids": masked, "places": places, "spans": spans, "kept": kept, "random": random}

    def _filled(self, text: str, row: dict[str, Any], logits: np.ndarray) -> str:
        """The text with a word drawn from the softmax of each mask's logits [P, V], never the one that stood there."""
        found, end = [], 0
        for scores, (begin, stop), kept in zip(logits, row["spans"], row["kept"], strict=False):
            allowed = self.words.copy()
            if kept is not None:
                allowed[kept] = False
            noise = row["random"].gumbel(size=len(scores))  # the greatest of score + noise is a draw from the softmax
            token = self.wordpiece.vocabulary[int(np.argmax(np.where(allowed, scores + noise, -np.inf)))]
            found += [text[end:begin], cased(token, text[begin:stop])]
            end = stop
        return "".join([*found, text[end:]])


def augmented(examples: Any, preset: str, share: float, seed: int, lowercase: bool | None = None) -> Any:
    """Examples, then a copy of each whose text has other words; copies that came out the same are left out.

    Raises:
        ValueError: examples of a task that has no texts to change; and see `Substituter`.
    """
    if not isinstance(examples, Texts):
        raise ValueError("--augment is for tasks of texts or pairs of texts with a label; leave it out here.")
    substituter = Substituter(preset, lowercase)
    columns = (
        {"texts": examples.texts} if examples.pairs is None else {"texts": examples.texts, "pairs": examples.pairs}
    )
    changed = {
        name: substituter.substituted(column, share, (seed, number))
        for number, (name, column) in enumerate(columns.items())
    }
    new = [i for i in range(len(examples)) if any(changed[name][i] != columns[name][i] for name in columns)]
    values = by_example(examples)
    return replace(
        examples, **{name: value + tuple(changed.get(name, value)[i] for i in new) for name, value in values.items()}
    )


def cased(word: str, like: str) -> str:
    """A word with the capitals of another.

    >>> cased("dog", "Cat"), cased("dog", "CAT"), cased("dog", "cat")
    ('Dog', 'DOG', 'dog')
    """
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
