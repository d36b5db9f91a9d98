"""Labels given as words: by the vectors of labels and texts, or by what a model puts in the place of a mask.

N texts, B texts of a batch, T tokens, P masks of a row, C labels, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import tensorflow as tf

from kbert.cli.embedding import embed, open_embedder
from kbert.pretraining.pretrainer import Pretrainer
from kbert.tasks.classify_scores import softmax
from kbert.tasks.embed import Embedder
from kbert.tasks.embed_scores import unit
from pipelines import WordPiece, pack
from pipelines.vocab import MASK

PLACE = "{}"  # of the label in a template
SCALE = 20.0  # of cosines before the softmax: that of `kbert.tasks.contrastive`, by which vectors are trained


class Labeller(Protocol):
    """Texts in, a score for each label out."""

    def scores(self, texts: Sequence[str], batch_size: int) -> Iterator[np.ndarray]:
        """For each of N texts float [C], which sum to 1."""


def open_labeller(
    model: str, labels: Sequence[str], template: str, calibrate: bool = False, max_length: int | None = None
) -> Labeller:
    """What labels texts, by the template: `Similarity` where it has {}, `Cloze` where it has [MASK].

    Raises:
        ValueError: fewer than two labels; a template with both, with neither, or with one of them twice; a model
            without a head for masked tokens, where it is to fill one; a calibration of what has none.
    """
    if len(labels) < 2:
        raise ValueError(f"--labels names two labels at least; got {', '.join(labels)}.")
    if template.count(PLACE) + template.count(MASK) != 1:
        raise ValueError(f"A template has the label's place once, {PLACE} or {MASK}; got {template!r}.")
    if MASK in template:
        return open_cloze(model, labels, template, calibrate, max_length)
    if calibrate:
        raise ValueError(f"--calibrate is for a template with {MASK}; got {template!r}.")
    embedder = open_embedder(model)
    named = embed(embedder, [template.replace(PLACE, label) for label in labels], max_length=max_length)
    return Similarity(embedder, unit(named), max_length)


@dataclass(frozen=True)
class Similarity:
    """Labels by the cosines of their sentences' vectors with that of the text.

    Args:
        model: an embedder.
        labels: float [C, D], of length 1.
        max_length: most tokens of a text; the model's own by default.

    References: Yin, Hay and Roth 2019, "Benchmarking Zero-shot Text Classification", section 5.
    """

    model: Embedder
    labels: np.ndarray = field(repr=False)
    max_length: int | None = None

    def scores(self, texts: Sequence[str], batch_size: int) -> Iterator[np.ndarray]:
        """As `Labeller.scores`: the softmax of the cosines, scaled."""
        vectors = unit(embed(self.model, texts, max_length=self.max_length, batch_size=batch_size))
        yield from softmax(SCALE * vectors @ self.labels.T)


def open_cloze(model: str, labels: Sequence[str], template: str, calibrate: bool, max_length: int | None) -> "Cloze":
    """A `Cloze` of a RUN of kbert pretrain, or of a preset with a head for masked tokens.

    Raises:
        ValueError: there is no such head; a template that leaves no room for a text.
    """
    pretrainer = Pretrainer.from_preset(model, next_sentence=False)
    if pretrainer.new_weights:
        raise ValueError(
            f"A template with {MASK} needs a model with a head for masked tokens; {model} has none. "
            f"Give a RUN of kbert pretrain, or a template with {PLACE}."
        )
    wordpiece = WordPiece.from_spec(pretrainer.tokenizer_spec, keep_special=True)
    before, after = (wordpiece.tokenize([part])[0].numpy() for part in template.split(MASK))
    words = [tuple(int(piece) for piece in wordpiece.tokenize([label])[0]) for label in labels]
    if empty := [label for label, pieces in zip(labels, words, strict=True) if not pieces]:
        raise ValueError(f"A label is a word; got {empty[0]!r}.")
    limit = min(max_length or pretrainer.config.max_position_embeddings, pretrainer.config.max_position_embeddings)
    room = limit - 2 - len(before) - len(after) - max(map(len, words))
    if room < 1:
        raise ValueError(
            f"A text and the template have {limit} tokens together; {template!r} leaves no room. Shorten it."
        )
    cloze = Cloze(pretrainer, wordpiece, before, after, tuple(words), room, np.zeros(len(words)))
    if not calibrate:
        return cloze
    return Cloze(pretrainer, wordpiece, before, after, tuple(words), room, cloze.logs([""])[0])


@dataclass(frozen=True)
class Cloze:
    """Labels by what stands behind the mask of a template that follows the text.

    A label of several pieces has as many masks, and the mean of its pieces' log probabilities; so the labels are asked
    for by their number of pieces.

    Args:
        model: with a head for masked tokens.
        wordpiece: its tokenizer, which keeps [MASK] whole.
        before, after: ids of the template around its mask.
        words: ids of each label's pieces.
        room: most tokens of a text.
        prior: float [C], what is taken off the log probabilities: zeros, or those for a text without words.

    References: Schick and Schuetze 2021, "Exploiting Cloze Questions", section 3; the calibration is that of Zhao et
    al. 2021, "Calibrate Before Use", section 5, without the words that stand for nothing there.
    """

    model: Pretrainer = field(repr=False)
    wordpiece: WordPiece = field(repr=False)
    before: np.ndarray
    after: np.ndarray
    words: tuple[tuple[int, ...], ...]
    room: int
    prior: np.ndarray

    def scores(self, texts: Sequence[str], batch_size: int) -> Iterator[np.ndarray]:
        """As `Labeller.scores`: the softmax of the log probabilities, less the prior."""
        for start in range(0, len(texts), batch_size):
            yield from softmax(self.logs(texts[start : start + batch_size]) - self.prior)

    def logs(self, texts: Sequence[str]) -> np.ndarray:
        """Mean log probability of each label's pieces, float64 [B, C]."""
        found = np.zeros([len(texts), len(self.words)])
        ids = self.wordpiece.tokenize(list(texts))[:, : self.room]
        for pieces in sorted({len(word) for word in self.words}):
            chosen = [place for place, word in enumerate(self.words) if len(word) == pieces]
            logs = self._at_masks(ids, pieces)  # [B, pieces, V]
            wanted = np.array([self.words[place] for place in chosen])  # [chosen, pieces]
            found[:, chosen] = logs[:, np.arange(pieces), wanted].mean(axis=-1)
        return found

    def _at_masks(self, ids: tf.RaggedTensor, pieces: int) -> np.ndarray:
        """Log probabilities at `pieces` masks of the template after each text, [B, pieces, V]."""
        template = [*self.before, *[self.wordpiece.mask_id] * pieces, *self.after]
        number = ids.nrows()
        rows = tf.concat(
            [ids, tf.RaggedTensor.from_tensor(tf.tile(tf.constant([template], ids.dtype), [number, 1]))], 1
        )
        inputs = pack([rows], self.wordpiece, self.room + len(template) + 2)
        first = 1 + tf.cast(ids.row_lengths(), tf.int32) + len(self.before)  # [CLS] comes before
        inputs["masked_lm_positions"] = first[:, tf.newaxis] + tf.range(pieces)
        return tf.nn.log_softmax(self.model(inputs)["masked_tokens"]).numpy().astype("float64")
