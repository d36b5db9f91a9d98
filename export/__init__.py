"""export: a trained model with its pipeline inside -> files that need neither."""

from export.saved_model import saved_model

__all__ = ["saved_model"]
