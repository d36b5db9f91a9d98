"""`--task multilabel`: any number of labels for a text or a pair of texts."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from kbert.cli.task import Task
from kbert.cli.tasks.classify import asked, rounded, text_strings
from kbert.cli.window_options import WindowOptions


@dataclass(frozen=True)
class MultiLabelOptions(WindowOptions):
    """How labels stand in a file, and how long texts are read."""

    label_separator: Annotated[str, Option(help="What stands between two labels of a text, as | or ,.")] = ","


class MultiLabel(Task):
    """Labels in the column `label` or `labels`; see `pipelines.tasks.multilabel` and `kbert.tasks.multilabel`."""

    name = "multilabel"
    Options = MultiLabelOptions

    def read(self, paths, like=None):
        from pipelines.tasks.multilabel import read_multilabel

        labels = self.labels if like is None else like.labels
        separator = self.options.label_separator
        return read_multilabel(paths, labels=labels, separator=separator, **self.text_names(), **self.label_name())

    def model_class(self):
        from kbert.tasks.multilabel import MultiLabelClassifier

        return MultiLabelClassifier

    def model(self, preset, examples=None, **common):
        """As `Task.model`; a training starts with thresholds of 0.5, whatever an earlier one ended with."""
        if examples is not None:
            common["thresholds"] = None
        return super().model(preset, examples, **common)

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.tasks.multilabel import multilabel

        sizes = {"batch_size": batch_size, "max_length": self.max_length}
        return multilabel(examples, spec, seed=seed, epochs=epochs, window=self.options.window, **sizes)

    def scores(self, model, examples, batch_size):
        return model.scores(self.batches(examples, model.tokenizer_spec, batch_size), self.options.merge)

    def balanced(self, examples):
        """Label -> weight of having it, so that having it and not having it count the same in all; 1 if none has."""
        return {
            index: (len(examples) - count) / count if count else 1.0
            for index, count in enumerate(examples.counts().values())
        }

    def table(self, scores):
        from kbert.tasks.multilabel_scores import table

        return table(scores)

    def after_training(self, model, dev, batch_size):
        model.tune_thresholds(self.batches(dev, model.tokenizer_spec, batch_size), self.options.merge)

    def sections(self, run, model, dev, scores, batch_size):
        from kbert import report

        header = ["label", "precision", "recall", "F1", "support", "average precision", "threshold"]
        rows = [[name, *row.values()] for name, row in scores["classes"].items()]
        return [
            "## Labels",
            "The thresholds were chosen on the dev set: figures that depend on them are a little too good there.",
            report.markdown(header, rows),
        ]

    def serving(self):
        return {"pair": self.columns.pair is not None, "window": self.options.window, "merge": self.options.merge}

    def questions(self, source):
        from kbert.cli.answering import read

        return read(source, **self.text_names())

    def strings(self, questions):
        return text_strings(questions)

    def lines(self, questions, answers):
        from kbert.tasks.multilabel_scores import separator_for

        separator = separator_for(self.labels)
        for place, answer in enumerate(answers):
            classes, label = [name.decode() for name in answer["classes"]], answer["label"].decode()
            scores = {name: rounded(score) for name, score in zip(classes, answer["scores"], strict=True)}
            labels = label.split(separator) if label else []
            yield {**asked(questions, place), "labels": labels, "scores": scores}
