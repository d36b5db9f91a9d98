"""Vectors of tokens as files: JSON lines to read anywhere, .npz for bulk. Neither holds more than a text in memory.

N tokens of all texts, B texts, L layers, D width.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from kbert.cli.token_vectors import TextVectors
from kbert.whole_files import beside

DIGITS = 6  # of a number of a vector, after the point, in JSON
STRINGS_AT_ONCE = 100_000


def write_lines(found: Iterable[TextVectors], stream: TextIO) -> Iterator[TextVectors]:
    """A JSON object a text: "text", "tokens", "starts", "ends" (in characters), "vectors"; passes the texts on."""
    for one in found:
        vectors = np.round(one.vectors.astype("float64"), DIGITS)
        lists = {"starts": one.starts.tolist(), "ends": one.ends.tolist(), "vectors": vectors.tolist()}
        print(json.dumps({"text": one.text, "tokens": one.tokens, **lists}, ensure_ascii=False), file=stream)
        yield one


def write_npz(found: Iterable[TextVectors], path: Path, layers: list[int]) -> Iterator[TextVectors]:
    """One .npz, whole or not at all, that `numpy.load` opens without pickle; passes the texts on.

    `vectors` float32 [N, L, D] or [N, D]; `tokens` string [N]; `starts`, `ends` int32 [N], in characters; `splits`
    int64 [B + 1], where each text's tokens start and the last one's end; `layers` int64 [L].
    """
    tokens, places, splits, shape = [], [], [0], (0,)
    with beside(path) as unfinished, tempfile.TemporaryFile(dir=unfinished.parent) as spooled:
        for one in found:  # how many tokens there are is known in the end, and stands before them in the file
            spooled.write(np.ascontiguousarray(one.vectors, "<f4").tobytes())
            tokens += one.tokens
            places.append(np.stack([one.starts, one.ends], axis=1))
            splits.append(len(tokens))
            shape = one.vectors.shape[1:]
            yield one
        spooled.seek(0)
        starts_and_ends = np.concatenate(places or [np.zeros([0, 2], "int32")])
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            with _array(archive, "vectors", "<f4", (len(tokens), *shape)) as file:
                shutil.copyfileobj(spooled, file, 1 << 20)
            width = max(map(len, tokens), default=1)
            with _array(archive, "tokens", f"<U{width}", (len(tokens),)) as file:
                for start in range(0, len(tokens), STRINGS_AT_ONCE):
                    file.write(np.array(tokens[start : start + STRINGS_AT_ONCE], f"<U{width}").tobytes())
            small = {"starts": starts_and_ends[:, 0], "ends": starts_and_ends[:, 1]}
            for name, values in {**small, "splits": np.array(splits), "layers": np.array(layers)}.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def _array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> Any:
    """A member of an .npz, its header written, to write the values to."""
    file = archive.open(f"{name}.npy", "w", force_zip64=True)
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)
    return file
