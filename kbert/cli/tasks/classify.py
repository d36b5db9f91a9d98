"""`--task classify`: one of several labels for a text or a pair of texts."""

from typing import Any

from kbert.cli.task import Task
from kbert.cli.window_options import WindowOptions

MOST_WRONG = 12  # examples in the report


class Classify(Task):
    """Labels in the column `label`; see `pipelines.tasks.classify` and `kbert.tasks.classify`."""

    name = "classify"
    Options = WindowOptions

    def read(self, paths, like=None):
        from pipelines.tasks.classify import read_classification

        labels = self.labels if like is None else like.labels
        return read_classification(paths, labels=labels, **self.text_names(), **self.label_name())

    def model_class(self):
        from kbert.tasks.classify import Classifier

        return Classifier

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.batches import classification

        sizes = {"batch_size": batch_size, "max_length": self.max_length}
        return classification(examples, spec, seed=seed, epochs=epochs, window=self.options.window, **sizes)

    def scores(self, model, examples, batch_size):
        return model.scores(self.batches(examples, model.tokenizer_spec, batch_size), self.options.merge)

    def balanced(self, examples):
        """As `Task.balanced` (King and Zeng 2001)."""
        counts = examples.counts().values()
        present = sum(count > 0 for count in counts)
        return {index: len(examples) / (present * count) if count else 0.0 for index, count in enumerate(counts)}

    def table(self, scores):
        from kbert.tasks.classify_scores import table

        return table(scores)

    def sections(self, run, model, dev, scores, batch_size):
        from kbert import report
        from kbert.tasks.classify_scores import answers

        labels, logits = answers(model, self.batches(dev, model.tokenizer_spec, batch_size), self.options.merge)
        wrong = most_wrong(dev, labels, logits)
        report.draw_confusion(run, scores["confusion"], list(scores["classes"]))
        header = ["class", "precision", "recall", "F1", "support"]
        return [
            "## Classes",
            report.markdown(header, [[name, *row.values()] for name, row in scores["classes"].items()]),
            f"![confusion matrix]({report.CONFUSION})",
            "## Answered wrongly, and most certain of it",
            report.markdown(["text", "label", "answer", "score"], wrong) if wrong else "Nothing.",
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
            scores = {
                label.decode(): rounded(score) for label, score in zip(answer["classes"], answer["scores"], strict=True)
            }
            yield {**asked(questions, place), "label": answer["label"].decode(), "scores": scores}


def asked(questions: Any, place: int) -> dict[str, str]:
    """The text of a line of answers, and the second of a pair."""
    line = {"text": questions.texts[place]}
    return line if questions.pairs is None else {**line, "pair": questions.pairs[place]}


def text_strings(questions: Any) -> dict[str, Any]:
    """Texts or pairs of texts as strings of `serving_default`."""
    if questions.pairs is None:
        return {"text": questions.texts}
    return {"text_a": questions.texts, "text_b": questions.pairs}


def rounded(score: Any) -> float:
    """A score as it is printed: four digits after the point."""
    return round(float(score), 4)


def most_wrong(examples: Any, labels: Any, logits: Any) -> list[tuple]:
    """(text, label, answer, score of the answer) of wrong answers, the most certain first; in the order of the file."""
    import numpy as np

    from kbert.tasks.classify_scores import softmax

    scores = softmax(logits)
    answer, score = scores.argmax(-1), scores.max(-1)
    wrong = np.flatnonzero(answer != labels)
    worst = wrong[np.argsort(-score[wrong], kind="stable")][:MOST_WRONG]
    pairs = examples.pairs or [None] * len(examples)
    return [
        (
            " / ".join(filter(None, (examples.texts[i], pairs[i]))),
            examples.labels[labels[i]],
            examples.labels[answer[i]],
            float(score[i]),
        )
        for i in worst
    ]
