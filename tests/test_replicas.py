"""One training gives the same weights on one device, on replicas of a machine and on several workers: one table."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kbert

SCRIPT = Path(__file__).parent / "replica_cases.py"
# bfloat16 has three digits, and Adam divides gradients near 0 by their own size.
TOLD = "classify, gradients told in bfloat16"
LOOSE = {"classify, bfloat16": 2e-2, "classify, float16": 5e-3, TOLD: 5e-3}
WEIGHTS, FIGURES = 1e-6, 1e-5
OF_BATCHES = "_logits_loss"  # Keras' own loss of each of several outputs: a mean over batches, whatever they hold
NAMES = ("two replicas", "two workers", "three workers")


def clean() -> dict[str, str]:
    """The environment of a process that is not yet told of other workers."""
    told = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return {**told, "PYTHONPATH": str(Path(kbert.__file__).parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}


def ports(count: int) -> list[int]:
    """Free ports of this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


def start(folder: Path, name: str, devices: int = 0, workers: int = 1) -> list[subprocess.Popen]:
    """The processes of a training."""
    addresses, started = [f"localhost:{port}" for port in ports(workers)], []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        told = {"TF_CONFIG": json.dumps(task)} if workers > 1 else {}
        words = [sys.executable, SCRIPT, folder / f"{name} {index}.npz", *([str(devices)] if devices else [])]
        with (folder / f"{name} {index}.log").open("w") as log:
            started.append(subprocess.Popen(words, env={**clean(), **told}, cwd=folder, stdout=log, stderr=log))
    return started


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The arrays of every training, by its name and its worker."""
    folder = tmp_path_factory.mktemp("replicas")
    waves = ((("one", 0, 1), (NAMES[0], 2, 1)), ((NAMES[1], 0, 2),), ((NAMES[2], 0, 3),))
    for wave in waves:  # a few processes at a time
        processes = [one for name, devices, workers in wave for one in start(folder, name, devices, workers)]
        codes = [one.wait(timeout=1200) for one in processes]
        assert not any(codes), "\n".join(log.read_text()[-2000:] for log in folder.glob("*.log"))
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def cases() -> list[str]:
    """The names in replica_cases.CASES, whose import would start TensorFlow here."""
    lines = SCRIPT.read_text("utf-8").partition("CASES = {")[2].partition("\n}")[0].splitlines()
    return [line.split('"')[1] for line in lines if line.startswith('    "')]


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("name", NAMES)
def test_weights_figures_and_answers_are_those_of_one_device(found, name, case):
    one, several = found["one 0"], found[f"{name} 0"]
    names = [key for key in one if key.startswith(f"{case}|") and not key.endswith(OF_BATCHES)]
    assert any("|weights/" in key for key in names) and any("|figures/" in key for key in names)
    for key in names:
        most = {"rtol": 0, "atol": WEIGHTS} if "|weights/" in key else {"rtol": FIGURES, "atol": FIGURES}
        if case in LOOSE:
            most = {"rtol": 0, "atol": LOOSE[case]}
        np.testing.assert_allclose(several[key], one[key], err_msg=key, **most)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_told_in_fewer_bits_make_other_weights(found, name):
    exact, told = (
        {
            key.partition("|")[2]: found[f"{name} 0"][key]
            for key in found[f"{name} 0"]
            if key.startswith(f"{case}|weights")
        }
        for case in ("classify", TOLD)
    )
    assert all(np.abs(told[key] - exact[key]).max() > 0 for key in exact if key.endswith("kernel"))


@pytest.mark.parametrize("name", NAMES)
def test_there_were_as_many_replicas_as_the_name_says(found, name):
    assert found[f"{name} 0"]["replicas"] == {"two": 2, "three": 3}[name.split()[0]]


@pytest.mark.parametrize("name, workers", [(NAMES[1], 2), (NAMES[2], 3)])
def test_every_worker_ends_with_the_same_bits(found, name, workers):
    first = found[f"{name} 0"]
    for index in range(1, workers):
        other = found[f"{name} {index}"]
        assert all(np.array_equal(first[key], other[key]) for key in first)
