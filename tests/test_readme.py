"""README: its Python runs, its tree is the house, its figures are those of benchmarks/RESULTS.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_ten_lines_run_and_what_they_export_answers(tmp_path, monkeypatch):
    from kbert.hubs import HubError, minilm

    try:
        minilm()
    except HubError as missing:
        pytest.skip(str(missing))
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{text}\t{label}\n" for text, label in (("what a film", "positive"), ("a bore", "negative")) * 4)
    Path("train.tsv").write_text("sentence\tlabel\n" + rows, "utf-8")
    train, ask = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2]
    assert len([line for line in train.splitlines() if line]) <= 10
    names: dict = {}
    exec(train, names)
    exec(ask.rstrip().rpartition("\n")[0] + "\nanswer = " + ask.rstrip().rpartition("\n")[2], names)
    assert names["answer"].numpy()[0] in (b"negative", b"positive")


def test_the_tree_names_every_module():
    tree = README[README.index("## The house") : README.index("Two flows")]
    for package in ("kbert", "pipelines", "export"):
        modules = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py", "__main__.py"}
        assert modules <= set(re.findall(r"\w+\.py", tree)), package


def test_no_file_of_the_tree_is_made_up():
    tree = README[README.index("## The house") : README.index("Two flows")]
    there = {path.name for package in ("kbert", "pipelines", "export") for path in (ROOT / package).rglob("*.py")}
    assert set(re.findall(r"\w+\.py", tree)) <= there


def test_its_figures_are_those_that_were_measured():
    figures = README[README.index("## Figures") : README.index("## Beside others")]
    rows = [line for line in figures.splitlines() if line.startswith("| ") and not set(line) <= set("| -")][1:]
    assert rows
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    for row in rows:
        for number in re.findall(r"\d+(?:\.\d+)?", row.split("|", 2)[2]):
            assert number in measured, row


def test_it_counts_the_characters_that_devices_treat_otherwise():
    import tensorflow as tf

    from pipelines.agreement import find_agreement
    from pipelines.normalize import Rules, assigned_characters

    characters = assigned_characters()
    otherwise = [
        int((~tf.strings.regex_full_match(list(characters), find_agreement(rules, 200).texts)).numpy().sum())
        for rules in (Rules(True, True, True, ()), Rules(False, False, True, ()))
    ]
    assert f"An uncased one treats {otherwise[0]:,} of the {len(characters):,} assigned characters" in README
    assert f"A cased one differs on {otherwise[1]}," in README
