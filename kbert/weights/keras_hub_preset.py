"""A KerasHub preset folder, written by KerasHub itself: config.json, model.weights.h5, tokenizer.json, its vocabulary.

`kbert.weights.keras_hub` reads it, and so does `keras_hub.models.BertBackbone.from_preset`.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kbert.config import LAYER_NORM_EPSILON, BertConfig
from kbert.tokenizer_settings import TOKENIZER_CONFIG, write_tokenizer
from kbert.weights import keras_hub
from kbert.whole_files import named

HDF5_OVERHEAD = 4096  # bytes beside an array's own, and a little more than it takes


def save(
    folder: str | os.PathLike[str],
    config: BertConfig,
    arrays: Mapping[str, np.ndarray],
    tokenizer: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Writes an encoder and its tokenizer, whole or not at all.

    tokenizer_config.json lies beside them too, which KerasHub does not read: its own file cannot say all of it.

    Args:
        folder: new or empty unless `overwrite`.
        config: of the weights.
        arrays: kbert name -> array, of an encoder with its pooler and nothing else.
        tokenizer: {"vocabulary": path, "lowercase", "strip_accents", "split_cjk"}.
        overwrite: replaces what is in `folder`.

    Raises:
        FileExistsError: `folder` holds files.
        ValueError: a config that KerasHub's BERT cannot have, or names that it has no place for; lists them all.
        ModuleNotFoundError: keras_hub is not installed.
    """
    folder = Path(folder)
    if folder.exists() and not (overwrite and folder.is_dir()) and (folder.is_file() or any(folder.iterdir())):
        raise FileExistsError(
            f"A preset must not replace another unasked; got {folder}, which holds files. "
            "Name another folder, or allow it with overwrite=True."
        )
    check(config)
    library = keras_hub.library(folder)
    backbone = library.models.BertBackbone(**keras_hub.numbers(config))
    keras_hub.write(arrays, backbone)
    lowercase, accents = bool(tokenizer["lowercase"]), tokenizer.get("strip_accents")
    pieces = library.models.BertTokenizer(
        vocabulary=str(tokenizer["vocabulary"]),
        lowercase=lowercase,
        strip_accents=lowercase if accents is None else accents,
        split_on_cjk=bool(tokenizer.get("split_cjk", True)),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        unfinished = Path(scratch) / "unfinished"
        unfinished.mkdir()
        with named(folder):
            _check_room(unfinished, arrays)
            backbone.save_to_preset(str(unfinished))
            pieces.save_to_preset(str(unfinished))
            vocabulary = unfinished / keras_hub.VOCABULARY
            shutil.copyfile(tokenizer["vocabulary"], vocabulary)  # byte for byte
            write_tokenizer(unfinished / TOKENIZER_CONFIG, tokenizer, config.max_position_embeddings)
        if folder.exists():
            folder.rename(Path(scratch) / "replaced")
        unfinished.rename(folder)
    return folder


def _check_room(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises OSError where weights have no room: HDF5, which will write them, then takes the whole process down."""
    room = folder / "room"
    with room.open("wb") as file:
        for array in arrays.values():
            file.write(bytes(array.nbytes + HDF5_OVERHEAD))
    room.unlink()


def check(config: BertConfig) -> None:
    """Raises ValueError for a config that KerasHub's BERT, which has no words for it, would compute otherwise."""
    for name, only in (("hidden_act", "gelu_tanh"), ("layer_norm_eps", LAYER_NORM_EPSILON)):
        if getattr(config, name) != only:
            raise ValueError(
                f"{name} is always {only} in KerasHub's BERT; got {getattr(config, name)}, and its vectors would be "
                "others there. Use the Hugging Face layout, which KerasHub reads too, knowing that."
            )
