"""Hugging Face's layout: `model.safetensors`, whole or in shards with `model.safetensors.index.json`; never pickle.

Names as transformers' modeling_bert.py makes them, without the `bert.` that models with a head put before the encoder.
Old files say LayerNorm.gamma and LayerNorm.beta.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kbert.weights.table import HEADS, TRANSPOSED, Loaded, expand, load, save

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

TABLE = (
    ("embeddings/token", "embeddings.word_embeddings.weight"),
    ("embeddings/position", "embeddings.position_embeddings.weight"),
    ("embeddings/segment", "embeddings.token_type_embeddings.weight"),
    ("embeddings/norm/gamma", "embeddings.LayerNorm.weight"),
    ("embeddings/norm/beta", "embeddings.LayerNorm.bias"),
    (
        "layer_{i}/attention/query_key_value/kernel",
        "encoder.layer.{i}.attention.self.{query,key,value}.weight",
        TRANSPOSED,
    ),
    ("layer_{i}/attention/query_key_value/bias", "encoder.layer.{i}.attention.self.{query,key,value}.bias"),
    ("layer_{i}/attention/output/kernel", "encoder.layer.{i}.attention.output.dense.weight", TRANSPOSED),
    ("layer_{i}/attention/output/bias", "encoder.layer.{i}.attention.output.dense.bias"),
    ("layer_{i}/attention_norm/gamma", "encoder.layer.{i}.attention.output.LayerNorm.weight"),
    ("layer_{i}/attention_norm/beta", "encoder.layer.{i}.attention.output.LayerNorm.bias"),
    ("layer_{i}/widen/kernel", "encoder.layer.{i}.intermediate.dense.weight", TRANSPOSED),
    ("layer_{i}/widen/bias", "encoder.layer.{i}.intermediate.dense.bias"),
    ("layer_{i}/shrink/kernel", "encoder.layer.{i}.output.dense.weight", TRANSPOSED),
    ("layer_{i}/shrink/bias", "encoder.layer.{i}.output.dense.bias"),
    ("layer_{i}/output_norm/gamma", "encoder.layer.{i}.output.LayerNorm.weight"),
    ("layer_{i}/output_norm/beta", "encoder.layer.{i}.output.LayerNorm.bias"),
    ("pooler/kernel", "pooler.dense.weight", TRANSPOSED),
    ("pooler/bias", "pooler.dense.bias"),
    ("masked_tokens/transform/kernel", "cls.predictions.transform.dense.weight", TRANSPOSED),
    ("masked_tokens/transform/bias", "cls.predictions.transform.dense.bias"),
    ("masked_tokens/norm/gamma", "cls.predictions.transform.LayerNorm.weight"),
    ("masked_tokens/norm/beta", "cls.predictions.transform.LayerNorm.bias"),
    ("masked_tokens/bias", "cls.predictions.bias"),
    ("next_sentence/kernel", "cls.seq_relationship.weight", TRANSPOSED),
    ("next_sentence/bias", "cls.seq_relationship.bias"),
    ("span/kernel", "qa_outputs.weight", TRANSPOSED),
    ("span/bias", "qa_outputs.bias"),
    ("classifier/kernel", "classifier.weight", TRANSPOSED),
    ("classifier/bias", "classifier.bias"),
    ("crf/transitions", "crf.transitions"),  # transformers has no such head, and says that it leaves this out
    ("scalar_mix/weights", "scalar_mix.weights"),  # nor this
    ("scalar_mix/gamma", "scalar_mix.gamma"),
)

# Buffers that number the positions; not weights.
IGNORED = r"embeddings\.(position_ids|token_type_ids)$"
# Second copies of the masked-token head's tied tensors; equal to the first, or the model is not BERT.
COPIES = (
    ("cls.predictions.decoder.weight", "embeddings/token"),
    ("cls.predictions.decoder.bias", "masked_tokens/bias"),
)

_NO_PICKLE = (
    "Weights must be in {weights} or in shards with {index}; got {found} in {folder}. kbert never opens pickle files, "
    "which can run any code. Where PyTorch is installed, rewrite pytorch_model.bin once: "
    "import torch, safetensors.torch; w = torch.load('pytorch_model.bin', weights_only=True); "
    "safetensors.torch.save_file({{k: v.clone().contiguous() for k, v in w.items()}}, 'model.safetensors')"
)


def files(folder: str | os.PathLike[str]) -> list[Path]:
    """The safetensors files of a folder: the single one, or the shards that the index names.

    Raises:
        FileNotFoundError: no such file, only pickle files, or a shard that is missing.
        ValueError: an index that cannot be read or that points out of the folder.
    """
    folder = Path(folder)
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(pattern))
        found = f"only {', '.join(pickles)}" if pickles else "neither"
        raise FileNotFoundError(_NO_PICKLE.format(weights=WEIGHTS, index=INDEX, found=found, folder=folder))
    try:
        shards = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / INDEX} must hold a weight_map; got {error!r}. Fetch the file again.") from None
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise ValueError(f"A shard must lie beside its index; got {shard!r} in {folder / INDEX}. Fetch it again.")
        if not (folder / shard).is_file():
            raise FileNotFoundError(f"Every shard of {folder / INDEX} must be there; got no {shard}. Fetch it.")
    return [folder / shard for shard in shards]


def read(folder: str | os.PathLike[str], num_layers: int) -> Loaded:
    """Read a folder's weights as float32, whatever float type they are stored in.

    Raises:
        FileNotFoundError: no safetensors file, or a missing shard.
        ValueError: a file that is not safetensors, a tensor stored twice, or a masked-token head that is not tied.
    """
    from safetensors import SafetensorError, safe_open

    where: dict[str, tuple[Any, str]] = {}
    for path in files(folder):
        try:
            opened = safe_open(path, framework="numpy")
        except SafetensorError as error:
            raise ValueError(f"Weights must be a safetensors file; got {path}: {error}. Fetch it again.") from None
        for stored in opened.keys():  # noqa: SIM118 - a handle, not a dict
            name = _usual(stored)
            if name in where:
                raise ValueError(
                    f"A tensor must be stored once; got {where[name][1]} and {stored} in {folder}. Drop one."
                )
            where[name] = (opened, stored)
    loaded = load(expand(TABLE, num_layers), list(where), lambda name: _tensor(*where[name]), ignored=IGNORED)
    return _without_copies(loaded, folder)


def write(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], num_layers: int) -> None:
    """Write arrays under our names as the safetensors file that transformers reads.

    The encoder's names get `bert.` before them where there is a head beside them, as transformers writes them.

    Raises:
        ValueError: names that the layout has no place for.
    """
    from safetensors.numpy import save_file

    before = "bert." if any(name.startswith(HEADS) for name in arrays) else ""
    tensors = save(expand(TABLE, num_layers), arrays)
    encoder = ("embeddings.", "encoder.", "pooler.")
    tensors = {(before + name if name.startswith(encoder) else name): tensor for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})  # transformers asks for this key


def _usual(name: str) -> str:
    """A stored name in today's spelling, without `bert.`."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _tensor(opened: Any, name: str) -> np.ndarray:
    return opened.get_tensor(name)


def _without_copies(loaded: Loaded, folder: str | os.PathLike[str]) -> Loaded:
    """Drop the tied copies, once seen to be equal to what they copy."""
    arrays, ignored = dict(loaded.arrays), list(loaded.ignored)
    for copy, original in COPIES:
        if copy not in arrays:
            continue
        if original not in arrays:
            continue
        if not np.array_equal(arrays[copy].astype(np.float32), arrays[original]):
            raise ValueError(
                f"The masked-token head must be tied to {original}; got another {copy} in {folder}. "
                "Use weights with tie_word_embeddings."
            )
        del arrays[copy]
        ignored.append(copy)
    unknown = tuple(name for name in loaded.unknown if name in arrays)
    return Loaded(arrays, loaded.used, tuple(ignored), unknown)
