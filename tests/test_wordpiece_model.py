"""The compacted model of FastWordpieceTokenize says of every node what the whole one says, in fewer bytes."""

import numpy as np
import pytest
from tensorflow_text.core.pybinds import pywrap_fast_wordpiece_tokenizer_model_builder as model_builder
from test_wordpiece import TOKENS

from pipelines.wordpiece_model import FAILURES, NO_LIST, POOL, TRIE, compact, vector_of


def parts(model: bytes) -> tuple[bytes, list, list]:
    """The trie, the failure links, and the list of tokens of each node."""
    trie, failures, pool = (vector_of(model, *field) for field in ((TRIE, 4), (FAILURES, 8), (POOL, 4)))
    links = np.frombuffer(model[failures.start + 4 : failures.end], "<u4").reshape(-1, 2)
    tokens = np.frombuffer(model[pool.start + 4 : pool.end], "<i4").tolist()
    lists = [
        None if one == NO_LIST else tokens[one >> 8 : (one >> 8) + (one & 255) + 1] for one in links[:, 1].tolist()
    ]
    return model[trie.start : trie.end], links[:, 0].tolist(), lists


@pytest.mark.parametrize("whole_words", [False, True])
def test_every_node_gives_the_same_tokens(whole_words):
    tokens = [*TOKENS, *(f"{first}{second}" for first in "xyz" for second in ("un", "able", "ab", "abc", "x", "y"))]
    whole = model_builder.build_fast_wordpiece_model(tokens, 50, "##", "[UNK]", whole_words, False)
    less = compact(whole)
    assert parts(less) == parts(whole) and any(found and len(found) > 1 for found in parts(less)[2])
    assert len(less) + (16 if not whole_words else 0) <= len(whole) and (len(whole) - len(less)) % 16 == 0
    assert compact(less) == less


def test_another_layout_is_left_alone():
    whole = model_builder.build_fast_wordpiece_model(list(TOKENS), 50, "##", "[UNK]", False, False)
    assert compact(whole + b"\0\0\0\0") == whole + b"\0\0\0\0"
