"""A small span reader, questions that need windows and odd characters, and run_squad.py's rules in plain loops."""

import numpy as np

from kbert.config import BertConfig
from kbert.tasks.qa import SpanReader
from pipelines import WordPiece, pack
from pipelines.tasks.qa import Questions, windows_of

MAX_LENGTH, STRIDE, QUERY = 15, 4, 5
SIZES = {"max_length": MAX_LENGTH, "doc_stride": STRIDE, "max_query_length": QUERY}
CONTEXTS = (
    "the cat sat . a dog ran , the cat sat !",
    "\U0001f642 Unhappy  C\u00e4t\u2026 it was 0 1 2 . the film was very good , not bad ! the dog ran , it sat .",
    "cats",
    "\u6211\u4eec\u5728 the \u5317\u4eac \U0001f469\u200d\U0001f4bb good \ufdfa \u0130t " * 3,
)
QUESTIONS = ("the cat ?", "was it very , very good , or not ?", "a dog", "it")
ASKED = Questions(("a", "b", "c", "d"), QUESTIONS, CONTEXTS)


def reader(vocabulary, dtype="float32", **settings):
    config = BertConfig(
        vocab_size=28,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=32,
        initializer_range=0.4,  # wide, so that questions get different answers
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return SpanReader(config, tokenizer=tokenizer, seed=2, dtype=dtype, **settings)


def run_squad(model, questions, decoding):
    """The rules of run_squad.py in loops: id -> ([(text, start logit, end logit)], the best first; null)."""
    wordpiece = WordPiece.from_spec(model.tokenizer_spec)
    cut, contexts = windows_of(questions, wordpiece, MAX_LENGTH, STRIDE, QUERY)
    owners, begins = cut.contexts.owners.numpy(), cut.contexts.starts.numpy()
    asked, windows = cut.questions.to_list(), cut.contexts.ids.to_list()
    found = {}
    ids = pack([cut.questions, cut.contexts.ids], wordpiece, MAX_LENGTH)
    first_logits, last_logits = (values.numpy() for values in model(ids).values())
    for number, name in enumerate(questions.ids):
        rows, prelim, null = np.flatnonzero(owners == number), [], (np.inf, 0.0, 0.0)
        starts, ends = contexts.starts.to_list()[number], contexts.ends.to_list()[number]
        spans = [range(begins[row], begins[row] + len(windows[row])) for row in rows]
        for row, span in zip(rows, spans, strict=True):
            first, last = first_logits[row], last_logits[row]
            if first[0] + last[0] < null[0]:
                null = (first[0] + last[0], first[0], last[0])
            shift = len(asked[row]) + 2 - span.start
            for start in np.argsort(-first, kind="stable")[: decoding.n_best_size]:
                for end in np.argsort(-last, kind="stable")[: decoding.n_best_size]:
                    token, stop = start - shift, end - shift
                    if token not in span or stop not in span or stop < token:
                        continue
                    if stop - token + 1 > decoding.max_answer_length:
                        continue
                    shown = [
                        (min(token - other.start, other.stop - 1 - token), -place)
                        for place, other in enumerate(spans)
                        if token in other
                    ]
                    if spans[-max(shown)[1]] != span:
                        continue  # another window shows it with more context, or an earlier one with as much
                    text = questions.contexts[number][starts[token] : ends[stop]]
                    prelim.append((text, float(first[start]), float(last[end])))
        kept = {}
        for text, first, last in sorted(prelim, key=lambda one: -(one[1] + one[2])):
            if text not in kept and len(kept) < decoding.n_best_size:
                kept[text] = (text, first, last)
        found[name] = (list(kept.values()), null)
    return found
