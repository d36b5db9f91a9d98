"""The command line: parses, calls, prints; one short file a command.

Nothing heavy is imported here: a command imports what it needs when it runs, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Sequence

import typer

from kbert.cli import (
    convert,
    cut_vocab,
    data_service,
    evaluate,
    export,
    extend_vocab,
    features,
    few_shot,
    fill_mask,
    finetune,
    index,
    predict,
    prepare,
    pretrain,
    sample,
    score,
    search,
    show_batch,
    vocab,
    word_vectors,
    zero_shot,
)
from kbert.cli.errors import explained

# Where an option takes several words, as `--input *.txt` gives them.
SEVERAL = dict.fromkeys(
    ("vocab", "word-vectors", "pretrain", "prepare", "show-batch", "cut-vocab"), ("--input", "--records")
)

app = typer.Typer(
    name="kbert",
    help="BERT: text in, answers out, with one tokenizer for training, serving and devices.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    vocab,
    word_vectors,
    prepare,
    data_service,
    pretrain,
    show_batch,
    finetune,
    evaluate,
    predict,
    fill_mask,
    score,
    features,
    zero_shot,
    few_shot,
    index,
    search,
    export,
    convert,
    extend_vocab,
    cut_vocab,
    sample,
):
    app.command()(getattr(module, module.__name__.rpartition(".")[2]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 2 for wrong use, 1 for a failure, 130 for an interrupt.

    Args:
        arguments: words after the program's name; None takes those of the process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, or it tells its start-up story
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # whatever ~/.keras/keras.json says
    words = one_option_a_word(sys.argv[1:] if arguments is None else arguments)
    return explained(lambda: app(words, prog_name="kbert", standalone_mode=False))


def one_option_a_word(words: Sequence[str]) -> list[str]:
    """Repeats an option of several files before each of them, which is how a shell's expansion of a glob is read.

    >>> one_option_a_word(["vocab", "--input", "a.txt", "b.txt", "--size", "9"])
    ['vocab', '--input', 'a.txt', '--input', 'b.txt', '--size', '9']
    """
    several = SEVERAL.get(next(iter(words), ""), ())
    spelled, option, given = [], None, 0
    for word in words:
        if word.startswith("-") and word != "-":
            option, given = (word if word in several else None), 0
        elif option:
            given += 1
            spelled += [option] if given > 1 else []
        spelled.append(word)
    return spelled
