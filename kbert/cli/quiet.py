"""TensorFlow's talk kept off the terminal, where no setting of its own does it."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what native code and absl write to stderr; what is raised is told as ever.

    A user who sets TF_CPP_MIN_LOG_LEVEL below 3 sees all of it.
    """
    if int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or 0) < 3:
        yield
        return
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def quiet_native() -> Iterator[None]:
    """Drops what native code writes to stderr while the block runs; Python's own words are shown as ever.

    Where the block raises, it stays so: a thread of native code may talk until the process ends. A user who sets
    TF_CPP_MIN_LOG_LEVEL below 3 sees all of it.
    """
    if int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or 0) < 3:
        yield
        return
    before, shown = sys.stderr, os.dup(2)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    yield
    sys.stderr.close()
    sys.stderr = before
    os.dup2(shown, 2)
    os.close(shown)
