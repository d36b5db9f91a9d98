"""`--task regress`: a number for a text or a pair of texts."""

from typing import Any

from kbert.cli.task import Task
from kbert.cli.tasks.classify import asked, rounded, text_strings
from kbert.cli.window_options import WindowOptions

FARTHEST = 12  # examples in the report


class Regress(Task):
    """Scores in the column `label` or `score`; see `pipelines.tasks.regress` and `kbert.tasks.regress`."""

    name = "regress"
    Options = WindowOptions

    def read(self, paths, like=None):
        from pipelines.tasks.regress import read_regression

        if self.labels:
            raise ValueError(f"--labels is for tasks with labels; regress has none. Got {', '.join(self.labels)}.")
        return read_regression(paths, **self.text_names(), **self.label_name())

    def model_class(self):
        from kbert.tasks.regress import Regressor

        return Regressor

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.tasks.regress import regression

        sizes = {"batch_size": batch_size, "max_length": self.max_length}
        return regression(examples, spec, seed=seed, epochs=epochs, window=self.options.window, **sizes)

    def scores(self, model, examples, batch_size):
        return model.scores(self.batches(examples, model.tokenizer_spec, batch_size), self.options.merge)

    def table(self, scores):
        from kbert.tasks.regress_scores import table

        return table(scores)

    def sections(self, run, model, dev, scores, batch_size):
        from kbert import report
        from kbert.tasks.classify_scores import answers

        right, said = answers(model, self.batches(dev, model.tokenizer_spec, batch_size), self.options.merge)
        return [
            "## Farthest from their scores",
            report.markdown(["text", "score", "answer"], farthest(dev, right, said)),
        ]

    def serving(self):
        return {"pair": self.columns.pair is not None, "window": self.options.window, "merge": self.options.merge}

    def questions(self, source):
        from kbert.cli.answering import read

        return read(source, **self.text_names())

    def strings(self, questions):
        return text_strings(questions)

    def lines(self, questions, answers):
        for place, answer in enumerate(answers):
            yield {**asked(questions, place), "score": rounded(answer["score"])}


def farthest(examples: Any, right: Any, said: Any) -> list[tuple]:
    """(text, score, answer) of the examples with the largest errors, these first; in the order of the file."""
    import numpy as np

    worst = np.argsort(-np.abs(said - right), kind="stable")[:FARTHEST]
    pairs = examples.pairs or [None] * len(examples)
    return [(" / ".join(filter(None, (examples.texts[i], pairs[i]))), float(right[i]), float(said[i])) for i in worst]
