"""A format of weights as a table of names, and the loader and saver that any table shares.

A row is (our name, their name) or (our name, their name, how). `{i}` is the layer's number; `{query,key,value}` in
their name stands for three tensors that ours holds side by side on the last axis. `how` says what differs besides the
name: `TRANSPOSED` kernels are [out, in]; `HEADS_LAST` and `HEADS_FIRST` keep the width split into heads,
[..., H, D/H] and [H, D/H, ...].

D width, F inner width, H heads, P positions, S segments, V vocabulary.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kbert.config import BertConfig

SAME, TRANSPOSED, HEADS_LAST, HEADS_FIRST = "same", "transposed", "heads last", "heads first"
# What sits on an encoder; any may be absent.
HEADS = ("classifier/", "crf/", "scalar_mix/", "masked_tokens/", "next_sentence/", "span/")

_SIDE_BY_SIDE = re.compile(r"\{(\w+(?:,\w+)+)\}")


@dataclass(frozen=True)
class Row:
    """One of our tensors and the tensor, or the several side by side, that another format keeps it in."""

    ours: str
    theirs: tuple[str, ...]
    how: str


@dataclass(frozen=True)
class Loaded:
    """What a source held: `arrays` under our names, and under its own where no row knows a name.

    Attributes:
        arrays: name -> float32 array.
        used: source names that went into one of our tensors.
        ignored: source names that the format knows and that hold no weights (optimizer state, buffers).
        unknown: source names that the format does not know; `arrays` holds them too: nothing is lost unseen.
    """

    arrays: dict[str, np.ndarray]
    used: tuple[str, ...]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]


def expand(table: Iterable[tuple[str, ...]], num_layers: int) -> list[Row]:
    """Rows of a table for a number of layers.

    Example:
        >>> expand([("layer_{i}/k", "l{i}.{q,v}.w", TRANSPOSED)], num_layers=1)
        [Row(ours='layer_0/k', theirs=('l0.q.w', 'l0.v.w'), how='transposed')]
    """
    rows = []
    for ours, theirs, *how in table:
        for layer in range(num_layers) if "{i}" in ours else (0,):
            name = theirs.replace("{i}", str(layer))
            parts = _SIDE_BY_SIDE.search(name)
            names = tuple(name.replace(parts[0], part) for part in parts[1].split(",")) if parts else (name,)
            rows.append(Row(ours.replace("{i}", str(layer)), names, how[0] if how else SAME))
    return rows


def load(
    rows: Iterable[Row],
    names: Collection[str],
    read: Callable[[str], np.ndarray],
    ignored: str = r"(?!)",
) -> Loaded:
    """Read every tensor of a source under our names.

    A row of which a part is absent is left out and its other parts count as unknown; `kbert.presets.assign` lists both.

    Args:
        rows: the format, from `expand`.
        names: all names in the source.
        read: name -> array, of any float type.
        ignored: regular expression of the names that hold no weights.

    Raises:
        ValueError: parts that belong side by side and do not fit, or a tensor that is not of a float type.
    """
    arrays, used = {}, []
    for row in rows:
        if not all(name in names for name in row.theirs):
            continue
        parts = [_to_ours(_float32(read(name), name), row.how) for name in row.theirs]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in zip(row.theirs, parts, strict=True))
            raise ValueError(f"Tensors held side by side must be of one shape; got {shapes}. Fetch the weights again.")
        arrays[row.ours] = np.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        used.extend(row.theirs)
    taken = set(used)
    rest = [name for name in names if name not in taken]
    passed = tuple(name for name in rest if re.search(ignored, name))
    unknown = tuple(name for name in rest if name not in passed)
    arrays.update({name: np.asarray(read(name)) for name in unknown})
    return Loaded(arrays, tuple(used), passed, unknown)


def save(rows: Iterable[Row], arrays: Mapping[str, np.ndarray], num_heads: int = 1) -> dict[str, np.ndarray]:
    """Our arrays under the format's names; the opposite of `load`.

    Raises:
        ValueError: names of `arrays` that the format has no place for; lists them all.
    """
    renamed, placed = {}, set()
    for row in rows:
        if row.ours not in arrays:
            continue
        placed.add(row.ours)
        for name, part in zip(
            row.theirs, np.split(np.asarray(arrays[row.ours]), len(row.theirs), axis=-1), strict=True
        ):
            renamed[name] = np.ascontiguousarray(_to_theirs(part, row.how, num_heads))
    left = sorted(set(arrays) - placed)
    if left:
        raise ValueError(f"Every tensor must have a name in the format; got {', '.join(left)}. Leave them out.")
    return renamed


def shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Our names of an encoder's tensors, pooler included, with their shapes.

    Example:
        >>> shapes(BertConfig(hidden_size=6, num_attention_heads=3))["layer_0/attention/query_key_value/kernel"]
        (6, 18)
    """
    width, inner = config.hidden_size, config.intermediate_size
    tensors = {
        "embeddings/token": (config.vocab_size, width),
        "embeddings/position": (config.max_position_embeddings, width),
        "embeddings/segment": (config.type_vocab_size, width),
        "embeddings/norm/gamma": (width,),
        "embeddings/norm/beta": (width,),
    }
    for layer in range(config.num_hidden_layers):
        tensors |= {
            f"layer_{layer}/attention/query_key_value/kernel": (width, 3 * width),
            f"layer_{layer}/attention/query_key_value/bias": (3 * width,),
            f"layer_{layer}/attention/output/kernel": (width, width),
            f"layer_{layer}/attention/output/bias": (width,),
            f"layer_{layer}/attention_norm/gamma": (width,),
            f"layer_{layer}/attention_norm/beta": (width,),
            f"layer_{layer}/widen/kernel": (width, inner),
            f"layer_{layer}/widen/bias": (inner,),
            f"layer_{layer}/shrink/kernel": (inner, width),
            f"layer_{layer}/shrink/bias": (width,),
            f"layer_{layer}/output_norm/gamma": (width,),
            f"layer_{layer}/output_norm/beta": (width,),
        }
    return tensors | {"pooler/kernel": (width, width), "pooler/bias": (width,)}


def _float32(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"Weights must be of a float type; got {array.dtype} in {name}. Use weights that are not quantized."
        )
    return np.asarray(array, dtype=np.float32)


def _to_ours(array: np.ndarray, how: str) -> np.ndarray:
    if how == TRANSPOSED:
        return array.T
    if how == HEADS_LAST:
        return array.reshape(*array.shape[:-2], -1)  # [..., H, D/H] -> [..., D]
    if how == HEADS_FIRST:
        return array.reshape(-1, *array.shape[2:])  # [H, D/H, ...] -> [D, ...]
    return array


def _to_theirs(array: np.ndarray, how: str, num_heads: int) -> np.ndarray:
    if how == TRANSPOSED:
        return array.T
    if how == HEADS_LAST:
        return array.reshape(*array.shape[:-1], num_heads, -1)  # [..., D] -> [..., H, D/H]
    if how == HEADS_FIRST:
        return array.reshape(num_heads, -1, *array.shape[1:])  # [D, ...] -> [H, D/H, ...]
    return array
