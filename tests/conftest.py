"""What several test files share: the folder of public data sets, where it is, and a vocabulary small enough to read."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the first import of tensorflow

TINY_VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("the", "a", "cat", "dog", "sat", "ran", "good", "bad", "film", "very", "not", "it", "was", ".", ",", "!"),
    *("un", "##happy", "##s", "##ly", "0", "1", "2"),
)


@pytest.fixture(scope="session", autouse=True)
def command_line():
    """A command line, which runs write down: processes of pytest-xdist have none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pytest", "tests"])
        yield


@pytest.fixture(autouse=True)
def same_order_every_time():
    """Seeds what has none of its own: the order in which Keras shuffles the arrays that a test gives to `fit`."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets, $KBERT_DATA or beside the checkout; tests that need it are skipped without it."""
    folder = Path(os.environ.get("KBERT_DATA") or Path(__file__).parents[1].parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny_vocabulary(tmp_path_factory) -> Path:
    """A vocab.txt of 28 entries, uncased."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(TINY_VOCABULARY) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def tiny_spec(tiny_vocabulary) -> dict:
    """What a two-class model over the tiny vocabulary asks of its pipeline."""
    return {
        "vocabulary": str(tiny_vocabulary),
        "lowercase": True,
        "strip_accents": None,
        "split_cjk": True,
        "vocab_size": 28,
        "max_positions": 32,
        "labels": ["negative", "positive"],
    }
