"""TensorBoard's files of a run: what metrics.jsonl says, at the true steps, once each, however often it was resumed."""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kbert.runs import named

NOT_DRAWN = ("step", "time", "seconds", "tokens")
HELD_OUT = "val_"


class Scalars:
    """Writes lines of metrics.jsonl as scalars: folder/train, and folder/held_out under the same names.

    The files of earlier processes are replaced, so that steps which a resume does again are there once.

    Args:
        folder: logs/ of a run.
        lines: those that the run has.
    """

    def __init__(self, folder: Path, lines: Iterable[Mapping[str, Any]]):
        self._folder, self._writers = folder, {}
        for path in folder.glob("*/events.out.tfevents.*"):
            path.unlink()
        for line in lines:
            self._write(line)
        self._flush()

    def add(self, line: Mapping[str, Any]) -> None:
        """A line, at once on the disk for TensorBoard to read."""
        self._write(line)
        self._flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, line: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        held_out = any(name.startswith(HELD_OUT) for name in line)
        event = Event(step=line["step"], wall_time=line.get("time", time.time()))
        for name, value in line.items():
            if name not in NOT_DRAWN:
                event.summary.value.add(tag=name.removeprefix(HELD_OUT), simple_value=value)
        self._writer("held_out" if held_out else "train").write(event.SerializeToString())

    def _writer(self, part: str):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        if part not in self._writers:
            folder = self._folder / part
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
            self._writers[part] = RecordWriter((folder / name).open("wb"))
            self._writers[part].write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        return self._writers[part]

    def _flush(self) -> None:
        with named(self._folder):
            for writer in self._writers.values():
                writer.flush()
