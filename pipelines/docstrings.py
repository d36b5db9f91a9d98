"""The demo's data set: which library does a sentence come from?

The sentences are the first ones of the docstrings of installed libraries, read with `ast` and never imported. So the
set is real text, is on every machine that can run the demo, and differs a little where other versions are installed.
A library's own name, in all its spellings, is taken out of the text.
"""

import ast
import hashlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path

# Package -> what else it is called. All of them come with the requirements of this project.
LIBRARIES = {
    "fontTools": ("fonttools",),
    "keras": ("keras_core",),
    "matplotlib": ("mpl", "plt", "pyplot"),
    "numpy": ("np",),
    "pygments": (),
    "scipy": ("sp",),
    "sklearn": ("scikit-learn", "scikit", "scikits"),
    "tensorflow": ("tf", "tf2", "tfe"),
}
NOT_ITS_OWN = re.compile(
    r"/(tests?|testing|_tf_keras|externals|_external|extern|_vendor)/|/tensorflow/python/keras/|_test\.py$"
)
SPLITS = {"train": 80, "dev": 10, "test": 10}  # per cent
NUM_WORDS = range(3, 41)
NOT_A_SENTENCE = re.compile(r"-{3}|={3}|>>>|^\.\. ")  # underlined headings, examples, directives


def write_docstring_set(
    out_dir: str | Path, *, seed: int = 0, per_library: int = 1200, libraries: Mapping[str, tuple[str, ...]] = LIBRARIES
) -> dict:
    """Writes train.tsv, dev.tsv and test.tsv (`sentence`, `label`) into a folder; the same bytes each time.

    Args:
        out_dir: made where it does not exist; files of these names in it are replaced.
        seed: chooses the sentences and their split.
        per_library: the most sentences of one library.
        libraries: package -> other spellings of its name.

    Returns:
        {"counts": {split: {label: number}}, "files": {split: path}, "missing": [libraries not installed]}

    Raises:
        ValueError: fewer than two of the libraries are installed.
    """
    sentences, missing = docstring_sentences(seed=seed, per_library=per_library, libraries=libraries)
    rows = {split: [] for split in SPLITS}
    for sentence, library in sentences:
        rows[_split(sentence, seed)].append((sentence, library))
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    report = {"counts": {}, "files": {}, "missing": missing}
    for split, examples in rows.items():
        path = out_dir / f"{split}.tsv"
        _write(path, "".join(f"{sentence}\t{library}\n" for sentence, library in [("sentence", "label"), *examples]))
        labels = [library for _, library in examples]
        report["counts"][split] = {label: labels.count(label) for label in sorted(set(labels))}
        report["files"][split] = str(path)
    return report


def docstring_sentences(
    *, seed: int = 0, per_library: int = 1200, libraries: Mapping[str, tuple[str, ...]] = LIBRARIES
) -> tuple[list[tuple[str, str]], list[str]]:
    """(sentence, library) of the installed libraries, in random order; and the libraries that are not installed.

    No sentence is there twice: one that two libraries share is dropped.
    """
    roots = {library: root for library in sorted(libraries) if (root := package_folder(library))}
    missing = sorted(set(libraries) - set(roots))
    if len(roots) < 2:
        raise ValueError(
            f"the set needs two installed libraries or more; got {', '.join(roots) or 'none'}. "
            f"Install some of: {', '.join(missing)}."
        )
    found = {}  # the words of a sentence -> {library: sentence}
    for library, root in roots.items():
        name = own_name(library, libraries[library])
        for text in _first_sentences(root, library, seed, enough=2 * per_library):
            sentence = without_markup(name.sub("", text))
            words = re.findall(r"[^\W\d_]{2,}", sentence.casefold())
            if len(words) >= NUM_WORDS.start and not any(library.casefold() in word for word in words):
                found.setdefault(" ".join(words), {}).setdefault(library, sentence)
    owned = [(sentence, library) for of in found.values() if len(of) == 1 for library, sentence in of.items()]
    owned.sort(key=lambda row: _hash(row[0], seed))
    number, chosen = dict.fromkeys(roots, 0), []
    for sentence, library in owned:
        if number[library] < per_library:
            number[library] += 1
            chosen.append((sentence, library))
    return chosen, missing


def own_name(library: str, spellings: tuple[str, ...]) -> re.Pattern:
    """A pattern of a library's name as a word of its own or as a part of a dotted or underscored one.

    >>> own_name("numpy", ("np",)).sub("", "A NumPy array, numpy.ndarray, of np.float32 from_numpy.")
    'A  array, ndarray, of float32 from_.'
    """
    names = "|".join(map(re.escape, (library, *spellings)))
    return re.compile(rf"(?<![^\W_])(?:{names})(?![^\W_])(?:[._](?=\w))?", re.IGNORECASE)


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, found without importing it; None where it is not installed."""
    spec = importlib.util.find_spec(name)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def first_sentence(docstring: str) -> str:
    """The first sentence of the first paragraph, on one line.

    >>> first_sentence('''
    ...     Adds two numbers, e.g. 1 and 2.
    ...     More about it. And more.
    ...
    ...     Parameters''')
    'Adds two numbers, e.g. 1 and 2.'
    """
    paragraph = " ".join(docstring.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<! vs\.)\s+(?=[A-Z`\"'(])", paragraph, maxsplit=1)[0]


def without_markup(text: str) -> str:
    """Text without reStructuredText roles, backticks, emphasis and doubled spaces.

    >>> without_markup("Draws a :class:`~.axes.Axes`  in ``ax`` .")
    'Draws a axes.Axes in ax.'
    """
    text = re.sub(r":[\w:+-]+:(?=`)|[`*|]", "", text)
    text = re.sub(r"(?<![\w.])[~.]+(?=\w)", "", text)  # ~.axes.Axes
    return re.sub(r"\s+([.,;:!?)])(?!\w)", r"\1", " ".join(text.split()))


def _first_sentences(root: Path, library: str, seed: int, enough: int) -> Iterator[str]:
    """First sentences of a package's docstrings, file by file in random order, until there are enough."""
    paths = [
        path for path in root.rglob("*.py") if not NOT_ITS_OWN.search(f"/{library}/{path.relative_to(root).as_posix()}")
    ]
    paths.sort(key=lambda path: _hash(path.relative_to(root).as_posix(), seed))
    number = 0
    for path in paths:
        for docstring in _docstrings(path):
            sentence = first_sentence(docstring)
            if len(sentence.split()) in NUM_WORDS and not NOT_A_SENTENCE.search(sentence):
                number += 1
                yield sentence
        if number >= enough:
            return


def _docstrings(path: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # templates, and files for another Python
            return []
    texts = (ast.get_docstring(node) for node in _documented(tree))
    return [text for text in texts if text]


def _documented(node: ast.Module | ast.ClassDef) -> Iterator[ast.AST]:
    """A module, its functions, its classes and theirs; what is inside functions is left out, as no reader sees it."""
    yield node
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _documented(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child


def _hash(text: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\t{text}".encode()).digest()[:8], "big")


def _split(sentence: str, seed: int) -> str:
    """The split of a sentence, whatever other sentences there are."""
    place = _hash(f"split\t{sentence}", seed) % sum(SPLITS.values())
    ends = accumulate(SPLITS.values())
    return next(split for split, end in zip(SPLITS, ends, strict=True) if place < end)


def _write(path: Path, text: str) -> None:
    """Writes beside the file and renames, so that it is there whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
