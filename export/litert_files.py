"""TFLite files as LiteRT opens them, with the two operations of TensorFlow Text; no Keras, and no TensorFlow either.

The operations are in a library of tensorflow-text that needs another of TensorFlow. Importing the two packages would
load all of TensorFlow, which takes seconds and hundreds of megabytes that a device's model does not need: so the two
libraries are loaded alone.
"""

import ctypes
import functools
import io
import json
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

REGISTRAR = "tensorflow_text.core.pybinds.tflite_registrar"
FRAMEWORK = "libtensorflow_framework*"
ABOUT = "task.json"  # in the file: what answers


@functools.cache
def registrar() -> ModuleType:
    """The module that adds TensorFlow Text's operations to an interpreter."""
    if "tensorflow" in sys.modules:
        from tensorflow_text.core.pybinds import tflite_registrar

        return tflite_registrar
    framework = next(iter(sorted(folder_of("tensorflow").glob(FRAMEWORK))), None)
    library = next(iter(sorted((folder_of("tensorflow_text") / "core" / "pybinds").glob("tflite_registrar*"))), None)
    if framework is None or library is None:
        from tensorflow_text.core.pybinds import tflite_registrar  # another layout: the long way

        return tflite_registrar
    ctypes.CDLL(str(framework), mode=ctypes.RTLD_GLOBAL)
    spec = spec_from_file_location(REGISTRAR, library)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_operations() -> list[Callable]:
    """The functions that add the two operations of TensorFlow Text to an interpreter."""
    library = registrar()
    return [library.AddFastBertNormalize, library.AddFastWordpieceTokenize]


def folder_of(package: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec: ModuleSpec | None = find_spec(package)
    if spec is None:
        raise ImportError(f"A TFLite file that takes text needs {package}: pip install {package.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0])


def open_interpreter(model: str | Path | bytes, threads: int | None = None):
    """`ai_edge_litert`'s interpreter of a file or of its bytes, with the operations that text needs.

    Raises:
        ValueError: not a TFLite file.
    """
    from ai_edge_litert.interpreter import InterpreterWithCustomOps

    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    return InterpreterWithCustomOps(custom_op_registerers=text_operations(), num_threads=threads, **source)


def with_files(content: bytes, files: dict[str, str]) -> bytes:
    """A TFLite file with texts packed behind it as a zip, where TFLite's metadata keep them too."""
    packed = io.BytesIO(content)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without the time of day: equal models make equal files
    return packed.getvalue()


def file_names(path: str | Path) -> list[str]:
    """The files that are packed in a TFLite file."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def read_file(path: str | Path, name: str) -> str:
    """One of the texts that are packed in a TFLite file."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(name).decode()


def read_about(path: str | Path) -> dict[str, Any]:
    """What a file that `kbert export` wrote says of itself.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another tool wrote it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"A TFLite file is one that exists; got {path}.")
    files = file_names(path)
    if ABOUT not in files:
        raise ValueError(
            f"kbert asks TFLite files that say what they answer in their {ABOUT}; {path} has "
            f"{', '.join(files) or 'no files in it'}. Write one with kbert export --format tflite."
        )
    return json.loads(read_file(path, ABOUT))
