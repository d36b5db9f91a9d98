"""A small model of every task with a tokenizer, for the formats that take any of them."""

from kbert.config import BertConfig
from kbert.pretraining.pretrainer import Pretrainer
from kbert.tasks.choice import Chooser
from kbert.tasks.classify import Classifier
from kbert.tasks.embed import Embedder
from kbert.tasks.multilabel import MultiLabelClassifier
from kbert.tasks.qa import SpanReader
from kbert.tasks.regress import Regressor
from kbert.tasks.tag import Tagger

V, D, H, F, L, P = 28, 12, 3, 20, 2, 16
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
MODELS = {
    "classify": (Classifier, {"labels": ("negative", "positive", "n\u00e4chste")}),
    "multilabel": (MultiLabelClassifier, {"labels": ("one", "two", "three"), "thresholds": [0.2, 0.5, 0.7]}),
    "regress": (Regressor, {}),
    "tag": (Tagger, {"labels": TAGS}),
    "crf": (Tagger, {"labels": TAGS, "crf": True}),
    "qa": (SpanReader, {"null_score_diff_threshold": 0.5}),
    "choice": (Chooser, {}),
    "embed": (Embedder, {"pooling": "max", "normalize": False, "max_length": 9}),
    "pretrain": (Pretrainer, {}),
    "masks": (Pretrainer, {"next_sentence": False}),
}


def tokenizer_of(vocabulary):
    return {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}


def config_of(positions=P, **changes):
    return BertConfig(
        vocab_size=V,
        hidden_size=D,
        num_hidden_layers=L,
        num_attention_heads=H,
        intermediate_size=F,
        max_position_embeddings=positions,
        **changes,
    )


def make(name, vocabulary, *, hidden_act="gelu_erf", dtype="float32", positions=P, **changes):
    """The model of a name, whose weights are wide enough for texts to get different answers."""
    kind, arguments = MODELS[name]
    config = config_of(positions, initializer_range=0.3, hidden_act=hidden_act)
    return kind(config, tokenizer=tokenizer_of(vocabulary), seed=1, dtype=dtype, **{**arguments, **changes})
