"""The model of TensorFlow Text's FastWordpieceTokenize (Song et al. 2021), without what it never looks up.

The model is a flatbuffer with three long vectors: a trie; for each of its nodes a failure link and the tokens that are
given out on the way there; and the pool that these tokens lie in. The builder leaves in the pool what it needed on its
own way, three fifths of it, and lists that are equal side by side. Layout and numbers are those of tensorflow_text
2.20, core/kernels/fast_wordpiece_tokenizer_model.fbs and fast_wordpiece_tokenizer_utils.h.
"""

import struct
from typing import NamedTuple

import numpy as np

TRIE, FAILURES, POOL = 0, 1, 2  # fields of the root table
NO_LIST = 0xFFFFFFFF
LENGTH_BITS = 8  # a list is told as where it begins, and in so many bits its length less 1
ALIGNMENT = 16


class Vector(NamedTuple):
    """A vector of a flatbuffer: where its offset stands, where its length, where its elements end; in bytes."""

    field: int
    start: int
    end: int


def compact(model: bytes) -> bytes:
    """The same model with each list of tokens once in its pool; one that is laid out otherwise comes back as it is.

    Args:
        model: of `build_fast_wordpiece_model`.
    """
    trie, failures, pool = (vector_of(model, *field) for field in ((TRIE, 4), (FAILURES, 8), (POOL, 4)))
    if not pool.end <= failures.start < failures.end <= trie.start < trie.end == len(model):
        return model
    tokens = np.frombuffer(model[pool.start + 4 : pool.end], "<i4")
    links = np.frombuffer(model[failures.start + 4 : failures.end], "<u4").reshape(-1, 2).copy()  # node, list
    told, node = np.unique(links[:, 1], return_inverse=True)
    kept, places, anew = [], {}, told.copy()
    for number, one in enumerate(told[told != NO_LIST].tolist()):
        begin, length = one >> LENGTH_BITS, (one & (1 << LENGTH_BITS) - 1) + 1
        found = tuple(tokens[begin : begin + length].tolist())
        if found not in places:
            places[found] = len(kept)
            kept += found
        anew[number] = places[found] << LENGTH_BITS | length - 1
    links[:, 1] = anew[node.reshape(-1)]
    kept += [0] * ((len(tokens) - len(kept)) % (ALIGNMENT // 4))  # what follows stays where it may be read in place
    less = 4 * (len(tokens) - len(kept))
    content = bytearray(model)
    content[failures.start + 4 : failures.end] = links.tobytes()
    for vector in (trie, failures):
        struct.pack_into("<I", content, vector.field, vector.start - vector.field - less)
    content[pool.start : pool.end] = struct.pack(f"<I{len(kept)}i", len(kept), *kept)
    return bytes(content)


def vector_of(model: bytes, field: int, size: int) -> Vector:
    """A vector of the root table, whose elements have so many bytes."""
    (root,) = struct.unpack_from("<I", model, 0)
    (back,) = struct.unpack_from("<i", model, root)
    (offset,) = struct.unpack_from("<H", model, root - back + 4 + 2 * field)
    place = root + offset
    start = place + struct.unpack_from("<I", model, place)[0]
    return Vector(place, start, start + 4 + size * struct.unpack_from("<I", model, start)[0])
