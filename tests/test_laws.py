"""The laws of the house, read from the sources with ast: who imports whom, and what may not be there."""

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("kbert", "pipelines", "export")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

# Fused kernels, gradients by hand, compiled chains, noise that is a function of a seed tensor: Keras has none of them.
TENSORFLOW_MODULES = ("layout", "optimizer", "lamb", "dropout", "gradients", "chains")
TENSORFLOW_MODULES += ("steps", "global_batch", "replicas", "replica_batches", "replica_figures")
TENSORFLOW_MODULES += ("strategies", "workers", "waiting")
TENSORFLOW_MODULES += ("pretraining/metrics", "pretraining/vocabulary_loss", "tasks/viterbi")
TENSORFLOW_FILES = tuple(f"kbert/{name}.py" for name in TENSORFLOW_MODULES)
TENSORFLOW_FOLDERS = ("kbert/weights/", "kbert/cli/", "pipelines/", "export/")
PIPELINES_MAY_IMPORT = {"numpy", "tensorflow", "tensorflow_text", "pipelines"} | set(sys.stdlib_module_names)
PIPELINES_EXCEPTIONS = {  # imported when they are called
    "pipelines/vocabulary_learning.py": {"tokenizers"},  # its trainer
    "pipelines/beam.py": {"apache_beam"},  # an extra
}
HEAVY = (
    "tensorflow",
    "keras",
    "official",
    "keras_nlp",
    "keras_hub",
    "tensorflow_text",
    "apache_beam",
    "matplotlib",
    "sklearn",
    "grpc",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported(path: Path, *, at_import_only: bool = False) -> list[str]:
    """Full dotted names that a file imports, `from a import b` as a.b; `at_import_only`: no function bodies."""
    package = path.relative_to(ROOT).parts[:-1]
    names = []
    todo = list(ast.parse(path.read_text("utf-8")).body)
    while todo:
        node = todo.pop()
        if at_import_only and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(node)):
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
        todo += ast.iter_child_nodes(node)
    return names


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def owner(name: str) -> str | None:
    """The module of ours that an imported name lives in: kbert.config.BertConfig -> kbert.config."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def edges() -> dict[str, set[str]]:
    return {
        module: {found for name in imported(path, at_import_only=True) if (found := owner(name)) and found != module}
        for module, path in MODULES.items()
    }


def loaded_after(code: str, folder: Path) -> set[str]:
    """Top names in sys.modules after `code` in a fresh process that runs in `folder`."""
    import kbert

    env = {**os.environ, "PYTHONPATH": str(Path(kbert.__file__).parents[1])}
    code += "\nimport sys; print('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], env=env, cwd=folder, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return {name.split(".")[0] for name in out.stdout.split()}


def test_the_three_packages_are_there():
    assert {module.split(".")[0] for module in MODULES} == set(PACKAGES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_kbert_and_pipelines_never_import_each_other(path):
    where = path.relative_to(ROOT).as_posix()
    if where.startswith("kbert/") and not where.startswith("kbert/cli/"):
        assert not tops(path) & {"pipelines", "export"}
    if where.startswith("pipelines/"):
        assert not tops(path) & {"kbert", "export"}
    if where.startswith("export/"):
        assert not [name for name in imported(path) if name.startswith("kbert.cli")]


def test_no_import_is_circular():
    try:
        list(TopologicalSorter(edges()).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_tensorflow_appears_only_in_its_rooms(path):
    where = path.relative_to(ROOT).as_posix()
    if where not in TENSORFLOW_FILES and not where.startswith(TENSORFLOW_FOLDERS):
        assert not tops(path) & {"tensorflow", "tensorflow_text"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_pipelines_need_only_tensorflow_and_its_text(path):
    if path.relative_to(ROOT).parts[0] == "pipelines":
        allowed = PIPELINES_EXCEPTIONS.get(path.relative_to(ROOT).as_posix(), set())
        assert tops(path) <= PIPELINES_MAY_IMPORT | allowed


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_is_pickled(path):
    assert not tops(path) & {"pickle", "cPickle", "dill", "joblib", "cloudpickle"}
    assert "allow_pickle=True" not in path.read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_file_is_a_drawer(path):
    assert path.stem not in ("utils", "util", "common", "helpers", "helper", "misc")
    assert not path.stem.endswith(("_v2", "_new", "_legacy", "_old", "_utils"))


GLOBAL_CALLS = (
    "set_random_seed",
    "random.set_seed",
    "random.seed",
    "set_global_policy",
    "set_dtype_policy",
    "set_floatx",
)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_importing_sets_no_seed_and_no_dtype(path):
    todo = list(ast.parse(path.read_text("utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            assert not ast.unparse(node.func).endswith(GLOBAL_CALLS), ast.unparse(node)
        todo += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_users_errors_are_never_asserts(path):
    assert not [node.lineno for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Assert)]


def test_import_kbert_loads_nothing_heavy(tmp_path):
    assert not loaded_after("import kbert", tmp_path) & set(HEAVY)


def test_the_help_of_the_command_line_loads_nothing_heavy(tmp_path):
    code = "from kbert.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_after(code, tmp_path) & set(HEAVY)
