"""How a folder's vocabulary wants its text: lower-cased or not, accents, Chinese characters.

The settings are a dict {"vocabulary": path, "lowercase": bool, "strip_accents": bool or None, "split_cjk": bool};
None for strip_accents means "as lowercase". On disk they are Hugging Face's `tokenizer_config.json`, in either layout.
"""

import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VOCABULARY = "vocab.txt"
TOKENIZER_CONFIG = "tokenizer_config.json"
# Google's two releases that are lower-cased and whose names do not say so (tokenization.py of google-research/bert).
_LOWERCASE_RELEASES = ("chinese_L-12_H-768_A-12", "multilingual_L-12_H-768_A-12")


def read_tokenizer(folder: Path, vocabulary: Path, lowercase: bool | None, name: str) -> dict[str, Any]:
    """Settings of a folder's tokenizer.

    Lower-casing comes from the argument, else from tokenizer_config.json (True where it does not say, as in
    transformers), else from cased or uncased in the last part of `name`.

    Raises:
        ValueError: nothing tells whether to lower-case, or the file asks for another tokenizer than BERT's.

    Warns:
        UserWarning: the argument contradicts the folder.
    """
    said = _settings(folder)
    known = said.get("do_lower_case", True) if said is not None else _case_of(name)
    said = said or {}
    if lowercase is None and known is None:
        raise ValueError(
            f"A vocabulary is cased or not, and nothing in {folder} says which: no {TOKENIZER_CONFIG}, and neither "
            "cased nor uncased in its name; got lowercase=None. Give lowercase=True or lowercase=False."
        )
    if lowercase is not None and known is not None and lowercase != known:
        warnings.warn(
            f"lowercase={lowercase} contradicts {folder}, whose vocabulary is {'un' if known else ''}cased; "
            "most words will be unknown or badly split.",
            stacklevel=4,
        )
    return {
        "vocabulary": str(vocabulary),
        "lowercase": bool(known if lowercase is None else lowercase),
        "strip_accents": said.get("strip_accents"),
        "split_cjk": said.get("tokenize_chinese_chars", True),
    }


def write_tokenizer(path: Path, tokenizer: Mapping[str, Any], max_length: int) -> None:
    """Write tokenizer_config.json as transformers' BertTokenizer reads it; `max_length` in tokens."""
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": bool(tokenizer["lowercase"]),
        "strip_accents": tokenizer.get("strip_accents"),
        "tokenize_chinese_chars": bool(tokenizer.get("split_cjk", True)),
        "model_max_length": max_length,
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def count_entries(vocabulary: str | os.PathLike[str]) -> int:
    """Lines of a vocab.txt, an entry each.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an empty file.
    """
    path = Path(vocabulary)
    if not path.is_file():
        raise FileNotFoundError(f"A vocabulary must be a file with an entry a line; got {path}, which is not one.")
    content = path.read_bytes()
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    if not content.strip():
        raise ValueError(f"A vocabulary must have an entry a line; got {path}, which is empty. Fetch it again.")
    return lines


def _settings(folder: Path) -> dict[str, Any] | None:
    """Content of tokenizer_config.json; None where there is none."""
    path = folder / TOKENIZER_CONFIG
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON in UTF-8; got {error}. Fetch it again.") from None
    if not isinstance(said, dict):
        raise ValueError(f"{path} must hold a JSON object; got {type(said).__name__}. Fetch it again.")
    for key, allowed in (
        ("do_lower_case", (True, False)),
        ("strip_accents", (True, False, None)),
        ("tokenize_chinese_chars", (True, False)),
        ("do_basic_tokenize", (True,)),
    ):
        if key in said and said[key] not in allowed:
            raise ValueError(
                f"{key} must be one of {list(allowed)} in {path}; got {said[key]!r}, not BERT's tokenizer."
            )
    if "Japanese" in str(said.get("tokenizer_class")):
        raise ValueError(f"tokenizer_class must be BertTokenizer in {path}; got {said['tokenizer_class']!r}.")
    return said


def _case_of(name: str) -> bool | None:
    """Whether a model of this name is lower-cased; None where its name does not say.

    Example:
        >>> _case_of("bert-base-uncased"), _case_of("multi_cased_L-12_H-768_A-12"), _case_of("mine")
        (True, False, None)
    """
    if name in _LOWERCASE_RELEASES:
        return True
    found = re.search(r"(un)?cased", name.lower())
    return found and found[1] is not None
