"""A folder that transformers opens, and sentence-transformers where the model embeds."""

import json
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np

from export.model_card import ANSWERS, UNKNOWN, Card, code, write_card
from export.parity import ParityError
from export.whole_folders import beside, check_free
from kbert.lora import merged_weights
from kbert.presets import open_preset
from kbert.saving import save_model
from kbert.tokenizer_settings import count_entries

SPECIAL_TOKENS = "special_tokens_map.json"
SPECIALS = MappingProxyType(
    {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
)
# What the hub calls a task, and how transformers is asked for it; {folder} is the exported one's name.
PIPELINES = MappingProxyType(
    {
        "classify": "text-classification",
        "multilabel": "text-classification",
        "regress": "text-classification",
        "tag": "token-classification",
        "qa": "question-answering",
        "choice": "multiple-choice",
        "embed": "sentence-similarity",
        "pretrain": "fill-mask",
    }
)
ASKED = MappingProxyType(
    {
        "text-classification": 'pipeline("text-classification", model=".", top_k=None)("a text")',
        "token-classification": 'pipeline("token-classification", model=".")("a text")',
        "question-answering": 'pipeline("question-answering", model=".")(question="who?", context="a context")',
        "fill-mask": 'pipeline("fill-mask", model=".")("a [MASK]")',
    }
)


def huggingface(model: keras.Model, out: str | Path, *, overwrite: bool = False, card: Card | None = None) -> Path:
    """Writes a trained model as transformers' own folder.

    config.json with `architectures` and `id2label`, model.safetensors, vocab.txt, tokenizer_config.json,
    special_tokens_map.json and README.md; for an embedder modules.json, 1_Pooling/ and sentence_bert_config.json too.
    Before it gets its name, the folder is opened and its tensors are compared with the model's.

    transformers computes the same logits. Its tokenizer gives the same ids but for words of 101 to 200 characters,
    which it makes [UNK], and for special tokens that a text spells, which it keeps whole.

    Args:
        model: a `kbert.Classifier`, or another task's.
        out: folder to write; new or empty unless `overwrite`.
        overwrite: replaces what is in `out`.
        card: what README.md says beside what the model knows of itself.

    Returns:
        The folder.

    Raises:
        ValueError: `out` holds files; the model has no task or no tokenizer, has a part that transformers lacks, or has
            fewer embeddings than its vocabulary has tokens.
        ParityError: what was written is not the model.

    References: huggingface/transformers `modeling_bert.py`; UKPLab/sentence-transformers `SentenceTransformer.save`.
    """
    out = Path(out)
    check_free(out, overwrite)
    check_expressible(model)
    with beside(out) as folder:
        save_model(folder, model)
        (folder / SPECIAL_TOKENS).write_text(json.dumps(dict(SPECIALS), indent=2) + "\n", "utf-8")
        check_tensors(folder, model)
        write_card(folder, model, card, calls(model), header(model, card))
    return out


def check_expressible(model: keras.Model) -> None:
    """Raises ValueError for a model whose answers transformers could not give."""
    if model.task not in PIPELINES:
        raise ValueError(f"A model that is exported has a task, one of {', '.join(PIPELINES)}; got {model.task}.")
    spec = model.tokenizer_spec
    if getattr(model, "mix", "last") != "last":
        raise ValueError(
            f"transformers tags by the last layer; this tagger was trained with --mix {model.mix}, and its tags would "
            "be others there. Train it with --mix last, or export a SavedModel."
        )
    entries = count_entries(spec["vocabulary"])
    if entries > spec["vocab_size"]:
        raise ValueError(
            f"A vocabulary has at most as many tokens as the model has embeddings, {spec['vocab_size']}; got {entries} "
            f"in {spec['vocabulary']}. Take the vocab.txt that belongs to the model."
        )


def check_tensors(folder: Path, model: keras.Model) -> None:
    """Raises ParityError where a folder, opened again, holds other tensors than the model."""
    right = {name: np.asarray(weight) for name, weight in merged_weights(model).items()}
    found = open_preset(folder).read_weights() or {}
    wrong = sorted(name for name in {*right, *found} if not np.array_equal(right.get(name), found.get(name)))
    if wrong:
        raise ParityError(
            f"An exported model has the trained one's weights; {', '.join(wrong)} differ. Nothing was written. "
            "Check that the weights are finite; report this otherwise."
        )


def header(model: keras.Model, card: Card | None) -> str:
    """The YAML that Hugging Face's hub reads of a card."""
    library = "sentence-transformers" if model.task == "embed" else "transformers"
    told = [f"license: {card.license if card and card.license else UNKNOWN}", f"library_name: {library}"]
    told += [f"pipeline_tag: {PIPELINES[model.task]}", "tags:", "- bert", "- kbert"]
    return "\n".join(["---", *told, "---", "", ""])


def calls(model: keras.Model) -> list[str]:
    """How it is asked, by transformers and by kbert."""
    parts = ["## How to call it", "In this folder:"]
    asked = ASKED.get(PIPELINES[model.task])
    if model.task == "embed":
        parts.append(
            code(
                "python",
                "from sentence_transformers import SentenceTransformer\n\n"
                'SentenceTransformer(".").encode(["a text", "another"])',
            )
        )
    elif asked:
        parts.append(code("python", f"from transformers import pipeline\n\n{asked}"))
    else:
        parts.append(
            code(
                "python",
                "from transformers import AutoTokenizer, BertForMultipleChoice\n\n"
                'tokenizer, model = AutoTokenizer.from_pretrained("."), BertForMultipleChoice.from_pretrained(".")\n'
                'rows = tokenizer(["a text"] * 2, ["one choice", "another"], padding=True, return_tensors="pt")\n'
                "model(**{name: ids[None] for name, ids in rows.items()}).logits",
            )
        )
    if getattr(model, "crf", False):
        parts.append(
            "transformers has no CRF: it leaves `crf.transitions` out and tags each word by itself. kbert reads it."
        )
    name = type(model).__name__
    return [*parts, code("python", f'import kbert\n\nkbert.{name}.from_preset(".")  # {ANSWERS[model.task]}')]
