"""kbert: BERT as Keras 3 layers on TensorFlow.

Names load on first use, so that `import kbert` and the command line's `--help` cost nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "BertConfig": "kbert.config",
    "SIZES": "kbert.config",
    "Encoder": "kbert.encoder",
    "Chooser": "kbert.tasks.choice",
    "Classifier": "kbert.tasks.classify",
    "MultiLabelClassifier": "kbert.tasks.multilabel",
    "Regressor": "kbert.tasks.regress",
    "Tagger": "kbert.tasks.tag",
    "Embedder": "kbert.tasks.embed",
    "SpanReader": "kbert.tasks.qa",
    "Pretrainer": "kbert.pretraining.pretrainer",
    "ScalarMix": "kbert.layer_mix",
    "AdamW": "kbert.optimizer",
    "WarmupPolynomialDecay": "kbert.optimizer",
    "adamw": "kbert.optimizer",
    "Lamb": "kbert.lamb",
    "lamb": "kbert.lamb",
    "Recipe": "kbert.training",
    "finetune": "kbert.training",
    "strategy": "kbert.strategies",
    "Phase": "kbert.pretraining.recipe",
    "PretrainingRecipe": "kbert.pretraining.recipe",
    "pretrain": "kbert.pretraining.training",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'kbert' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
