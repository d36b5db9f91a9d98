"""A TFLite file that takes strings: tokenizer, model and labels in one file for phones and for LiteRT on servers."""

from export.tflite.writing import tflite

__all__ = ["tflite"]
