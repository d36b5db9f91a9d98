"""Choice: files of a text, several ways to go on and which of them is right -> examples, and examples -> batches.

E examples, C choices of each, B examples of a batch, T tokens of the batch's longest row.

The form is that of SWAG (Zellers et al. 2018, https://arxiv.org/abs/1808.05326).
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines import files
from pipelines.orders import FileOrder, GroupedOrder
from pipelines.packing import pack, packed_lengths
from pipelines.row_batches import index_batches, open_wordpiece, tokenize_all
from pipelines.tasks.texts import LABEL_COLUMN, TEXT_COLUMN, Paths, read_texts, text_columns, text_of, value_of

SWAG_COLUMNS = ("sent1", "sent2")  # as the published files name them
CHOICES = "choices"  # a list, in JSON
CHOICE_COLUMNS = ("choice", "ending")  # with a number behind, from 0


@dataclass(frozen=True)
class ChoiceExamples:
    """E texts with C choices each: `choices[i][label_ids[i]]` is right; without labels there are no `label_ids`."""

    texts: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    label_ids: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_choices(self) -> int:
        return len(self.choices[0]) if self.choices else 0


def read_choice(
    paths: Paths,
    *,
    text_column: str = TEXT_COLUMN,
    pair_column: str | None = None,
    label_column: str | None = LABEL_COLUMN,
) -> ChoiceExamples:
    """Reads files of a text, its choices, and the number of the right one.

    Choices stand in columns choice0, choice1, ... or ending0, ending1, ..., or in JSON in a list `choices`.

    Args:
        paths: a file, a glob, or several of either: .tsv, .csv or .jsonl, also .gz and .xz.
        text_column: the text. Where a file has no `sentence`, `sentence1` is the text and `sentence2` the start of
            every choice; or `sent1` and `sent2`, as in SWAG's own files.
        pair_column: the start of every choice; None where choices are whole.
        label_column: the number of the right choice, from 0; None reads no labels.

    Raises:
        ValueError: a row with another number of choices than the first, with fewer than two, or with a label that is
            no number of a choice; a column that is not there; and what `files.rows` raises. All name file and line.
        FileNotFoundError: no such file.
    """
    texts, choices, labels, columns = [], [], [], ()
    for path in files.find(paths):
        columns = ()
        for number, row in files.rows(path):
            columns = columns or _columns(row, text_column, pair_column, path)
            text, *start = (text_of(row, column, path, number) for column in columns)
            texts.append(text)
            choices.append(tuple(" ".join([*start, choice]) for choice in _choices(row, path, number)))
            _check_number(choices, f"{path}:{number}")
            if label_column is not None:
                value = value_of(row, label_column, path, number)
                labels.append(_label(value, len(choices[0]), f"{path}:{number}: {label_column!r}"))
    return ChoiceExamples(tuple(texts), tuple(choices), columns, tuple(labels))


def read_choice_questions(source: Paths | io.IOBase, **columns: str) -> ChoiceExamples:
    """Reads texts and choices to predict on; labels that a file may have are left alone.

    Args:
        source: files as `read_choice` takes them; or .txt or an open stream, a line each, with tabs between the text
            and its choices.
        columns: `text_column` and `pair_column` as in `read_choice`.

    Raises:
        ValueError: as `read_choice`.
    """
    if not hasattr(source, "read"):
        found = files.find(source)
        if any(files.format_of(path, (*files.FORMATS, ".txt")) != ".txt" for path in found):
            return read_choice(found, label_column=None, **columns)
    texts, choices = [], []
    for number, line in enumerate(read_texts(source).texts, start=1):
        text, *rest = line.split("\t")
        texts.append(text)
        choices.append(tuple(rest))
        _check_number(choices, f"Line {number}")
    return ChoiceExamples(tuple(texts), tuple(choices))


def choice(
    files: Paths | ChoiceExamples,
    spec: Mapping[str, Any],
    *,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int | None = None,
    epochs: range | None = None,
    **columns: str | None,
) -> tf.data.Dataset:
    """Files of texts and choices -> batches for a `kbert.Chooser`.

    Each choice is a row `[CLS] text [SEP] choice [SEP]`; texts and choices too long together lose tokens as pairs do.

    Args:
        files: files as `read_choice` takes them, or the examples that it has read.
        spec: `model.tokenizer_spec`.
        batch_size: examples in a batch, which has C times as many rows.
        max_length: most tokens in a row, special tokens included.
        seed: shuffles, and groups examples of like length. None keeps the order of the files, for evaluation.
        epochs: as in `pipelines.classification`.
        columns: `text_column`, `pair_column` and `label_column` as in `read_choice`.

    Returns:
        A dataset of known cardinality, of (`pack`'s three tensors int32 [B, C, T], labels int32 [B]).

    Raises:
        ValueError: max_length over the model's positions; examples without labels; and what `read_choice` raises.
        FileNotFoundError: no such file.
    """
    examples = files if isinstance(files, ChoiceExamples) else read_choice(files, **columns)
    if len(examples.label_ids) != len(examples):
        raise ValueError(
            f"each example has a label, the number of its right choice; got {len(examples.label_ids)} for "
            f"{len(examples)}. Read them with read_choice, or ask an exported model."
        )
    wordpiece = open_wordpiece(spec, batch_size, max_length)
    C = examples.num_choices
    texts = tokenize_all(tf.constant(examples.texts, tf.string), wordpiece, max_length)  # [E, (A)]
    flat = [text for row in examples.choices for text in row]
    choices = tokenize_all(tf.constant(flat, tf.string), wordpiece, max_length)  # [E * C, (N)]
    owners = tf.repeat(tf.range(len(examples)), C)  # [E * C]
    lengths = tf.reshape(packed_lengths([tf.gather(texts, owners), choices], max_length), [len(examples), C])
    labels = tf.constant(examples.label_ids, tf.int32)

    def build(chosen):
        rows = tf.reshape(chosen[:, tf.newaxis] * C + tf.range(C, dtype=chosen.dtype), [-1])  # [B * C]
        packed = pack([tf.gather(texts, tf.repeat(chosen, C)), tf.gather(choices, rows)], wordpiece, max_length)
        shape = [-1, C, tf.shape(packed["input_word_ids"])[1]]
        return {name: tf.reshape(ids, shape) for name, ids in packed.items()}, tf.gather(labels, chosen)

    order = FileOrder() if seed is None else GroupedOrder(seed)
    return index_batches(tf.reduce_max(lengths, axis=1), order, batch_size, build, epochs)


def _columns(row: dict[str, Any], text_column: str, pair_column: str | None, path: Path) -> tuple[str, ...]:
    """The column of the text, and that of the start of the choices where there is one."""
    unnamed = text_column == TEXT_COLUMN and pair_column is None
    if unnamed and text_column not in row and set(SWAG_COLUMNS) <= set(row):
        return SWAG_COLUMNS
    return text_columns(row, text_column, pair_column, path)


def _choices(row: dict[str, Any], path: Path, number: int) -> Iterator[str]:
    """The choices of a row, in their order."""
    if CHOICES in row:
        listed = row[CHOICES]
        if not isinstance(listed, list) or not all(isinstance(choice, str) for choice in listed):
            raise ValueError(f"{path}:{number}: {CHOICES!r} must be a list of texts; got {listed!r}.")
        return iter(listed)
    name = next((name for name in CHOICE_COLUMNS if f"{name}0" in row), None)
    if name is None:
        raise ValueError(
            f"{path}:{number}: choices stand in columns choice0, choice1, ... or ending0, ending1, ..., or in JSON in "
            f"a list 'choices'; there are {', '.join(map(repr, row))}."
        )
    columns = takewhile(row.__contains__, (f"{name}{place}" for place in count()))
    return (text_of(row, column, path, number) for column in columns)


def _check_number(choices: list[tuple[str, ...]], where: str) -> None:
    """The last row against the first."""
    if len(choices[-1]) < 2:
        raise ValueError(f"{where}: a row has two choices at least; got {len(choices[-1])}.")
    if len(choices[-1]) != len(choices[0]):
        raise ValueError(
            f"{where}: every row has the same number of choices, {len(choices[0])} as the first; got "
            f"{len(choices[-1])}. Read rows with another number apart."
        )


def _label(value: Any, num_choices: int, where: str) -> int:
    """The number of the right choice."""
    spelled = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", spelled) or int(spelled) >= num_choices:
        raise ValueError(f"{where} must be the number of the right choice, 0 to {num_choices - 1}; got {value!r}.")
    return int(spelled)
