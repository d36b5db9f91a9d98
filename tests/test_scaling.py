"""The exchange of gradients on paper, and the search for the largest batch; docs that say what the formulas give."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def load(monkeypatch):
    """A module of benchmarks, which `make test` has not on its path."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_the_page_holds_the_tables_that_the_formulas_give(load):
    page = (ROOT / "docs" / "distributed.md").read_text("utf-8")
    assert load("scaling").filled(page) == page
    with pytest.raises(ValueError, match="<!-- bytes -->"):
        load("scaling").filled(page.replace("<!-- bytes -->", ""))


def test_weights_are_counted_as_the_model_has_them(load):
    import kbert

    for config in (kbert.SIZES["tiny"], kbert.BertConfig(101, 6, 3, 2, 14, max_position_embeddings=17)):
        model = kbert.Pretrainer(config)
        assert load("scaling").parameters(config) == sum(
            weight.value.shape.num_elements() for weight in model.trainable_variables
        )


def test_a_ring_of_more_workers_sends_twice_the_gradients_at_most(load):
    scaling = load("scaling")
    link = scaling.Link("a", bytes_per_second=50.0, latency=0.25)
    assert scaling.sent_bytes(300, 3) == 400
    assert scaling.exchange_seconds(300, 3, link) == 400 / 50 + 4 * 0.25
    sent = [scaling.sent_bytes(1.0, workers) for workers in (1, 2, 9, 1000)]
    assert sent == sorted(sent) and sent[0] == 0 and sent[-1] < 2


def test_efficiency_falls_with_workers_and_rises_with_rows_and_links(load):
    scaling = load("scaling")
    slow, fast = (scaling.Link("", rate, 1e-5) for rate in (1e9, 1e10))
    one, assumed = scaling.SIZES["base"], scaling.Assumed()
    found = [
        scaling.efficiency(one, rows, workers, link, assumed)
        for rows, workers, link in ((8, 64, slow), (8, 8, slow), (32, 8, slow), (32, 8, fast), (32, 1, fast))
    ]
    assert found == sorted(found) and found[-1] == 1


@pytest.mark.parametrize("fixed, each, curve", [(3000, 610, 0), (3000, 150, 0), (1000, 90, 0), (2500, 400, 30)])
def test_the_largest_batch_is_the_last_that_fits(load, fixed, each, curve):
    memory, limit, tried = load("memory"), 8000, []

    def step(rows):
        tried.append(rows)
        return memory.Step(fixed + each * rows + curve * rows * rows, rows)

    found = memory.largest(step, limit, most=500)
    right = max(rows for rows in range(1, 500) if fixed + each * rows + curve * rows * rows <= limit)
    assert found.rows == right and found.step.seconds == right and found.next_peak > limit
    assert found.next_measured == (right + 1 in tried) and (right > memory.MOST_CONFIRMED or found.next_measured)
    assert len(tried) == len(set(tried)) <= 6


def test_a_search_ends_at_its_bound_and_where_nothing_fits(load):
    memory = load("memory")
    assert memory.largest(lambda rows: memory.Step(10.0 * rows, 1.0), 8000, most=7).rows == 7
    assert memory.largest(lambda rows: memory.Step(9000.0, 1.0), 8000, most=7) is None


def test_the_page_names_every_exit_code_of_a_lost_or_warned_worker():
    from kbert.cli.strategy_options import RETRY

    page = (ROOT / "docs" / "distributed.md").read_text("utf-8")
    assert f"| {RETRY} |" in page and "| 143 |" in page
    assert "docs/distributed.md" in (ROOT / "README.md").read_text("utf-8")
