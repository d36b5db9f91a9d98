"""Results on stdout: lines to read, or one JSON object as the last line."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on the last line of stdout.")]


def show(result: dict[str, Any], lines: list[str], as_json: bool) -> None:
    """Prints `result` as JSON where asked for, else `lines`."""
    print(json.dumps(result, ensure_ascii=False, default=str) if as_json else "\n".join(lines), flush=True)


def existing(path: Path, option: str) -> Path:
    """The file or folder that an option names; FileNotFoundError names both.

    >>> existing(Path("no/such/file"), "--data")
    Traceback (most recent call last):
    FileNotFoundError: --data names a file that exists; got no/such/file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{option} names a file that exists; got {path}.")
    return path
