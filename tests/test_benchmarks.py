"""Benchmarks: tables and RESULTS.md come from measured lines alone, and peers can run their files anywhere."""

import ast
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def results(monkeypatch):
    """benchmarks.results, which `make test` has not on its path."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import results

    return results


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


def test_the_page_takes_the_newest_run_and_keeps_what_was_not_measured(results, tmp_path):
    lines = [run("first"), line("kbert", 111.0), run("second"), line("kbert", 222.0, run="second")]
    names, page = written(results, tmp_path, lines)
    assert names == ["tokenize"]
    assert "222 MB/s" in page and "c0ffee-second" in page and "keras 3.1" in page
    assert "111" not in page and "old" not in page
    assert page.startswith("top\n<!-- tokenize -->\n") and page.endswith(
        "<!-- pipeline -->\nkept\n<!-- end -->\nbottom\n"
    )


def test_quick_figures_never_reach_the_page(results, tmp_path):
    names, page = written(results, tmp_path, [run("first", quick=True), line("kbert", 111.0)])
    assert names == [] and "old" in page


def test_no_page_without_measurements(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m benchmarks"):
        results.read(tmp_path / "results.jsonl")


def test_the_page_has_a_place_for_every_section(results):
    page = (FOLDER / "RESULTS.md").read_text()
    assert all(f"<!-- {name} -->\n" in page for name in results.SECTIONS)


@pytest.mark.parametrize("name", ["__init__", "texts", "worker", "peers_torch", "peers_onnx", "peers_keras_hub"])
def test_what_peers_run_imports_nothing_heavy_at_its_top(name):
    body = ast.parse((FOLDER / f"{name}.py").read_text("utf-8")).body
    plain = [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    plain += [node.module for node in body if isinstance(node, ast.ImportFrom)]
    ours = {"benchmarks.texts", "benchmarks.worker"}
    assert {found for found in plain if found not in ours} <= set(sys.stdlib_module_names) | {"collections.abc"}


@pytest.mark.parametrize("name", ["peers_torch", "peers_onnx", "peers_keras_hub"])
def test_peers_never_use_our_packages(name):
    nodes = ast.walk(ast.parse((FOLDER / f"{name}.py").read_text("utf-8")))
    found = {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not found & {"kbert", "pipelines", "export"}
