"""report.md of a run: what was asked, how it went, what it gets wrong; with a learning curve and a confusion matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

from kbert.runs import REPORT, Run, beside

CURVE, CONFUSION = "learning_curve.png", "confusion_matrix.png"
MOST_CLASSES_WITH_COUNTS = 20  # above it the numbers in the matrix's cells cannot be read
DOTS_AN_INCH = 110


def write_report(
    run: Run, task: Mapping[str, Any], result: Mapping[str, Any], scores: Mapping[str, Any], wrong: Sequence[tuple]
) -> None:
    """Writes report.md and its two pictures.

    Args:
        run: with its metrics.jsonl.
        task: what task.json says, with "command" and the nested dict "settings".
        result: what `kbert.training.finetune` returned.
        scores: what `kbert.tasks.classify_scores.classification_scores` says of the dev set.
        wrong: (text, right label, answer, its score), the most certain first.
    """
    lines = run.metrics()
    draw_curve(run, lines)
    draw_confusion(run, scores["confusion"], list(scores["classes"]))
    seconds = sum(line.get("seconds", 0.0) for line in lines)
    totals = f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}, MCC {scores['mcc']:.4f}"
    parts = [
        f"# {task['task']}: {len(scores['classes'])} classes, from {task['settings']['model']}",
        f"    {task['command']}",
        f"The best epoch is {result['best_epoch']} of {result['epochs']}. On the {scores['examples']} examples of the "
        f"dev set: {totals}. {result['steps']} steps in {seconds:.0f} s.",
        f"![learning curve]({CURVE})",
        "## Epochs",
        markdown(
            ["epoch", "train loss", "dev loss", "accuracy", "macro F1", "MCC"],
            [
                [line["epoch"], *(line[key] for key in ("loss", "val_loss", "val_accuracy", "val_macro_f1", "val_mcc"))]
                for line in lines
                if "val_loss" in line
            ],
        ),
        "## Classes",
        markdown(
            ["class", "precision", "recall", "F1", "support"],
            [[name, *row.values()] for name, row in scores["classes"].items()],
        ),
        f"![confusion matrix]({CONFUSION})",
        "## Answered wrongly, and most certain of it",
        markdown(["text", "label", "answer", "score"], wrong) if wrong else "Nothing.",
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


def draw_curve(run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
    """Loss of every logged step and of the dev set, and the dev set's accuracy and macro F1."""
    steps = [line for line in lines if "val_loss" not in line]
    epochs = [line for line in lines if "val_loss" in line]
    drawn = figure(9, 3.4)
    losses, figures = drawn.subplots(1, 2)
    losses.plot([line["step"] for line in steps], [line["loss"] for line in steps], color="0.6", label="train")
    losses.plot([line["step"] for line in epochs], [line["val_loss"] for line in epochs], "o-", label="dev")
    losses.set(xlabel="step", ylabel="loss")
    for key, name in (("val_accuracy", "accuracy"), ("val_macro_f1", "macro F1")):
        figures.plot([line["epoch"] for line in epochs], [line[key] for line in epochs], "o-", label=name)
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
