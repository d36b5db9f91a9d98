"""The manifest of a folder of records: what was asked for, and every shard with its size and checksum.

manifest.json stands beside the shards. It is replaced as a whole after each shard, so that it lists whole shards only.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.files import find
from pipelines.pretraining_data import PAIRS

MANIFEST = "manifest.json"
FORMAT = 1  # goes up where the same settings would give other bytes
PARTS = ("train", "held_out")
REMEDY = "Make it again: take it out of the folder and run the same kbert prepare."


@dataclass(frozen=True)
class Shard:
    """A file of records: how many rows, tokens that are no padding, [UNK] among them, bytes, and its SHA-256."""

    records: int
    tokens: int
    unknown: int
    bytes: int
    sha256: str


@dataclass
class Manifest:
    """What manifest.json says.

    Args:
        folder: where it stands.
        plan: what was asked for; JSON-able, and nested dicts one deep.
        expected: how many shards there will be.
        shards: by file name; those that are whole.
    """

    folder: Path
    plan: dict[str, Any]
    expected: int
    shards: dict[str, Shard] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | Path) -> "Manifest | None":
        """The manifest of a folder; None where it has none.

        Raises:
            ValueError: it is damaged, or of another format.
        """
        path = Path(folder) / MANIFEST
        if not path.is_file():
            return None
        try:
            told = json.loads(path.read_text("utf-8"))
            format = told["format"]
            shards = {name: Shard(**shard) for name, shard in told["shards"].items()}
            manifest = cls(Path(folder), told["plan"], told["expected"], shards)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} must be what kbert prepare wrote; it is not ({type(error).__name__}: {error}). "
                "Bring it back from a copy, or prepare the folder anew with --overwrite."
            ) from error
        if format != FORMAT:
            raise ValueError(f"{path} must be of format {FORMAT}; got {format}. Prepare anew with --overwrite.")
        return manifest

    @property
    def digest(self) -> str:
        """Tells this plan from others."""
        return hashlib.sha256(json.dumps(self.plan, sort_keys=True).encode()).hexdigest()

    def write(self) -> None:
        """manifest.json, whole or not at all; the same content is the same bytes."""
        told = {
            "format": FORMAT,
            "plan": self.plan,
            "expected": self.expected,
            "total": self.total(),
            "shards": {name: asdict(self.shards[name]) for name in sorted(self.shards)},
        }
        with unfinished(self.folder / MANIFEST) as path:
            path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def total(self) -> dict[str, int]:
        """Sums over the shards."""
        keys = ("records", "tokens", "unknown", "bytes")
        return {key: sum(getattr(shard, key) for shard in self.shards.values()) for key in keys}

    def files(self, part: str = "train") -> list[Path]:
        """The shards of a part, in their order."""
        return [self.folder / name for name in sorted(self.shards) if name.startswith(f"{part}-")]

    def check_same(self, plan: dict[str, Any]) -> None:
        """Raises ValueError, naming all that differs, unless the folder is of this plan."""
        then, now = _flat(self.plan), _flat(json.loads(json.dumps(plan)))
        wrong = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        if wrong:
            told = ", ".join(f"{key} was {then.get(key)!r} and is {now.get(key)!r}" for key in wrong)
            raise ValueError(
                f"{self.folder} holds records of other settings: {told}. Use those, another folder, or --overwrite."
            )

    def check_finished(self) -> None:
        """Raises ValueError unless all shards are made."""
        if len(self.shards) < self.expected:
            raise ValueError(
                f"records are read once all shards are made; {self.folder} has {len(self.shards)} of {self.expected}. "
                "Run the same kbert prepare again: it goes on where it was stopped."
            )

    def check_sizes(self, files: list[Path]) -> None:
        """Raises ValueError for the first of these files that is listed with another size; reads none of them."""
        for path in files:
            shard = self.shards.get(path.name)
            if shard and path.is_file() and path.stat().st_size != shard.bytes:
                raise ValueError(
                    f"a shard is as long as its manifest says, {shard.bytes} bytes; {path} has "
                    f"{path.stat().st_size}. {REMEDY}"
                )

    def damaged(self) -> list[Path]:
        """The listed files that are not there or do not have their SHA-256; all are read."""
        wrong = []
        for name, shard in sorted(self.shards.items()):
            path = self.folder / name
            whole = path.is_file() and path.stat().st_size == shard.bytes and sha256(path) == shard.sha256
            wrong += [] if whole else [path]
        return wrong

    def verify(self) -> None:
        """Raises ValueError, naming the files, unless all shards are there and have their SHA-256."""
        if wrong := self.damaged():
            told = ", ".join(map(str, wrong[:4])) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
            raise ValueError(f"every shard has the SHA-256 of {MANIFEST}; missing or damaged: {told}. {REMEDY}")


def record_files(paths: str | Path | Sequence[str | Path], part: str = "train") -> list[Path]:
    """Files, globs, and folders of `kbert prepare` -> the files of a part; of a folder, those that its manifest lists.

    Raises:
        FileNotFoundError: no such file, or a folder that holds no manifest.
        ValueError: a shard has another size than its manifest says; a folder is not finished, or has nothing of `part`.
    """
    if part not in PARTS:
        raise ValueError(f"part is one of {', '.join(PARTS)}; got {part!r}.")
    found = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        if not Path(path).is_dir():
            found += find(path)
            continue
        manifest = Manifest.read(path)
        if manifest is None:
            raise FileNotFoundError(f"a folder of records holds {MANIFEST}; {path} does not. Name the files in it.")
        manifest.check_finished()
        if not (listed := manifest.files(part)):
            raise ValueError(
                f"{path} holds no records of the part {part}. Prepare with --held-out, or name other files."
            )
        found += listed
    for folder in {path.parent for path in found}:
        if manifest := Manifest.read(folder):
            manifest.check_sizes([path for path in found if path.parent == folder])
    return found


def check_objective(paths: Sequence[Path], objective: str) -> None:
    """Raises ValueError where a manifest says that the labels answer another question."""
    for folder in sorted({path.parent for path in paths}):
        manifest = Manifest.read(folder)
        made_for = manifest.plan["settings"]["objective"] if manifest else objective
        if objective in PAIRS and objective != made_for:
            raise ValueError(f"the labels of {folder} are for objective {made_for}; got {objective}. Use {made_for}.")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A file to write that takes the name `path` once it is whole."""
    beside = unfinished_name(path)
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def unfinished_name(path: Path) -> Path:
    """Where a file is written before it has its name; `leftovers` finds those that a kill leaves."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def leftovers(folder: Path) -> list[Path]:
    """Files that a killed process was still writing, and receipts."""
    return sorted([*folder.glob(".*.part"), *folder.glob(".*.receipt")])


def leave_receipt(path: Path, shard: Shard, digest: str) -> None:
    """Says beside a whole shard what it holds, where whoever lists it in the manifest is another process."""
    with unfinished(path.with_name(f".{path.name}.receipt")) as file:
        file.write_text(json.dumps({"plan": digest, "shard": asdict(shard)}), "utf-8")


def receipts(manifest: Manifest) -> dict[str, Shard]:
    """The shards of a manifest's plan that have a receipt, by name."""
    found = {}
    for path in manifest.folder.glob(".*.receipt"):
        told = json.loads(path.read_text("utf-8"))
        if told["plan"] == manifest.digest:
            found[path.name[1:].removesuffix(".receipt")] = Shard(**told["shard"])
    return found


def _flat(plan: dict[str, Any]) -> dict[str, Any]:
    """
    >>> _flat({"shards": 3, "settings": {"seed": 1}})
    {'shards': 3, 'seed': 1}
    """
    found = {}
    for key, value in plan.items():
        found |= value if isinstance(value, dict) else {key: value}
    return found
