"""What a device answers: for each task the outputs of a file, from rows and from what a model says to them.

B texts, T tokens of a row, C classes, D width. Devices have no operation that joins strings or counts characters: so
places are bytes of the UTF-8 text, and several labels are numbers; names of labels are packed in the file.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from export.answers import MAX_ANSWER_LENGTH, N_BEST_SIZE, Decoding, is_null, window_spans
from export.serving import ID_TENSORS
from export.tflite.rows import DeviceTokenizer, ExactTokenizer, Pieces, Rows, asked, packed
from export.tflite.sequences import Decoder
from kbert.tasks.multilabel_scores import separator_for
from pipelines import WordPiece
from pipelines.question_windows import MAX_QUERY_LENGTH, most_query_tokens
from pipelines.word_segments import continues


class DeviceTask:
    """Outputs for texts or for pairs of texts; a task overrides what differs.

    Args:
        model: in float32.
        wordpiece: the tokenizer that it was trained with.
        pair: each answer is for two texts.
        window, merge: of the SavedModel's serving; a device sees a long text as far as a row goes.

    Attributes:
        inputs: names of the strings.
        facts: what the file says of the task beside its labels.
    """

    places = False  # whether answers hold places of the text

    def __init__(
        self,
        model: keras.Model,
        wordpiece: WordPiece,
        pair: bool = False,
        window: int | None = None,
        merge: str | None = None,
    ):
        self.model = model
        self.inputs: Sequence[str] = ("text_a", "text_b") if pair else ("text",)
        self.facts: Mapping[str, Any] = {}

    def rows(self, tokenizer: DeviceTokenizer | ExactTokenizer, texts: Sequence[tf.Tensor], length: int) -> Rows:
        """Strings [B] each -> rows of exactly `length` tokens."""
        return self.lay([tokenizer.split(text, self.places) for text in texts], tokenizer.specials, length)

    def lay(self, pieces: list[Pieces], specials: tuple[int, int, int], length: int) -> Rows:
        """Pieces of the strings -> rows; what does not fit is cut."""
        return packed(pieces, specials, length)

    def answer(self, ids: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The three id tensors [B, T] -> outputs."""
        raise NotImplementedError

    def placed(self, answers: dict[str, tf.Tensor], rows: Rows) -> dict[str, tf.Tensor]:
        """Outputs, with places in the texts in place of those in the rows."""
        return answers

    def settled(self, answers: Mapping[str, tf.Tensor], tolerance: float) -> dict[str, tf.Tensor]:
        """Where whole numbers, truth values and names must be these, though each number with a fraction may be
        `tolerance` away: a bool tensor of the output's shape, by name. Those not named may be anything."""
        return {}


class Classify(DeviceTask):
    """`scores` float [B, C], which sum to 1, and `label` string [B]."""

    def answer(self, ids):
        scores = tf.nn.softmax(self.model(ids, training=False))
        return {"scores": scores, "label": tf.gather(tf.constant(self.model.labels), tf.argmax(scores, -1))}

    def settled(self, answers, tolerance):
        best = tf.math.top_k(answers["scores"], 2).values
        return {"label": best[:, 0] - best[:, 1] > 2 * tolerance}


class MultiLabel(DeviceTask):
    """`scores` float [B, C], of each label by itself, and `chosen` bool [B, C], those not below their thresholds."""

    def __init__(self, model: keras.Model, wordpiece: WordPiece, **settings):
        super().__init__(model, wordpiece, **settings)
        self.facts = {"separator": separator_for(model.labels), "thresholds": list(map(float, model.thresholds))}

    def answer(self, ids):
        scores = tf.sigmoid(self.model(ids, training=False))
        return {"scores": scores, "chosen": scores >= tf.constant(self.model.thresholds, tf.float32)}

    def settled(self, answers, tolerance):
        return {"chosen": tf.abs(answers["scores"] - tf.constant(self.model.thresholds, tf.float32)) > tolerance}


class Regress(DeviceTask):
    """`score` float [B]."""

    def answer(self, ids):
        return {"score": self.model(ids, training=False)}


class Embed(DeviceTask):
    """`embedding` float [B, D]."""

    def answer(self, ids):
        return {"embedding": self.model(ids, training=False)}


class Tag(DeviceTask):
    """For every token: `tag` int32 [B, T], number of the label at the first piece of a word, -1 elsewhere; `score`
    float, the tag's probability; `start`, `end` int32, bytes of the text, -1 at special tokens and padding.

    A token with a place and without a tag goes on with the word before it.
    """

    places = True

    def __init__(self, model: keras.Model, wordpiece: WordPiece, window: int | None = None):
        super().__init__(model, wordpiece)
        self.decode = Decoder(model)
        self.goes_on, self.specials = continues(wordpiece.vocabulary), (wordpiece.cls_id, wordpiece.sep_id)

    def answer(self, ids):
        token, mask, _ = (ids[name] for name in ID_TENSORS)
        begins = (mask > 0) & ~tf.gather(tf.constant(self.goes_on), token)
        for special in self.specials:
            begins &= token != special
        tags, scores = self.decode(self.model(ids, training=False), begins)
        return {"tag": tf.where(begins, tags, -1), "score": tf.where(begins, scores, -1.0)}

    def placed(self, answers, rows):
        return {**answers, "start": rows.starts, "end": rows.ends}

    def settled(self, answers, tolerance):
        places = {name: tf.ones_like(answers[name], tf.bool) for name in ("start", "end") if name in answers}
        return {"tag": answers["tag"] < 0, **places}


class QuestionAnswering(DeviceTask):
    """`start`, `end` int32 [B], bytes of the context (from ids: tokens of the row), -1 for none; `score`, `null_score`
    float [B], as in `export.tasks.qa`. A context is read as far as the row goes.
    """

    places = True

    def __init__(
        self,
        model: keras.Model,
        wordpiece: WordPiece,
        max_query_length: int = MAX_QUERY_LENGTH,
        n_best_size: int = N_BEST_SIZE,
        max_answer_length: int = MAX_ANSWER_LENGTH,
        doc_stride: int | None = None,
    ):
        super().__init__(model, wordpiece)
        self.inputs = ("question", "context")
        self.max_query_length = max_query_length
        self.facts = {"max_query_length": max_query_length}
        self.decoding = Decoding(n_best_size, max_answer_length, model.null_score_diff_threshold).check()

    def lay(self, pieces, specials, length):
        return asked(*pieces, specials, length, most_query_tokens(length, self.max_query_length))

    def answer(self, ids):
        logits = self.model(ids, training=False)
        mask, types = ids["input_mask"], ids["input_type_ids"]
        after = tf.pad(mask[:, 1:], [[0, 0], [0, 1]])
        in_context = (types > 0) & (after > 0)  # not the last [SEP]
        spans = window_spans(**logits, may_start=in_context, may_end=in_context, decoding=self.decoding, keep=1)
        null_score = logits["start_logits"][:, 0] + logits["end_logits"][:, 0]
        start, end = spans.starts[:, 0], spans.ends[:, 0]
        score = tf.where(start < 0, 0.0, spans.totals[:, 0])
        none = (start < 0) | is_null(score, null_score, self.decoding)
        start, end = tf.where(none, -1, start), tf.where(none, -1, end)
        return {"start": start, "end": end, "score": score, "null_score": null_score}

    def placed(self, answers, rows):
        found = {
            name: tf.where(
                answers[name] < 0,
                -1,
                tf.gather(places, tf.maximum(answers[name], 0)[:, tf.newaxis], batch_dims=1)[:, 0],
            )
            for name, places in (("start", rows.starts), ("end", rows.ends))
        }
        return {**answers, **found}


TASKS: Mapping[str, type[DeviceTask]] = MappingProxyType(
    {
        "classify": Classify,
        "multilabel": MultiLabel,
        "regress": Regress,
        "embed": Embed,
        "tag": Tag,
        "qa": QuestionAnswering,
    }
)
