"""Preparing: a corpus -> a folder of shards of records, by several processes, to be gone on with after a kill.

The folder has one writer: it gives a shard that is whole its name and lists it in manifest.json. Processes that make
shards write beside them, so that a kill at any moment leaves whole shards and leftovers, and no more.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import shard_processes
from pipelines.manifest import MANIFEST, Manifest, Shard, leftovers, receipts, unfinished_name
from pipelines.shards import Preparation, ShardMaker

SHARD_NAME = re.compile(r"(train|held_out)-\d{5}-of-\d{5}\.tfrecord(\.gz)?")
Say = Callable[[int, int, int], None]  # since the last call: shards that are whole, records and tokens that were made
Made = tuple[str, Shard, Path]  # a shard's name, what it holds, the file that waits for the name


def prepare(
    preparation: Preparation,
    folder: str | Path,
    *,
    processes: int = 1,
    overwrite: bool = False,
    say: Say = lambda shards, records, tokens: None,
) -> Manifest:
    """Makes the shards of a folder that are not there yet.

    Args:
        preparation: what is prepared.
        folder: new, empty, or with shards of the same preparation, which are kept where their SHA-256 is right.
        processes: how many make shards, one at a time each; 1 is this one. More are started by multiprocessing's
            "spawn", so that a program which asks for them has its own start under `if __name__ == "__main__"`.
        overwrite: make all shards anew; those of another preparation are taken away.
        say: is told how far it is; first of the shards that were there.

    Returns:
        The manifest, with every shard.

    Raises:
        ValueError: the folder holds something else, or records of other settings; what the corpus has to say.
        ChildProcessError: a process was ended; shards that are whole are kept.
    """
    if processes < 1:
        raise ValueError(f"processes is 1 or more; got {processes}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        manifest, missing = begin(preparation, folder, overwrite)
        say(len(manifest.shards), 0, 0)
        for name, shard, file in _make(preparation, folder, missing, processes, say):
            os.replace(file, folder / name)
            manifest.shards[name] = shard
            manifest.write()
            say(1, 0, 0)
    check_some(manifest, preparation)
    return manifest


def begin(preparation: Preparation, folder: Path, overwrite: bool) -> tuple[Manifest, list[str]]:
    """The manifest of a folder, with the whole shards that are there, and the names of those that are not.

    What a killed process left is taken away.

    Raises:
        ValueError: the folder holds something else, or the text is not enough for the shards.
    """
    names = preparation.names()
    manifest = _open(Manifest(folder, preparation.plan(), len(names)), overwrite)
    manifest.shards |= receipts(manifest)
    for path in manifest.damaged():
        del manifest.shards[path.name]
    manifest.write()
    for path in leftovers(folder):
        path.unlink()
    missing = [name for name in names if name not in manifest.shards]
    if missing:
        preparation.check_text()
    return manifest, missing


def _open(manifest: Manifest, overwrite: bool) -> Manifest:
    """The manifest that is in the folder, or where it holds none or is to be overwritten, the given one."""
    folder = manifest.folder
    if not (folder / MANIFEST).is_file():
        if held := sorted({path.name for path in folder.iterdir()} - {path.name for path in leftovers(folder)}):
            raise ValueError(
                f"records go to a new or empty folder, or to one with {MANIFEST}; {folder} holds "
                f"{', '.join(held[:3])}. Name another."
            )
        return manifest
    if not overwrite:
        found = Manifest.read(folder)
        found.check_same(manifest.plan)
        return found
    shards = [path for path in folder.iterdir() if SHARD_NAME.fullmatch(path.name)]
    for path in [folder / MANIFEST, *shards, *leftovers(folder)]:
        path.unlink()
    return manifest


def check_some(manifest: Manifest, preparation: Preparation) -> None:
    """Raises ValueError where no shard holds a record."""
    if not manifest.total()["records"]:
        raise ValueError(f"at least one example is needed; none can be made from {preparation.corpus}. Give more text.")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a folder for one writer; the system lets go of it when the process ends, however it does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"one process at a time prepares a folder; another is at work in {folder}.") from error
        yield
    finally:
        os.close(handle)


def _make(preparation: Preparation, folder: Path, names: list[str], processes: int, say: Say) -> Iterator[Made]:
    """Makes shards, in this process or in others, and hands each over when it is whole."""
    if not names:
        return
    if min(processes, len(names)) > 1:
        yield from shard_processes.make(preparation, folder, names, processes, say)
        return
    maker = ShardMaker(preparation)
    for name in names:
        file = unfinished_name(folder / name)
        try:
            yield name, maker.make(name, file, lambda records, tokens: say(0, records, tokens)), file
        finally:
            file.unlink(missing_ok=True)
