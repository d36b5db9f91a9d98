"""Keras still needs each mend of kbert.replicas. Where a test fails, Keras has learned it: take the mend out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_replicas import clean, ports

SCRIPT = Path(__file__).parent / "upstream_cases.py"


def last_line(process: subprocess.Popen) -> dict[str, str]:
    told, errors = process.communicate(timeout=300)
    assert told.strip(), errors[-2000:]
    return json.loads(told.splitlines()[-1])


def start(folder: Path, **told: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, SCRIPT], cwd=folder, env={**clean(), **told}, **pipes)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Case -> what Keras does by itself on two replicas."""
    return last_line(start(tmp_path_factory.mktemp("upstream")))


def test_two_replicas_are_one_device_where_nothing_is_mended(alone):
    assert alone["nothing of these"] == "equal"  # else the others would say nothing


@pytest.mark.parametrize(
    "case", ["clipping", "accumulation", "overwriting by averages", "an uneven last batch", "an overflow"]
)
def test_keras_needs_the_mend(alone, case):
    assert alone[case] != "equal"


def test_fit_fails_on_several_workers(tmp_path):
    addresses = [f"localhost:{port}" for port in ports(2)]
    configs = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}} for i in range(2)]
    processes = [start(tmp_path, TF_CONFIG=json.dumps(config)) for config in configs]
    assert all(last_line(process)["several workers"] != "equal" for process in processes)
