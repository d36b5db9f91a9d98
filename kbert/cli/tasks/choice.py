"""`--task choice`: which of several texts goes with a text, as in SWAG."""

from kbert.cli.task import Task
from kbert.cli.tasks.classify import rounded


class Choose(Task):
    """Columns choice0, choice1, ... and the number of the right one; see `pipelines.tasks.choice`."""

    name = "choice"

    def read(self, paths, like=None):
        from pipelines.tasks.choice import read_choice

        return read_choice(paths, **self.text_names(), **self.label_name())

    def model_class(self):
        from kbert.tasks.choice import Chooser

        return Chooser

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.tasks.choice import choice

        sizes = {"batch_size": batch_size, "max_length": self.max_length}
        return choice(examples, spec, seed=seed, epochs=epochs, **sizes)

    def questions(self, source):
        """A text and its choices a line, with tabs between; or a file with their columns."""
        from pipelines.tasks.choice import read_choice_questions

        return read_choice_questions(source, **self.text_names())

    def strings(self, questions):
        return {"text": questions.texts, "choices": questions.choices}

    def lines(self, questions, answers):
        for text, choices, answer in zip(questions.texts, questions.choices, answers, strict=True):
            place = int(answer["choice"])
            scores = [rounded(score) for score in answer["scores"]]
            yield {"text": text, "choice": place, "answer": choices[place], "scores": scores}
