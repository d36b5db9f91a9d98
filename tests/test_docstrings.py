"""Laws of the docstring set: a sentence does not name its library, none is there twice, same bytes twice."""

import re
import sys

import pytest

from pipelines.docstrings import LIBRARIES, docstring_sentences, package_folder, write_docstring_set
from pipelines.tasks import read_classification

SMALL = {"demo_birds": ("birds", "db"), "demo_fish": (), "demo_absent": ()}


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Two installed libraries that must never be imported."""
    for name, modules in {
        "demo_birds": {
            "__init__.py": '"""Tools of demo_birds for counting birds."""\nraise RuntimeError("imported")\n',
            "wings.py": '''
class Wing:
    """A `demo_birds.Wing` moves air. It is light."""

    def flap(self):
        """Beats the air once, e.g. for
        :func:`~db.feathers.dry`.

        Parameters
        ----------"""
        def inner():
            """Nobody reads this one."""

async def glide():
    """Loses height as slowly as possible\twith tabs."""

def short():
    """Two words."""

def shared():
    """Returns the number of animals."""
''',
            "broken.py": "def (:\n",
            "tests/test_wings.py": '"""Tests belong to no library set."""\n',
        },
        "demo_fish": {
            "__init__.py": "",
            "fins.py": '''
def swim():
    """Moves through water with fins."""

def shared():
    """Returns the number of animals"""
''',
        },
    }.items():
        for module, code in modules.items():
            path = tmp_path / name / module
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return SMALL


def test_first_sentences_without_the_library_s_name(libraries):
    sentences, missing = docstring_sentences(libraries=libraries)
    assert missing == ["demo_absent"]
    assert sorted(sentences) == [
        ("A Wing moves air.", "demo_birds"),
        ("Beats the air once, e.g. for feathers.dry.", "demo_birds"),
        ("Loses height as slowly as possible with tabs.", "demo_birds"),
        ("Moves through water with fins.", "demo_fish"),
        ("Tools of for counting.", "demo_birds"),
    ]
    assert not any(name.startswith("demo_") for name in sys.modules)


def test_fewer_than_two_libraries_is_an_error():
    with pytest.raises(ValueError, match="two installed libraries or more; got numpy.*Install some of: demo_absent"):
        docstring_sentences(libraries={"numpy": ("np",), "demo_absent": ()})


def test_no_library_gets_more_than_its_share(libraries):
    sentences, _ = docstring_sentences(libraries=libraries, per_library=1)
    assert sorted(library for _, library in sentences) == ["demo_birds", "demo_fish"]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docstrings") / "new" / "folder"
    return folder, write_docstring_set(folder, per_library=60)


def test_same_bytes_twice_and_others_under_another_seed(real, tmp_path):
    folder, report = real
    assert write_docstring_set(tmp_path / "again", per_library=60)["counts"] == report["counts"]
    write_docstring_set(tmp_path / "other", per_library=60, seed=1)
    for split in ("train", "dev", "test"):
        written = (folder / f"{split}.tsv").read_bytes()
        assert (tmp_path / "again" / f"{split}.tsv").read_bytes() == written
        assert (tmp_path / "other" / f"{split}.tsv").read_bytes() != written
    assert sorted(path.name for path in folder.iterdir()) == ["dev.tsv", "test.tsv", "train.tsv"]


def test_real_set_reads_as_a_task(real):
    folder, report = real
    sets = {split: read_classification(folder / f"{split}.tsv") for split in ("train", "dev", "test")}
    assert {split: examples.counts() for split, examples in sets.items()} == report["counts"]
    installed = sorted(set(LIBRARIES) - set(report["missing"]))
    assert list(sets["train"].labels) == installed and "numpy" in installed
    texts = [text for examples in sets.values() for text in examples.texts]
    assert len({text.casefold() for text in texts}) == len(texts) == 60 * len(installed)
    assert len(sets["train"]) > 5 * len(sets["dev"])


def test_no_sentence_names_its_library(real):
    folder, _ = real
    examples = read_classification(folder / "train.tsv")
    for text, label in zip(examples.texts, examples.label_ids, strict=True):
        library = examples.labels[label]
        for name in (library, *LIBRARIES[library]):
            assert not re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", text, re.IGNORECASE), (library, text)


def test_a_missing_package_has_no_folder():
    assert package_folder("demo_absent") is None
