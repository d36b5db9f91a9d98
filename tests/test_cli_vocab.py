"""`kbert vocab`, `extend-vocab` and `cut-vocab`: what they write, print and refuse."""

import gzip
import json
from dataclasses import replace

import pytest
from exported_models import MODELS, P
from vocabulary_cases import CONFIG, ENTRIES, V, make_preset

from kbert.cli import main
from kbert.presets import open_preset
from kbert.saving import save_model
from kbert.tokenizer_settings import read_tokenizer
from pipelines import WordPiece, read_vocabulary

SENTENCES = (
    "The Café is open.",
    "the cafés are open; the open Café!",
    "ọ̀rọ̀ Ọ̀rọ̀ 咖啡",
    "kahvila on auki illalla, kahvilat ovat kiinni",
)
SIZE = "75"


@pytest.fixture
def text(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(SENTENCES * 3) + "\n\nanother document\n", "utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        for sentence in SENTENCES:
            file.write(json.dumps({"text": sentence}) + "\n")
    return tmp_path


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return make_preset(tmp_path_factory.mktemp("presets"))


def result(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def learn(text, out, *more):
    files = ["--input", str(text / "a.txt"), str(text / "b.jsonl.gz")]
    return main(["vocab", *files, "--size", SIZE, "--out", str(out), *more])


@pytest.mark.parametrize(
    "options, lowercase, strip_accents, token",
    [([], True, None, "cafe"), (["--keep-accents"], True, False, "café"), (["--cased"], False, None, "Café")],
)
def test_a_vocabulary_and_its_settings_are_written(text, capsys, options, lowercase, strip_accents, token):
    out = text / "made" / "vocab.txt"
    assert learn(text, out, "--json", *options) == 0
    told = result(capsys)
    tokens = read_vocabulary(out)
    assert told["size"] == len(tokens) == int(SIZE) == told["special"] + told["characters"] + told["learned"]
    assert token in tokens and tokens[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert told["first"][0] in tokens and told["words"] > told["unknown_words"] >= 0
    settings = read_tokenizer(out.parent, out, None, "made")
    assert (settings["lowercase"], settings["strip_accents"]) == (lowercase, strip_accents)
    assert sorted(path.name for path in out.parent.iterdir()) == ["tokenizer_config.json", "vocab.txt"]


def test_a_size_as_preset_learns_the_casing_beside_the_vocabulary(text):
    out = text / "made" / "vocab.txt"
    assert learn(text, out, "--cased") == 0
    assert open_preset("tiny", vocabulary=out).tokenizer["lowercase"] is False


def test_reserved_tokens_are_counted_as_special(text, capsys):
    out = text / "vocab.txt"
    assert main(["vocab", "--input", str(text / "a.txt"), "--size", "90", "--unused", "45", "--out", str(out)]) == 0
    assert read_vocabulary(out)[1:3] == ("[unused0]", "[unused1]") and read_vocabulary(out)[46] == "[UNK]"
    said = capsys.readouterr().out
    assert "90 tokens: 50 special" in said and "[UNK]" in said and "longest" in said


def test_nothing_is_replaced_unasked(text, capsys):
    out = text / "made" / "vocab.txt"
    assert learn(text, out) == 0
    before = out.read_bytes()
    assert learn(text, out, "--cased") == 1
    assert "is there" in capsys.readouterr().err and out.read_bytes() == before
    assert learn(text, out.with_name("second.txt"), "--cased") == 1  # the settings beside it are the first one's
    assert "another vocabulary" in capsys.readouterr().err
    assert learn(text, out.with_name("second.txt")) == 0
    assert learn(text, out, "--cased", "--overwrite") == 0 and out.read_bytes() != before
    assert learn(text, out.parent) == 1
    assert "names a file" in capsys.readouterr().err


def test_a_size_that_cannot_be_says_which_can(text, capsys):
    assert main(["vocab", "--input", str(text / "a.txt"), "--size", "999", "--out", str(text / "v.txt")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "a size of 999 is more than this text gives" in said and not (text / "v.txt").exists()
    most = said.split("Use a size of ")[1].split()[0]
    assert main(["vocab", "--input", str(text / "a.txt"), "--size", most, "--out", str(text / "v.txt")]) == 0


def test_invalid_bytes_are_counted_or_refused(text, capsys):
    (text / "a.txt").write_bytes((text / "a.txt").read_bytes() + b"bad \xff byte\n")
    assert learn(text, text / "v.txt", "--json") == 0
    assert result(capsys)["lines_not_utf8"] == 1
    assert learn(text, text / "w.txt", "--invalid", "refuse") == 1
    assert "a.txt" in capsys.readouterr().err and not (text / "w.txt").exists()


# Extending and cutting


def test_words_of_a_file_become_tokens(preset, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("squid\r\ncat\n\ncatnap\n", "utf-8")
    words = ["extend-vocab", preset.source, "--words", str(tmp_path / "words.txt"), "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    told = result(capsys)
    assert (told["added"], told["skipped"], told["tokens_before"]) == (2, 1, len(ENTRIES))
    assert told["tokens_after"] == len(ENTRIES) + 2 and open_preset(tmp_path / "out").config.vocab_size == V
    wordpiece = WordPiece.from_spec(open_preset(tmp_path / "out").tokenizer)
    assert wordpiece.tokenize(["Catnap"]).to_list() == [[len(ENTRIES) + 1]]
    assert main(words) == 1
    assert "must not replace" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert "2 words added, 1 were there already" in capsys.readouterr().out


def test_words_that_cannot_be_found_and_files_that_are_not_there_are_named(preset, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("New York\n", "utf-8")
    words = ["extend-vocab", preset.source, "--out", str(tmp_path / "out"), "--words"]
    assert main([*words, str(tmp_path / "words.txt")]) == 1
    assert "'New York'" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "absent.txt")]) == 1
    assert "--words names a file that exists" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_is_cut_to_text_files(preset, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the cats sat.\n\n", "utf-8")
    (tmp_path / "b.txt").write_text("the dog\n", "utf-8")
    words = ["cut-vocab", preset.source, "--input", str(tmp_path / "*.txt"), "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    told = result(capsys)
    tokens = read_vocabulary(tmp_path / "out" / "vocab.txt")
    assert {"the", "cats", "dog"} <= set(tokens) and "cat" not in tokens
    assert (told["text_tokens"], told["used"]) == (6, 5)
    assert told["tokens_after"] == len(tokens) < told["tokens_before"] == len(ENTRIES)
    assert told["mb_after"] < told["mb_before"]
    assert main([*words, "--overwrite", "--min-count", "2"]) == 0
    assert "uses 1 different" in capsys.readouterr().out
    assert "cats" not in read_vocabulary(tmp_path / "out" / "vocab.txt")


@pytest.mark.parametrize("name", ["classify", "crf", "embed"])
def test_a_run_that_is_cut_is_a_run_with_the_answers_of_before(name, preset, tmp_path, capsys):
    kind, arguments = MODELS[name]
    model = kind(replace(CONFIG, initializer_range=0.3), tokenizer=preset.tokenizer, seed=1, **arguments)
    run = save_model(tmp_path / "run", model)
    columns = {"text_columns": ["sentence"], "label_column": None}
    said = {"task": model.task, "labels": list(model.labels or ()), "max_length": P, **columns, "options": {}}
    (run / "task.json").write_text(json.dumps({**said, "result": {"dev": {"accuracy": 0.75}}}))
    (tmp_path / "a.txt").write_text("the cat sat .\nunhappy films !\n")
    out = tmp_path / "cut"
    words = ["cut-vocab", str(run), "--input", str(tmp_path / "a.txt"), "--out", str(out), "--json"]
    assert main(words) == 0
    told = result(capsys)
    assert told["tokens_after"] < told["tokens_before"]
    assert json.loads((out / "task.json").read_text()) == said  # the figure is not of this model
    assert (out / "modules.json").exists() == (name == "embed")
    answers = []
    for folder in (run, out):
        assert main(["predict", str(folder), "--input", str(tmp_path / "a.txt")]) == 0
        answers.append(capsys.readouterr().out.splitlines())
    assert answers[0] == answers[1] and answers[0][0] != answers[0][1]
    assert main(words) == 1
    assert "must not replace another unasked" in capsys.readouterr().err
    if name == "classify":
        (tmp_path / "dev.tsv").write_text("sentence\tlabel\nthe cat sat .\tnegative\nunhappy films !\tpositive\n")
        figures = []
        for folder in (run, out):
            assert main(["evaluate", str(folder), "--data", str(tmp_path / "dev.tsv"), "--json"]) == 0
            figures.append(result(capsys)["loss"])
        assert figures[0] == figures[1]
        assert main(["export", str(out), "--format", "saved_model", "--out", str(tmp_path / "served")]) == 0


@pytest.mark.parametrize("command", ["vocab", "extend-vocab", "cut-vocab"])
def test_help_shows_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"kbert {command} " in capsys.readouterr().out
