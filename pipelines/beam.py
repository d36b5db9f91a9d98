"""Preparing with Apache Beam, for corpora that one machine cannot hold: the same shards, made by a runner's workers.

Text and folder lie where every worker and this process see them under the same names, such as a network file system.
A worker gives a whole shard its name and leaves a receipt beside it, so that a pipeline that was killed goes on with
what is missing, and so does `preparing.prepare`. Needs `pip install kbert[beam]`.
"""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from pipelines.manifest import Manifest, Shard, leave_receipt
from pipelines.preparing import alone, begin, check_some
from pipelines.shards import Preparation, ShardMaker


def prepare(
    preparation: Preparation, folder: str | Path, options: Sequence[str] = (), *, overwrite: bool = False
) -> Manifest:
    """As `preparing.prepare`, by a Beam pipeline.

    Args:
        preparation: what is prepared.
        folder: new, empty, or with shards of the same preparation, which are kept where their SHA-256 is right.
        options: of the pipeline, as on a command line: `["--runner=FlinkRunner", ...]`; none is Beam's own runner in
            this process.
        overwrite: make all shards anew.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError, RuntimeError: as `preparing.prepare`, and what the runner makes of it.
    """
    beam = _import()
    from apache_beam.options.pipeline_options import PipelineOptions

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        manifest, missing = begin(preparation, folder, overwrite)
        if missing:
            with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
                names = pipeline | "shards" >> beam.Create(missing, reshuffle=True)
                names | "make" >> beam.ParDo(_maker(beam, preparation, folder.resolve(), manifest.digest))
            manifest, missing = begin(preparation, folder, overwrite=False)
        check_some(manifest, preparation)
    return manifest


def _import():
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            "a Beam pipeline needs Apache Beam, which is not installed: pip install kbert[beam]"
        ) from error
    return apache_beam


def _maker(beam, preparation: Preparation, folder: Path, digest: str):
    """The step that makes a shard; a worker builds its graph once."""

    class MakeShard(beam.DoFn):
        def setup(self):
            self.maker = ShardMaker(preparation)

        def process(self, name):
            yield name, finish(self.maker, folder / name, digest)

    return MakeShard()


def finish(maker: ShardMaker, path: Path, digest: str) -> Shard:
    """Makes a shard under its name. Runners may make one twice at a time: both are the same bytes."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        shard = maker.make(path.name, unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    leave_receipt(path, shard, digest)
    return shard
