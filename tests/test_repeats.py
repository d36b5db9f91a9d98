"""Folds and spreads; new texts by substituted words; several trainings of one command."""

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from kbert.repeats import by_example, chosen, folds, spread

K = 3


@dataclass(frozen=True)
class Examples:
    texts: tuple = ()
    label_ids: tuple = ()
    scores: tuple = ()
    contexts: tuple = ()
    labels: tuple = ("few", "many")

    def __len__(self):
        return len(self.texts)


LABELLED = Examples(tuple("abcdefghijkl"), (0, 1, 1, 1) * 3)
SCORED = Examples(tuple("abcdefghijk"), scores=tuple(range(11)))
ASKED = Examples(tuple("abcdefgh"), contexts=("x", "x", "y", "y", "z", "z", "z", "w"))


@pytest.mark.parametrize("examples", [LABELLED, SCORED, ASKED], ids=["labels", "scores", "contexts"])
def test_every_example_is_held_out_once_and_trained_on_otherwise(examples):
    split = folds(examples, K, seed=5)
    assert sorted(np.concatenate([held for _, held in split])) == list(range(len(examples)))
    for rest, held in split:
        assert sorted([*rest, *held]) == list(range(len(examples)))

    def held_out(seed):
        return [held.tolist() for _, held in folds(examples, K, seed)]

    assert held_out(5) == held_out(5) == [held.tolist() for _, held in split]
    assert any(held_out(seed) != held_out(5) for seed in (6, 7, 8))


def test_folds_have_the_shares_of_the_labels():
    for _, held in folds(LABELLED, K):
        assert Counter(LABELLED.label_ids[i] for i in held) == {0: 1, 1: 3}


def test_one_context_is_in_one_fold():
    for rest, held in folds(ASKED, K):
        assert {ASKED.contexts[i] for i in rest}.isdisjoint({ASKED.contexts[i] for i in held})


@pytest.mark.parametrize("examples, most", [(LABELLED, 12), (ASKED, 4)], ids=["examples", "contexts"])
def test_there_are_no_more_folds_than_things_to_hold_out(examples, most):
    for wrong in (1, most + 1):
        with pytest.raises(ValueError, match=f"folds is from 2 to {most}.*got {wrong}"):
            folds(examples, wrong)


def test_chosen_examples_keep_their_order_and_the_labels():
    part = chosen(LABELLED, np.array([3, 0]))
    assert (part.texts, part.label_ids, part.labels) == (("d", "a"), (1, 0), ("few", "many"))
    assert set(by_example(LABELLED)) == {"texts", "label_ids"}


def test_columns_of_values_are_chosen_from_alike():
    @dataclass(frozen=True)
    class Pairs:
        texts: tuple
        scores: tuple

        def __len__(self):
            return len(self.texts[0])

    pairs = Pairs((("a", "b", "c"), ("x", "y", "z")), (1.0, 2.0, 3.0))
    assert chosen(pairs, [2, 0]) == Pairs((("c", "a"), ("z", "x")), (3.0, 1.0))


def test_spread_is_that_of_a_sample():
    values = [0.5, 0.7, 0.9]
    found = spread({f"seed-{i}": {"accuracy": value, "loss": 1.0} for i, value in enumerate(values)})
    assert found["accuracy"] == pytest.approx({"mean": 0.7, "spread": 0.2, "lowest": 0.5, "highest": 0.9})
    assert found["loss"]["spread"] == 0.0 and spread({"one": {"f1": 0.4}})["f1"]["spread"] == 0.0


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sleeps", "barks", "loud", "##ly", "!"]


@pytest.fixture(scope="module")
def substituter(tmp_path_factory):
    from kbert.config import BertConfig
    from kbert.pretraining.pretrainer import Pretrainer
    from kbert.saving import save_model

    folder = tmp_path_factory.mktemp("preset")
    (folder / "words.txt").write_text("\n".join(VOCABULARY) + "\n")
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=6,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=10,
        max_position_embeddings=12,
    )
    model = Pretrainer(config, {"vocabulary": str(folder / "words.txt"), "lowercase": True}, seed=3)
    save_model(folder / "preset", model)
    from kbert.cli.augmentation import Substituter

    return Substituter(str(folder / "preset"))


TEXTS = ["The cat sleeps loudly!", "", "!!", "the dog barks", "dog " * 20, "CAT"]


def test_words_are_replaced_by_other_words_and_the_rest_stays(substituter):
    new = substituter.substituted(TEXTS, 0.5, (7,))
    assert new[1:3] == TEXTS[1:3]  # no words
    words, before = new[0].rstrip("!").split(), TEXTS[0].rstrip("!").split()
    assert new[0].endswith("!") and len(words) == len(before) == 4
    assert sum(a != b for a, b in zip(words, before, strict=True)) == 2  # half of the four
    assert words[0][0].isupper() and new[5].isupper() and new[5] != "CAT"
    assert {word.lower() for text in new for word in text.rstrip("!").split()} <= {*VOCABULARY, "loudly"}


def test_what_is_drawn_is_a_function_of_the_seed_and_the_place(substituter):
    first = substituter.substituted(TEXTS, 0.5, (7,))
    assert substituter.substituted(TEXTS, 0.5, (7,)) == first
    assert substituter.substituted(TEXTS[:1], 0.5, (7,)) == first[:1]  # whoever else is in the batch
    assert any(substituter.substituted(TEXTS, 0.5, (seed,)) != first for seed in range(8, 12))


def test_copies_have_the_labels_of_their_originals(substituter, monkeypatch):
    from kbert.cli import augmentation
    from pipelines.tasks.classify import ClassificationExamples

    monkeypatch.setattr(augmentation, "Substituter", lambda *_: substituter)
    examples = ClassificationExamples(tuple(TEXTS), None, ("sentence",), (0, 1, 1, 0, 1, 0), ("no", "yes"))
    more = augmentation.augmented(examples, "preset", 0.3, seed=2)
    assert more.texts[:6] == examples.texts and more.label_ids == (*examples.label_ids, 0, 0, 1, 0)
    assert all(text != TEXTS[place] for text, place in zip(more.texts[6:], (0, 3, 4, 5), strict=True))
    assert (more.pairs, more.labels, more.columns) == (None, examples.labels, examples.columns)


def test_a_preset_without_a_head_for_masked_tokens_is_refused(tmp_path):
    from kbert.cli.augmentation import Substituter
    from kbert.config import BertConfig
    from kbert.encoder import Encoder
    from kbert.saving import save_model

    (tmp_path / "words.txt").write_text("\n".join(VOCABULARY) + "\n")
    sizes = {"hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 10}
    tokenizer = {"vocabulary": str(tmp_path / "words.txt"), "lowercase": True}
    model = Encoder(BertConfig(vocab_size=len(VOCABULARY), **sizes), tokenizer)
    save_model(tmp_path / "preset", model)
    with pytest.raises(ValueError, match="--augment needs a model with a head for masked tokens"):
        Substituter(str(tmp_path / "preset"))


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Arguments of kbert finetune on 12 texts, without --out."""
    data = tmp_path_factory.mktemp("data")
    rows = [f"the {'loud ' * (i % 3)}{('cat', 'dog')[i % 2]}\t{('cats', 'dogs')[i % 2]}" for i in range(12)]
    (data / "train.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    (data / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    words = ["finetune", "--task", "classify", "--model", "tiny", "--lowercase", "--batch-size", "5", "--epochs", "1"]
    return [*words, "--max-length", "7", "--train", str(data / "train.tsv"), "--vocabulary", str(data / "vocab.txt")]


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_folds_are_runs_and_every_example_is_answered_by_a_model_that_has_not_seen_it(command, tmp_path, capsys):
    from kbert.cli import main

    out = tmp_path / "out"
    more = ["--folds", "2", "--freeze", "all", "--head-rate", "0.01", "--class-weight", "cats=2", "--out", str(out)]
    assert main([*command, *more, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary["runs"]) == {"fold-0", "fold-1"} and summary["best"] in summary["runs"]
    accuracies = [row["accuracy"] for row in summary["runs"].values()]
    assert summary["figures"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    answers = lines(out / "out_of_fold.jsonl")
    assert [line["example"] for line in answers] == list(range(1, 13))
    assert np.mean([line["label"] == line["right"] for line in answers]) == pytest.approx(np.mean(accuracies))
    assert json.loads((out / "summary.json").read_text())["figures"] == summary["figures"]
    assert "| mean |" in (out / "report.md").read_text()
    assert main(["predict", str(out / "fold-1"), "--input", command[-3]]) == 0
    capsys.readouterr()
    assert main([*command, *more]) == 1 and "--resume or --overwrite" in capsys.readouterr().err
    assert main([*command, *more, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == summary


def test_seeds_are_runs_of_their_own(command, tmp_path, capsys):
    from kbert.cli import main

    out, dev = tmp_path / "out", ["--dev", command[-3], "--seed", "4"]
    assert main([*command, *dev, "--seeds", "2", "--lora", "2", "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(summary["runs"]) == ["seed-4", "seed-5"]
    settings = [json.loads((out / name / "task.json").read_text())["settings"] for name in summary["runs"]]
    assert [(said["seed"], said["lora"]) for said in settings] == [(4, 2), (5, 2)]
    losses = [row["loss"] for row in summary["runs"].values()]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    "more, told",
    [
        (["--seeds", "2", "--folds", "2"], "--seeds and --folds exclude each other"),
        ([], "Missing option '--dev'"),
        (["--folds", "2", "--stages", "1"], "--stages is two numbers"),
        (["--folds", "2", "--freeze", "pooler"], "freeze is all, embeddings, or a number of blocks"),
    ],
    ids=["both", "no dev", "stages", "freeze"],
)
def test_wrong_use_is_told_before_anything_is_read(command, more, told, tmp_path, capsys):
    from kbert.cli import main

    assert main([*command, *more, "--out", str(tmp_path / "out")]) in (1, 2)
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()
