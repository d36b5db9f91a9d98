"""report.md of a pre-training: what was asked, how it went, on which text; with a picture of its curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from kbert.report import CURVE, figure, markdown
from kbert.runs import REPORT, Run
from kbert.whole_files import beside

PANELS = (
    ("loss", "loss"),
    ("masked_accuracy", "masked accuracy"),
    ("next_sentence_accuracy", "next-sentence accuracy"),
    ("learning_rate", "learning rate"),
    ("tokens_per_second", "real tokens a second"),
    ("perplexity", "perplexity"),
)
LOGARITHMIC = ("perplexity",)
MOST_SCORINGS = 20  # rows of the table of held-out figures


def write_report(run: Run, task: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Writes report.md and its picture.

    Args:
        run: with its metrics.jsonl.
        task: what task.json says, with "command", "corpus" and the nested dict "settings".
        result: what `kbert.pretraining.pretrain` returned.
    """
    lines = run.metrics()
    trained = [line for line in lines if "val_loss" not in line]
    scored = [line for line in lines if "val_loss" in line]
    draw_curves(run, trained, scored)
    settings = task["settings"]
    begun = settings["init"] or f"random weights of the size {settings['size']}"
    parts = [
        f"# Pre-training from {begun}",
        f"    {task['command']}",
        f"{result['steps']:,} steps and {result['tokens']:,} real tokens in {result['seconds']:,.0f} s of training, "
        f"{result['tokens_per_second']:,.0f} tokens a second{waited(result)}. At the end: {told(result)}.",
        f"![curves]({CURVE})",
    ]
    if scored:
        names = [name for name in (f"val_{key}" for key, _ in PANELS) if name in scored[-1]]
        shown = scored[:: -(-len(scored) // MOST_SCORINGS)]
        shown += [] if shown[-1] is scored[-1] else scored[-1:]
        rows = [[line["step"], *(f"{line[name]:.4f}" for name in names)] for line in shown]
        header = ["step", *(spoken(name.removeprefix("val_")) for name in names)]
        parts += ["## Text that was held out", markdown(header, rows)]
    parts += ["## Text", markdown(["", ""], [[spoken(name), value] for name, value in task["corpus"].items()])]
    parts += ["## Settings", markdown(["setting", "value"], [[name, value] for name, value in settings.items()])]
    run.write(REPORT, "\n\n".join(parts) + "\n")


def told(result: Mapping[str, Any]) -> str:
    """The figures of a result in a line.

    >>> told({"steps": 3, "loss": 2.5, "masked_accuracy": 0.5, "perplexity": 12.18})
    'loss 2.5000, masked accuracy 0.5000, perplexity 12.1800'
    """
    names = ("loss", "masked_accuracy", "perplexity", "next_sentence_accuracy")
    shown = [name for prefix in ("", "val_") for name in (f"{prefix}{part}" for part in names) if name in result]
    return ", ".join(f"{spoken(name)} {result[name]:.4f}" for name in shown)


def waited(result: Mapping[str, Any]) -> str:
    """How much of the time went into waiting for data, as the end of a sentence.

    >>> waited({"wait_share": 0.0123})
    ', 1.2 % of the time waiting for input'
    """
    share = result.get("wait_share")
    return "" if share is None else f", {100 * share:.1f} % of the time waiting for input"


def spoken(name: str) -> str:
    """A key as words.

    >>> spoken("val_next_sentence_accuracy")
    'held-out next-sentence accuracy'
    """
    words = name.removeprefix("val_").replace("next_sentence", "next-sentence").replace("_", " ")
    return f"held-out {words}" if name.startswith("val_") else words


def draw_curves(run: Run, trained: Sequence[Mapping[str, Any]], scored: Sequence[Mapping[str, Any]]) -> None:
    """A panel a figure, over the steps; what was held out in dots."""
    panels = [(key, name) for key, name in PANELS if any(key in line for line in trained)]
    drawn = figure(12, 3.2 * -(-len(panels) // 3))
    for place, (key, name) in enumerate(panels):
        axes = drawn.add_subplot(-(-len(panels) // 3), 3, place + 1)
        known = [line for line in trained if key in line]
        axes.plot([line["step"] for line in known], [line[key] for line in known], color="0.6", label="train")
        dots = [(line["step"], line[f"val_{key}"]) for line in scored if f"val_{key}" in line]
        if dots:
            axes.plot(*zip(*dots, strict=True), "o-", markersize=3, label="held out")
            axes.legend(frameon=False)
        axes.set(xlabel="step", ylabel=name)
        if key in LOGARITHMIC:
            axes.set_yscale("log")
        axes.spines[["top", "right"]].set_visible(False)
    with beside(run.folder / CURVE) as unfinished:
        drawn.savefig(unfinished, format="png")
