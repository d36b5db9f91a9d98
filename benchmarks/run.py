"""Measures kbert and, where their packages are installed, its peers, in turn; prints tables, keeps results.jsonl.

Example:
  python -m benchmarks --peer-python ~/peers/bin/python --write
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.plan import Section
from benchmarks.sections import SECTIONS
from benchmarks.session import ROOT, Session, pin_to_two_cores, versions
from benchmarks.texts import missing_files
from kbert import hubs

OURS = ("tensorflow", "tensorflow-text", "keras", "keras-hub")
PEERS = ("torch", "transformers", "tokenizers", "onnxruntime")
CODE = ("kbert", "pipelines", "export", "benchmarks/*.py")  # what a figure depends on


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the sections asked for; 0, 1 where a measurement failed, 2 for wrong use."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    if given.write and given.quick:
        parser.error("--write keeps full measurements, and --quick makes none. Drop one.")
    if given.seeds < 1:
        parser.error(f"--seeds is 1 or more; got {given.seeds}.")
    names = given.only or [name for name, section in SECTIONS.items() if section.default]
    try:
        data, minilm = find_data(given.data, names), hubs.minilm()
    except FileNotFoundError as error:
        parser.error(str(error))
    if not shutil.which(given.peer_python):
        parser.error(f"--peer-python is the path of a Python; got {given.peer_python}. Check it, or leave it out.")
    run = describe(given)
    pin_to_two_cores()
    keep(run)
    with kept(given.keep) if given.keep else tempfile.TemporaryDirectory(prefix="kbert-bench-") as scratch:
        files = ["--data", str(data), "--minilm", str(minilm), "--scratch", str(scratch)]
        session = Session(given.peer_python, files, given.quick)
        for name in names:
            measure(name, session, run["run"], given.seeds)
    if given.write:
        print("\nRESULTS.md:", ", ".join(results.write_page(run=run["run"])))
    return int(session.failed)


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """A folder that stays."""
    folder.mkdir(parents=True, exist_ok=True)
    yield folder.resolve()


def measure(name: str, session: Session, run: str, seeds: int) -> None:
    """Measures a section, keeps each figure as it comes, and prints the table."""
    section = with_seeds(SECTIONS[name], seeds)
    print(f"\n{section.title}", flush=True)
    lines = []
    for figure in session.measure(section):
        lines.append({"run": run, "section": name, **figure})
        keep(lines[-1])
    print(results.plain(results.HEADER, results.rows(lines)))
    print("\n".join(results.verdicts(section, lines)), flush=True)


def with_seeds(section: Section, seeds: int) -> Section:
    """The section, its contenders measured once a seed where it has seeds."""
    if not section.seeded:
        return section
    return replace(section, contenders=tuple(replace(one, rounds=seeds) for one in section.contenders))


def keep(line: dict[str, Any]) -> None:
    """Adds a line to results.jsonl."""
    with results.RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def describe(given: argparse.Namespace) -> dict[str, Any]:
    """What a reader must know of a run: command, commit, machine, date, packages; no paths of this machine."""
    words = ["python -m benchmarks"]
    words += [f"--only {' '.join(given.only)}"] if given.only else []
    words += [f"--seeds {given.seeds}"] if given.seeds > 1 else []
    words += ["--peer-python PYTHON"] if given.peer_python != sys.executable else []
    return {
        "run": uuid.uuid4().hex[:12],
        "command": " ".join(words),
        "quick": given.quick,
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "packages": {"Python": platform.python_version()}
        | versions(sys.executable, OURS)
        | versions(given.peer_python, PEERS),
    }


def commit() -> str:
    """Short name of the commit, and whether files that matter differ from it."""
    try:
        name = git("rev-parse", "--short=10", "HEAD")
        changed = git("status", "--porcelain", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def git(*words: str) -> str:
    """What git answers about this checkout."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """Processor, cores that may be used, memory."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [line.partition(":")[2] for line in information.read_text().splitlines() if "model name" in line]
        processor = names[0].strip() if names else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {cores} cores (two used), {memory:.0f} GiB"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of data sets (else $KBERT_DATA, else beside the checkout)")
    parser.add_argument(
        "--peer-python",
        default=os.environ.get("KBERT_PEER_PYTHON") or sys.executable,
        help="a Python with torch, transformers, onnx and onnxruntime (else $KBERT_PEER_PYTHON, else this one)",
    )
    default = " ".join(name for name, section in SECTIONS.items() if section.default)
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="WORK", help=f"of {', '.join(SECTIONS)}; default: {default}"
    )
    parser.add_argument("--seeds", type=int, default=1, help="runs of sst2, each with a seed of its own")
    parser.add_argument(
        "--quick", action="store_true", help="tiny amounts, to see that it runs; the times mean nothing"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep trained models there; what was interrupted goes on from it"
    )
    parser.add_argument("--write", action="store_true", help="write the figures to benchmarks/RESULTS.md")
    return parser


def find_data(given: Path | None, sections: Sequence[str]) -> Path:
    """The folder of data sets.

    Raises:
        FileNotFoundError: there is none, or files that the sections read are missing in it.
    """
    data = given or Path(os.environ.get("KBERT_DATA") or ROOT.parent / "shared" / "data")
    needed = dict.fromkeys(file for name in sections for file in SECTIONS[name].files)
    if missing := missing_files(data, list(needed)):
        raise FileNotFoundError(
            f"the data folder holds {', '.join(needed)}; {', '.join(map(str, missing))} not found. "
            "Give --data DIR or set KBERT_DATA."
        )
    return data.resolve()


if __name__ == "__main__":
    raise SystemExit(main())
