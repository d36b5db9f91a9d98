"""`--task qa`: the part of a context that answers a question, as in SQuAD 1.1 and 2.0."""

import sys
from dataclasses import dataclass
from typing import Annotated

from typer import Option

from kbert.cli.task import Task
from kbert.cli.tasks.classify import rounded

MOST_WRONG = 12  # questions in the report
MOST_NAMED = 20  # rows that were left out


@dataclass(frozen=True)
class Options:
    """What `run_squad.py` of google-research/bert calls so; its numbers."""

    doc_stride: Annotated[int, Option(min=1, help="Tokens between the starts of two windows of a context.")] = 128
    max_query_length: Annotated[int, Option(min=1, help="Tokens that are kept of a question.")] = 64
    n_best_size: Annotated[int, Option(min=1, help="First and last tokens of a window that are tried.")] = 20
    max_answer_length: Annotated[int, Option(min=1, help="Most tokens of an answer.")] = 30
    null_score_diff_threshold: Annotated[
        float | None,
        Option(help="No answer where that scores by more than this over the best one; else chosen on the dev set."),
    ] = None
    skip_bad: Annotated[bool, Option("--skip-bad", help="Leave out questions whose answer is not in the context.")] = (
        False
    )


class QuestionAnswering(Task):
    """SQuAD's JSON, or columns question, context, answers; see `pipelines.tasks.qa` and `kbert.tasks.qa`."""

    name = "qa"
    usual_length = 384
    Options = Options
    said = None  # the last answers, with what they are of: training asks for the same ones several times

    def read(self, paths, like=None):
        from pipelines.tasks.qa import read_question_answering

        examples = read_question_answering(paths, skip_bad=self.options.skip_bad)
        counts = {"left out": len(examples.skipped), "corrected": examples.corrected, "not found": examples.unfound}
        if any(counts.values()):
            told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            named = "".join(f"\n  {line}" for line in examples.skipped[:MOST_NAMED])
            print(f"{paths}: answers that do not stand where the file says: {told}.{named}", file=sys.stderr)
        return examples

    def model_class(self):
        from kbert.tasks.qa import SpanReader

        return SpanReader

    def model(self, preset, examples=None, **common):
        """One that is trained on questions without an answer may say so: where that scores best, until it is tuned."""
        if examples is not None:
            threshold = self.options.null_score_diff_threshold
            common["null_score_diff_threshold"] = threshold or 0.0 if examples.has_unanswerable else None
        return super().model(preset, examples, **common)

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.tasks.qa import question_answering

        return question_answering(examples, spec, batch_size=batch_size, seed=seed, epochs=epochs, **self.sizes())

    def sizes(self):
        """Lengths, as arguments."""
        options = self.options
        said = {"doc_stride": options.doc_stride, "max_query_length": options.max_query_length}
        return {"max_length": self.max_length, **said}

    def answers(self, model, examples, batch_size):
        """`export.nbest.Answer` of each question."""
        from export.answers import Decoding
        from export.nbest import answer_questions, with_threshold

        threshold = model.null_score_diff_threshold
        head = [weight.numpy().tobytes() for weight in model.span.weights]  # another one after any step of training
        if self.said is None or self.said[0] is not examples or self.said[1] != head:
            decoding = Decoding(self.options.n_best_size, self.options.max_answer_length, threshold)
            answers = answer_questions(model, examples, decoding, batch_size=batch_size, **self.sizes())
            self.said = (examples, head, answers)
        return with_threshold(self.said[2], threshold)

    def scores(self, model, examples, batch_size):
        from kbert.tasks.qa_scores import squad_scores

        said = self.answers(model, examples, batch_size)
        scores = squad_scores(examples.gold, {answer.id: answer.said.text for answer in said})
        if model.null_score_diff_threshold is not None:
            scores |= tuned(examples, said) | {"threshold": float(model.null_score_diff_threshold)}
        return scores

    def after_training(self, model, dev, batch_size):
        """The threshold of no answer that gives the best F1."""
        if model.null_score_diff_threshold is not None and self.options.null_score_diff_threshold is None:
            said = self.answers(model, dev, batch_size)
            model.null_score_diff_threshold = tuned(dev, said)["best_f1_threshold"]

    def write_answers(self, folder, model, examples, batch_size):
        from export.nbest import write_predictions

        return write_predictions(folder, self.answers(model, examples, batch_size), self.options.n_best_size)

    def sections(self, run, model, dev, scores, batch_size):
        from kbert import report

        said = self.answers(model, dev, batch_size)
        right = dict(dev.gold)
        wrong = [
            (question, " / ".join(dict.fromkeys(right[answer.id])), answer.said.text, rounded(answer.best.score))
            for question, answer in zip(dev.questions, said, strict=True)
            if answer.said.text not in (right[answer.id] or ("",))
        ]
        worst = sorted(wrong, key=lambda row: -row[-1])[:MOST_WRONG]
        header = ["question", "right", "answer", "score"]
        return ["## Answered otherwise", report.markdown(header, worst) if worst else "Nothing."]

    def serving(self):
        options = self.options
        told = {"n_best_size": options.n_best_size, "max_answer_length": options.max_answer_length}
        return {"doc_stride": options.doc_stride, "max_query_length": options.max_query_length, **told}

    def questions(self, source):
        """A question and its context a line, with a tab between; or a file of questions."""
        from pipelines.tasks.qa import read_questions

        return read_questions(source)

    def strings(self, questions):
        return {"question": questions.questions, "context": questions.contexts}

    def lines(self, questions, answers):
        for name, question, answer in zip(questions.ids, questions.questions, answers, strict=True):
            yield {
                "id": name,
                "question": question,
                "answer": answer["answer"].decode(),
                "start": int(answer["start"]),
                "end": int(answer["end"]),
                "score": rounded(answer["score"]),
                "null_score": rounded(answer["null_score"]),
            }


def tuned(examples, said):
    """The best figures that another threshold would give, and these thresholds: the "best_..." of `squad_scores`."""
    from kbert.tasks.qa_scores import squad_scores

    best = {answer.id: answer.best.text for answer in said}
    odds = {answer.id: answer.null_odds for answer in said}
    return {key: value for key, value in squad_scores(examples.gold, best, odds).items() if key.startswith("best_")}
