"""The formats of `kbert export`, a line each. Light to import: `--help` reads the options of all."""

from collections.abc import Mapping
from types import MappingProxyType

from kbert.cli.format import Format
from kbert.cli.hub_format import Hub
from kbert.cli.huggingface_format import HuggingFace
from kbert.cli.own_options import all_options
from kbert.cli.saved_model_format import SavedModel
from kbert.cli.tflite_format import TFLite

FORMATS: Mapping[str, type[Format]] = MappingProxyType(
    {format.name: format for format in (SavedModel, TFLite, Hub, HuggingFace)}
)
FormatOptions = all_options("FormatOptions", FORMATS)
