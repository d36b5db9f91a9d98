"""The model card: README.md of an exported model, for whoever finds the folder later.

Headings follow Mitchell et al. 2019, "Model Cards for Model Reporting", https://arxiv.org/abs/1810.03993, as far as a
RUN tells them; what nothing tells is said to be unknown, so that it can be filled in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from kbert.runs import Run

FILE = "README.md"
UNKNOWN = "unknown"  # the name that Hugging Face's cards have for a licence that nothing tells

ANSWERS = MappingProxyType(
    {
        "classify": "one of its labels for a text or a pair of texts",
        "multilabel": "any number of its labels for a text",
        "regress": "a number for a text or a pair of texts",
        "tag": "a tag for each word of a text, and the entities that tags spell",
        "qa": "the part of a context that answers a question",
        "choice": "which of several choices goes with a text",
        "embed": "a vector for a text",
        "pretrain": "what stands behind each [MASK] of a text",
    }
)


@dataclass(frozen=True)
class Card:
    """What a model does not know of itself.

    Args:
        license: of the weights, as a name of SPDX; None where nothing tells it.
        started_from: the preset that was trained on.
        data: what part -> the file that it was.
        figures: of the dev set, by name.
    """

    license: str | None = None
    started_from: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_run(cls, folder: str | Path, license: str | None = None) -> "Card":
        """What the task.json of a RUN tells; of files their names alone, since folders are nobody's business."""
        said = Run.open(folder).task
        settings, result = said.get("settings") or {}, said.get("result") or {}
        preset = settings.get("model") or settings.get("init")
        names = {part: Path(settings[part]).name for part in ("train", "dev") if isinstance(settings.get(part), str)}
        told = {name: value for name, value in (result.get("dev") or {}).items() if isinstance(value, float)}
        return cls(license, Path(preset).name if preset else None, names, told)


def write_card(
    folder: Path,
    model: keras.Model,
    card: Card | None,
    calls: Sequence[str],
    header: str = "",
    sizes: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Writes README.md, once the other files are there.

    Args:
        folder: of the exported model.
        model: what was exported.
        card: what it does not know of itself.
        calls: Markdown that says how it is asked.
        header: what stands before the title.
        sizes: of the exported form, beside those of the model.
    """
    files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    told = card or Card()
    parts = [
        f"{header}# {title(model)}",
        f"Answers with {ANSWERS[model.task]}. Written by kbert.",
        *labels(model),
        "## Data",
        data(told),
        "## Figures",
        figures(told),
        "## Size",
        table(["", ""], [*size(model), *sizes.items(), ["files", f"{files / 1e6:.1f} MB"]]),
        "## License",
        f"{told.license or UNKNOWN}{'' if told.license else ': ask whoever trained it.'}",
        *calls,
    ]
    (folder / FILE).write_text("\n\n".join(parts) + "\n", "utf-8")


def title(model: keras.Model) -> str:
    """What it is, in a line.

    >>> title(keras.Sequential(name="named"))
    'named'
    """
    config = getattr(model, "config", None)
    if config is None:
        return model.name
    return f"{type(model).__name__}: BERT, {config.num_hidden_layers} layers, width {config.hidden_size}"


def labels(model: keras.Model) -> list[str]:
    """The labels as a paragraph, where the model has some."""
    return [f"Labels: {', '.join(f'`{label}`' for label in model.labels)}."] if model.labels else []


def data(card: Card) -> str:
    """Which files it was trained and measured on, and what it started from."""
    rows = [[part, f"`{name}`"] for part, name in card.data.items()]
    rows += [["started from", f"`{card.started_from}`"]] if card.started_from else []
    return table(["", ""], rows) if rows else f"{UNKNOWN}."


def figures(card: Card) -> str:
    """How good it was on its dev set."""
    rows = [[name, f"{value:.4f}"] for name, value in card.figures.items()]
    return table(["on the dev set", ""], rows) if rows else f"{UNKNOWN}."


def size(model: keras.Model) -> list[list[str]]:
    """Its sizes, a row each."""
    config, weights = model.config, model.named_weights().values()
    case = "lower-cased" if (model.tokenizer or {}).get("lowercase", True) else "cased"
    return [
        ["weights", f"{sum(int(np.prod(weight.shape)) for weight in weights):,}"],
        ["layers, width, heads", f"{config.num_hidden_layers}, {config.hidden_size}, {config.num_attention_heads}"],
        ["vocabulary", f"{config.vocab_size:,} tokens, {case}"],
        ["positions", f"{config.max_position_embeddings} tokens"],
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown.

    >>> table(["a", "b"], [[1, 2]])
    '| a | b |\\n| --- | --- |\\n| 1 | 2 |'
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def code(language: str, text: str) -> str:
    """A block of code in Markdown.

    >>> code("python", "1 + 1")
    '```python\\n1 + 1\\n```'
    """
    return f"```{language}\n{text}\n```"
