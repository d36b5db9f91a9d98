"""report.md of a run: what was asked, how it went, what it gets wrong; with a learning curve and a confusion matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

from kbert.runs import REPORT, Run, beside

CURVE, CONFUSION = "learning_curve.png", "confusion_matrix.png"
MOST_CLASSES_WITH_COUNTS = 20  # above it the numbers in the matrix's cells cannot be read
DOTS_AN_INCH = 110
MOST_CURVES = 3  # figures of the dev set in the picture


def write_report(
    run: Run, task: Mapping[str, Any], result: Mapping[str, Any], scores: Mapping[str, Any], sections: Sequence[str]
) -> None:
    """Writes report.md and its learning curve.

    Args:
        run: with its metrics.jsonl.
        task: what task.json says, with "command" and the nested dict "settings".
        result: what `kbert.training.finetune` returned.
        scores: figures of the dev set, the task's own.
        sections: further parts in Markdown, the task's own.
    """
    lines = run.metrics()
    figures = [name for name, value in scores.items() if isinstance(value, float)]
    draw_curve(run, lines, [name for name in figures if name != "loss"][:MOST_CURVES])
    seconds = sum(line.get("seconds", 0.0) for line in lines)
    totals = ", ".join(f"{name} {scores[name]:.4f}" for name in figures)
    parts = [
        f"# {task['task']}, from {task['settings']['model']}",
        f"    {task['command']}",
        f"The best epoch is {result['best_epoch']} of {result['epochs']}. On the {scores['examples']} examples of the "
        f"dev set: {totals}. {result['steps']} steps in {seconds:.0f} s.",
        f"![learning curve]({CURVE})",
        "## Epochs",
        markdown(
            ["epoch", "train loss", *(f"dev {name}" for name in figures)],
            [
                [line["epoch"], line["loss"], *(line[f"val_{name}"] for name in figures)]
                for line in lines
                if any(key.startswith("val_") for key in line)
            ],
        ),
        *sections,
        "## Settings",
        markdown(["setting", "value"], [[key, value] for key, value in task["settings"].items()]),
    ]
    run.write(REPORT, "\n\n".join(parts) + "\n")


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    r"""A table in Markdown; floats with four digits, bars and line ends in a cell made harmless.

    >>> print(markdown(["text", "score"], [["a|b", 0.25]]))
    | text | score |
    | --- | --- |
    | a\|b | 0.2500 |
    """

    def cell(value: Any) -> str:
        text = f"{value:.4f}" if isinstance(value, float) and (value == 0 or abs(value) >= 1e-3) else str(value)
        return " ".join(text.split()).replace("|", r"\|")

    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def figure(width: float, height: float):
    """An empty picture that no window shows; pyplot's global state is left alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), dpi=DOTS_AN_INCH, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def draw_curve(run: Run, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Loss of every logged step, and of the dev set where that has one; and the dev set's figures of these names."""
    steps = [line for line in lines if "seconds" not in line]
    epochs = [line for line in lines if "seconds" in line]
    drawn = figure(9, 3.4)
    losses, figures = drawn.subplots(1, 2)
    losses.plot([line["step"] for line in steps], [line["loss"] for line in steps], color="0.6", label="train")
    if all("val_loss" in line for line in epochs):
        losses.plot([line["step"] for line in epochs], [line["val_loss"] for line in epochs], "o-", label="dev")
    losses.set(xlabel="step", ylabel="loss")
    for name in names:
        figures.plot([line["epoch"] for line in epochs], [line[f"val_{name}"] for line in epochs], "o-", label=name)
    figures.set(xlabel="epoch", ylabel="dev", xticks=[line["epoch"] for line in epochs])
    for axes in (losses, figures):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    with beside(run.folder / CURVE) as unfinished:
        drawn.savefig(unfinished, format="png")


def draw_confusion(run: Run, confusion: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Shares of each right class (a row) by answer (a column), with counts where they can be read."""
    size = max(3.5, min(14.0, 1.5 + 0.45 * len(names)))
    drawn = figure(size + 0.8, size)
    axes = drawn.subplots()
    shares = [[count / max(sum(row), 1) for count in row] for row in confusion]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    axes.set(xlabel="answer", ylabel="label", xticks=places, yticks=places, yticklabels=names)
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    if len(names) <= MOST_CLASSES_WITH_COUNTS:
        for row, counts in enumerate(confusion):
            for column, count in enumerate(counts):
                ink = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, count, ha="center", va="center", color=ink, fontsize=8)
    drawn.colorbar(image, ax=axes, label="share of the label")
    with beside(run.folder / CONFUSION) as unfinished:
        drawn.savefig(unfinished, format="png")
