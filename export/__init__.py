"""export: a trained model with its pipeline inside -> files that need neither.

Names load on first use: `export.litert_runner` imports neither Keras nor TensorFlow.
"""

import sys
from importlib import import_module
from types import ModuleType

_HOMES = {
    "saved_model": "export.saved_model",
    "tflite": "export.tflite",
    "hub": "export.hub",
    "huggingface": "export.huggingface",
    "Card": "export.model_card",
    "litert_runner": "export.litert",
}
__all__ = list(_HOMES)


class _Package(ModuleType):
    """This package; a module that is imported does not hide the function of its name, which users call."""

    def __setattr__(self, name: str, value):
        if _HOMES.get(name) == getattr(value, "__name__", None):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'export' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
