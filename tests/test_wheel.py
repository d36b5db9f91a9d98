"""The wheel: all modules of the three packages and nothing else; `make test` runs the other tests on it."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("kbert", "pipelines", "export")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing left over from an earlier build gets in and none is left."""
    pytest.importorskip("build")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--wheel", "--outdir", out, source]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_has_every_module_and_no_other(wheel):
    expected = {path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected
    assert {name.split("/")[0] for name in wheel.namelist() if ".dist-info" not in name} == set(PACKAGES)


def test_every_folder_of_modules_is_a_package():
    for name in PACKAGES:
        folders = {path.parent for path in (ROOT / name).rglob("*.py")}
        assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_the_wheel_installs_the_command(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    scripts = configparser.ConfigParser()
    scripts.read_string(wheel.read(name).decode())
    module, _, function = scripts["console_scripts"]["kbert"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_the_version_is_said_once(wheel):
    import kbert

    assert any(name.startswith(f"kbert-{kbert.__version__}.dist-info/") for name in wheel.namelist())


@pytest.mark.skipif("KBERT_WHEEL_SITE" not in os.environ, reason="set by make test")
@pytest.mark.parametrize("name", PACKAGES)
def test_the_tests_run_on_the_installed_wheel(name):
    assert Path(import_module(name).__file__).is_relative_to(os.environ["KBERT_WHEEL_SITE"])
