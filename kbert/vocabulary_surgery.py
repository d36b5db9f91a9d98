"""Surgery on a trained model's vocabulary: new words in, tokens that a text never uses out.

A row of the token table belongs to a token, and so does an entry of the masked-token head's bias; nothing else of BERT
knows the vocabulary. So a new word gets a new row, and a token that goes takes its row with it: all other weights, and
the answers on texts that are split as before, stay bit for bit. What is made of a RUN is a RUN.

E entries of the vocabulary, V rows of the token table (E of them used), D width.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kbert import sentence_transformers
from kbert.config import BertConfig
from kbert.presets import Preset, open_preset
from kbert.runs import TASK, Run
from kbert.saving import save_preset
from kbert.whole_tokens import SPECIAL, MakeTokenizer, check_whole, found_whole, letters

BY_TOKEN = ("embeddings/token", "masked_tokens/bias")  # weights whose first axis is the vocabulary


@dataclass(frozen=True)
class Sizes:
    """A model's vocabulary and weights in numbers: entries, and bytes of all weights as float32."""

    tokens: int
    bytes: int


@dataclass(frozen=True)
class Extended:
    """What `extend` did.

    Attributes:
        folder: the new preset.
        before, after: sizes.
        added: words that are tokens now, in the order of their ids.
        skipped: number of words that were in the vocabulary before, or twice in the list.
        unknown: those of `added` of which a part was [UNK] before; their rows are made of that row too.
    """

    folder: Path
    before: Sizes
    after: Sizes
    added: tuple[str, ...]
    skipped: int
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """What `cut` did.

    Attributes:
        folder: the new preset.
        before, after: sizes.
        used: number of tokens that stay because the text uses them.
        corpus_tokens: number of tokens that the text is, before.
    """

    folder: Path
    before: Sizes
    after: Sizes
    used: int
    corpus_tokens: int


def extend(
    preset: Preset | str,
    words: Iterable[str],
    folder: str | os.PathLike[str],
    make_tokenizer: MakeTokenizer,
    *,
    use_unused: bool = False,
    overwrite: bool = False,
) -> Extended:
    """Write a preset whose vocabulary has new words; a new row is the mean of the rows of the word's pieces.

    Args:
        preset: anything that `open_preset` takes, or what it returns.
        words: as the tokenizer sees them: in lower case where it lower-cases, one word each.
        folder: of the new preset; see `save_preset`.
        make_tokenizer: `pipelines.WordPiece.from_spec`, or what does the same; see `kbert.whole_tokens`.
        use_unused: give new words the ids of [unusedN] tokens while there are any, so that the model does not grow.
        overwrite: replace an earlier preset there.

    Raises:
        ValueError: words that the tokenizer would never give as one token (names them), no new word, or a preset
            without weights.
        FileExistsError: the folder has a preset.
    """
    preset, arrays = _with_weights(preset)
    old = make_tokenizer(preset.tokenizer)
    entries, known = list(old.vocabulary), set(old.vocabulary)
    given = [word for word in map(str.strip, words) if word]
    new = [word for word in dict.fromkeys(given) if word not in known]
    if not new:
        raise ValueError(
            f"an extension needs a word that the vocabulary lacks; got {len(given)}, all in it. Give other words."
        )
    slots = [row for row, token in enumerate(entries) if token.startswith("[unused")] if use_unused else []
    ids = [*slots[: len(new)], *range(len(entries), len(entries) + len(new) - min(len(slots), len(new)))]
    grown = entries + [""] * (max(ids) + 1 - len(entries))
    for row, word in zip(ids, new, strict=True):
        grown[row] = word
    check_whole(new, ids, make_tokenizer({**preset.tokenizer, "vocabulary": grown}))
    pieces = old.tokenize(new).to_list()
    changed = {name: _with_means(array, pieces, ids) for name, array in arrays.items() if name in BY_TOKEN}
    config = _renumbered(preset.config, len(changed[BY_TOKEN[0]]), {row: row for row in range(len(entries))})
    _save(preset, config, arrays | changed, grown, folder, overwrite)
    unknown_id = entries.index("[UNK]")
    return Extended(
        folder=Path(folder),
        before=_sizes(entries, arrays),
        after=_sizes(grown, arrays | changed),
        added=tuple(new),
        skipped=len(given) - len(new),
        unknown=tuple(word for word, parts in zip(new, pieces, strict=True) if unknown_id in parts),
    )


def cut(
    preset: Preset | str,
    blocks: Iterable[bytes],
    folder: str | os.PathLike[str],
    make_tokenizer: MakeTokenizer,
    *,
    min_count: int = 1,
    overwrite: bool = False,
) -> Cut:
    """Write a smaller preset, without the tokens that a text does not use; those that stay keep their order.

    What stays: the special tokens; what the text uses `min_count` times or more; every token of one character that
    some text gives; and tokens that these could not spell. So with `min_count` 1 the text is split as before, and with
    any, a text of characters that the vocabulary has is never [UNK] where it was not before.

    Args:
        preset: anything that `open_preset` takes, or what it returns.
        blocks: the text in bytes, UTF-8, none of which ends within a line.
        folder: of the new preset; see `save_preset`.
        make_tokenizer: `pipelines.WordPiece.from_spec`, or what does the same; see `kbert.whole_tokens`.
        min_count: how often the text must use a token for it to stay.
        overwrite: replace an earlier preset there.

    Raises:
        ValueError: a text without tokens, or a preset without weights.
        FileExistsError: the folder has a preset.
    """
    preset, arrays = _with_weights(preset)
    tokenizer = make_tokenizer(preset.tokenizer)
    entries = list(tokenizer.vocabulary)
    counts = count_tokens(blocks, tokenizer)
    if not counts.any():
        raise ValueError("a vocabulary is cut to the tokens of a text; got a text without any. Check the files.")
    used = counts >= max(min_count, 1)
    stays = used | np.array([token in SPECIAL for token in entries])
    rest = [token for token, stay in zip(entries, stays, strict=True) if not stay and not token.startswith("[unused")]
    singles = {token for token in rest if len(letters(token)) == 1}
    singles = found_whole(sorted(singles), preset.tokenizer, make_tokenizer)
    spelling = singles | {token for token, stay in zip(entries, stays, strict=True) if stay}
    odd = [token for token in rest if len(letters(token)) > 1 and not spelling.issuperset(letters(token))]
    needed = singles | found_whole(odd, preset.tokenizer, make_tokenizer)
    rows = [row for row, token in enumerate(entries) if stays[row] or token in needed]
    kept = [entries[row] for row in rows]
    gathered = {name: array[rows] for name, array in arrays.items() if name in BY_TOKEN}
    config = _renumbered(preset.config, len(rows), {row: place for place, row in enumerate(rows)})
    _save(preset, config, arrays | gathered, kept, folder, overwrite)
    before, after = _sizes(entries, arrays), _sizes(kept, arrays | gathered)
    return Cut(Path(folder), before, after, int(used.sum()), int(counts.sum()))


def count_tokens(blocks: Iterable[bytes], tokenizer) -> np.ndarray:
    """int64 [E]: how often each token stands in a text."""
    counts = np.zeros(len(tokenizer.vocabulary), np.int64)
    for block in blocks:
        ids = np.asarray(tokenizer.tokenize(block.split(b"\n")).flat_values)
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def _with_weights(preset: Preset | str) -> tuple[Preset, dict[str, np.ndarray]]:
    preset = preset if isinstance(preset, Preset) else open_preset(preset)
    arrays = preset.read_weights()
    if arrays is None:
        raise ValueError(
            f"A vocabulary is changed in a model that has weights; got {preset.source!r}, which has random ones. "
            "Learn a vocabulary of its own with `kbert vocab`."
        )
    return preset, arrays


def _with_means(array: np.ndarray, pieces: Sequence[Sequence[int]], ids: Sequence[int]) -> np.ndarray:
    """`array` [V, ...] with a row at each of `ids`, the mean of the rows that its `pieces` number."""
    grown = np.zeros((max(len(array), max(ids) + 1), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    for row, parts in zip(ids, pieces, strict=True):
        grown[row] = array[parts].mean(0, dtype=np.float64)
    return grown


def _renumbered(config: BertConfig, num_rows: int, places: Mapping[int, int]) -> BertConfig:
    """The config for `num_rows`, with the ids of special tokens that it names (pad_token_id) moved to their places."""
    ids = {key: value for key, value in config.extras().items() if key.endswith("_token_id") and value in places}
    return replace(config.with_extra(**{key: places[value] for key, value in ids.items()}), vocab_size=num_rows)


def _sizes(entries: Sequence[str], arrays: Mapping[str, np.ndarray]) -> Sizes:
    return Sizes(len(entries), sum(array.size * 4 for array in arrays.values()))


def _save(
    preset: Preset,
    config: BertConfig,
    arrays: Mapping[str, np.ndarray],
    entries: Sequence[str],
    folder: str | os.PathLike[str],
    overwrite: bool,
) -> None:
    labels = None if "id2label" in config.extras() else preset.labels  # a config keeps its own
    layout = "google" if preset.layout == "google" else "huggingface"
    folder, of_run = Path(folder), (preset.folder / TASK).is_file()
    if of_run and (folder / TASK).exists() and not overwrite:
        raise FileExistsError(f"A run must not replace another unasked; got {folder}, which has {TASK}. Name another.")
    with tempfile.TemporaryDirectory() as beside:
        vocabulary = Path(beside) / "vocab.txt"
        vocabulary.write_bytes("".join(f"{entry}\n" for entry in entries).encode())
        save_preset(folder, config, arrays, preset.tokenizer, vocabulary, labels, layout=layout, overwrite=overwrite)
    if of_run:
        _carry(preset, folder)


def _carry(preset: Preset, folder: Path) -> None:
    """Writes what makes a RUN of a preset, without the figures that the model had with its whole vocabulary."""
    Run(folder).write_task({key: said for key, said in Run(preset.folder).task.items() if key != "result"})
    if pooled := sentence_transformers.read(preset.folder):
        sentence_transformers.write(folder, width=preset.config.hidden_size, **pooled)
