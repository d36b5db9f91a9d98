"""What sentence-transformers keeps beside a model: how its tokens are pooled, and how many of them a text may have.

modules.json                 the parts in their order: the encoder, pooling, and Normalize where vectors have length 1
1_Pooling/config.json        which pooling
sentence_bert_config.json    most tokens of a text; else tokenizer_config.json tells

Layout: UKPLab/sentence-transformers, `SentenceTransformer.save` and `models/Pooling.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kbert.tokenizer_settings import TOKENIZER_CONFIG

MODULES, POOLING, LENGTH = "modules.json", "1_Pooling", "sentence_bert_config.json"
_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "mean": "pooling_mode_mean_tokens",
        "cls": "pooling_mode_cls_token",
        "max": "pooling_mode_max_tokens",
    }
)
_PLACE = "sentence_transformers.models."


def read(folder: str | Path | None) -> dict[str, Any]:
    """What the files of a folder say: "pooling", "normalize", "max_length"; empty where there is no modules.json.

    A part `2_Normalize` is a line of modules.json alone: it has no files.

    Raises:
        ValueError: a file that is no JSON, a part or a pooling that `kbert.Embedder` has not, or several poolings.
    """
    if folder is None or not (Path(folder) / MODULES).is_file():
        return {}
    folder = Path(folder)
    said: dict[str, Any] = {"normalize": False}
    for part in _json(folder / MODULES, list):
        kind = str(part.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            said["pooling"] = _pooling(folder / part.get("path", POOLING) / "config.json")
        elif kind == "Normalize":
            said["normalize"] = True
        elif kind != "Transformer":
            raise ValueError(
                f"{folder / MODULES}: the parts of an embedder are Transformer, Pooling and Normalize; got {kind!r}. "
                "Its vectors would be others without that part: embed with sentence-transformers."
            )
    length = _json(folder / LENGTH, dict).get("max_seq_length") if (folder / LENGTH).is_file() else None
    if not length and (folder / TOKENIZER_CONFIG).is_file():  # where later versions write it
        length = _json(folder / TOKENIZER_CONFIG, dict).get("model_max_length")
    return {**said, **({"max_length": int(length)} if length else {})}


def _pooling(path: Path) -> str:
    said = _json(path, dict)
    modes = [key for key, value in said.items() if key.startswith("pooling_mode_") and value]
    named = said.get("pooling_mode")  # one name or several, which later versions write
    if named is not None:
        modes = [_KEYS.get(mode, mode) for mode in ([named] if isinstance(named, str) else named)]
    found = [name for name, key in _KEYS.items() if key in modes]
    if len(modes) != 1 or not found:
        raise ValueError(
            f"{path}: a pooling is one of {', '.join(_KEYS.values())}; got {', '.join(modes) or 'none'}. "
            "Embed with sentence-transformers, or train from the encoder alone."
        )
    return found[0]


def write(folder: str | Path, pooling: str, normalize: bool, width: int, max_length: int) -> None:
    """Writes the files, so that sentence-transformers opens the folder too.

    Args:
        folder: of a preset in Hugging Face's layout.
        pooling: "mean", "cls" or "max".
        normalize: whether vectors have length 1.
        width: D.
        max_length: most tokens of a text.
    """
    folder = Path(folder)
    kinds = [("", "Transformer"), (POOLING, "Pooling"), *([("2_Normalize", "Normalize")] if normalize else [])]
    parts = [
        {"idx": number, "name": str(number), "path": path, "type": f"{_PLACE}{kind}"}
        for number, (path, kind) in enumerate(kinds)
    ]
    modes = {key: name == pooling for name, key in _KEYS.items()}
    (folder / POOLING).mkdir(exist_ok=True)
    _write(folder / POOLING / "config.json", {"word_embedding_dimension": width, **modes})
    _write(folder / LENGTH, {"max_seq_length": max_length, "do_lower_case": False})
    _write(folder / MODULES, parts)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON in UTF-8; got {error}. Fetch it again.") from None
    if not isinstance(content, kind):
        raise ValueError(f"{path} must hold a JSON {kind.__name__}; got {type(content).__name__}. Fetch it again.")
    return content
