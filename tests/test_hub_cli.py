"""`kbert export` in the formats of others, of a finished RUN; and what each format is worth on a dev set."""

import json
import shutil

import pytest
from exported_models import P, make

from kbert.cli import main
from kbert.saving import save_model


@pytest.fixture(scope="module")
def run(tiny_vocabulary, tmp_path_factory):
    """A finished RUN of a classifier, as kbert finetune leaves it."""
    model = make("classify", tiny_vocabulary)
    folder = save_model(tmp_path_factory.mktemp("runs") / "tone", model)
    said = {
        "task": "classify",
        "labels": list(model.labels),
        "max_length": P,
        "text_columns": ["sentence"],
        "label_column": None,
        "options": {},
        "settings": {"train": "somewhere/train.tsv", "dev": "somewhere/dev.tsv", "model": "minilm-l6"},
        "result": {"dev": {"accuracy": 0.75}},
    }
    (folder / "task.json").write_text(json.dumps(said))
    return folder


def export(run, out, *options):
    return main(["export", str(run), "--out", str(out), *options])


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_versions_follow_one_another_in_eight_bits_and_batched(run, tmp_path, capsys):
    words = ["--format", "saved_model", "--versions", "--json", "--license", "mit"]
    assert export(run, tmp_path / "tone", *words) == 0
    first = last_json(capsys)
    assert first["out"].endswith("tone/1") and first["precision"] == "float32"
    assert export(run, tmp_path / "tone", *words, "--precision", "int8", "--signature-batching") == 0
    assert last_json(capsys)["out"].endswith("tone/2")
    assert sorted(path.name for path in (tmp_path / "tone").iterdir()) == ["1", "2", "batching.config", "models.config"]
    card = (tmp_path / "tone" / "1" / "README.md").read_text("utf-8")
    for told in ("mit", "`minilm-l6`", "`train.tsv`", "| accuracy | 0.7500 |"):
        assert told in card
    assert "somewhere" not in card
    asked = tmp_path / "asked.txt"
    asked.write_text("the cat sat\nunhappy\n")
    answers = []
    for folder in (run, tmp_path / "tone" / "1", tmp_path / "tone" / "2", tmp_path / "tone"):
        assert main(["predict", str(folder), "--input", str(asked)]) == 0
        answers.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert answers[0] == answers[1] and len(answers[2]) == 2
    assert answers[3] == answers[2]  # the last version


def test_the_hubs_pair_and_the_folder_for_transformers(run, tmp_path, capsys):
    assert export(run, tmp_path / "pair", "--format", "hub", "--json") == 0
    assert last_json(capsys)["seq_length"] == P
    assert {path.name for path in (tmp_path / "pair").iterdir()} == {"preprocess", "encoder", "README.md"}
    assert main(["predict", str(tmp_path / "pair" / "encoder"), "--input", str(run / "vocab.txt")]) == 1
    assert "input_word_ids int32" in (told := capsys.readouterr().err) and "Write one with kbert export" in told
    assert export(run, tmp_path / "theirs", "--format", "huggingface", "--license", "mit") == 0
    assert "huggingface" in capsys.readouterr().out
    assert "license: mit" in (tmp_path / "theirs" / "README.md").read_text("utf-8")
    assert main(["convert", str(tmp_path / "theirs"), str(tmp_path / "google")]) == 0


WRONG = {
    "precision": (["--format", "saved_model", "--precision", "float16"], "saved_model has --precision float32 or int8"),
    "of another": (["--format", "hub", "--signature-batching"], "--signature-batching belongs to --format saved_model"),
    "no format": ([], "Missing option '--format'"),
    "a table": (["--compare", "dev.tsv"], "--compare prints a table and writes nothing"),
}


@pytest.mark.parametrize("words, told", WRONG.values(), ids=WRONG)
def test_wrong_use_is_told(run, tmp_path, words, told, capsys):
    assert export(run, tmp_path / "out", *words) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["saved_model", "hub", "huggingface"])
def test_a_folder_with_files_is_kept_unless_it_may_go(run, tmp_path, format, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    assert export(run, tmp_path / "mine", "--format", format) == 1
    assert "holds files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_a_vocabulary_of_another_size_is_refused(run, tmp_path, capsys):
    other = shutil.copytree(run, tmp_path / "run")
    with (other / "vocab.txt").open("a") as file:
        file.write("more\n")
    for format in ("saved_model", "hub", "huggingface"):
        assert export(other, tmp_path / "out", "--format", format) == 1
        assert "at most the model's 28 entries; got 29" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_formats_of_a_run_are_compared_in_a_table(run, tmp_path, capsys):
    texts = ("the cat sat", "a dog ran", "unhappy !", "very good", "not bad .", "it was")
    rows = [f"{text}\t{('negative', 'positive')[number % 2]}" for number, text in enumerate(texts)]
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    assert main(["evaluate", str(run), "--data", str(tmp_path / "dev.tsv"), "--json"]) == 0
    accuracy = last_json(capsys)["accuracy"]
    assert main(["export", str(run), "--compare", str(tmp_path / "dev.tsv"), "--json"]) == 0
    told = last_json(capsys)
    by_name = {one["name"]: one for one in told["formats"]}
    assert told["figure"] == "accuracy"
    assert {"saved_model", "saved_model int8", "tflite"} <= set(by_name)
    assert len(by_name) + len(told["left_out"]) == 5
    assert by_name["saved_model"]["figure"] == by_name["tflite"]["figure"] == pytest.approx(accuracy)
    assert all(one["megabytes"] > 0 and one["p50_ms"] > 0 and one["rate"] > 0 for one in by_name.values())
