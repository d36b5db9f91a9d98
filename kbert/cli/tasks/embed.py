"""`--task embed`: a vector for each text, learned from pairs or triplets."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from kbert.cli.task import Task
from kbert.cli.window_options import WindowOptions

DIGITS = 6  # of a vector's numbers, as they are printed


@dataclass(frozen=True)
class EmbedOptions(WindowOptions):
    """What `--task embed` asks beside what all tasks do; None leaves it to the preset and to the files."""

    pooling: Annotated[
        Literal["mean", "cls", "max"] | None,
        typer.Option(help="Which of the tokens' vectors make that of the text; else the preset's, else mean."),
    ] = None
    objective: Annotated[
        Literal["ranking", "cosine", "contrastive"] | None,
        typer.Option(
            help="What is learned: ranking for pairs that belong together and for triplets, cosine for scores, "
            "contrastive for labels 0 and 1; else by the training file."
        ),
    ] = None
    negative_column: Annotated[str | None, typer.Option(help="Column of the third text of a triplet.")] = None
    max_score: Annotated[
        float | None, typer.Option(help="Score of texts that mean the same; else the largest of the training file.")
    ] = None


class Embed(Task):
    """Pairs, with or without scores, and triplets; see `pipelines.tasks.embed` and `kbert.tasks.embed`."""

    name = "embed"
    Options = EmbedOptions
    judged = None  # of what kind the dev examples are

    def read(self, paths, like=None):
        from pipelines.tasks.embed import read_embedding

        negative = {"negative_column": self.options.negative_column}
        examples = read_embedding(paths, **self.text_names(), **self.label_name(), **negative)
        if like is not None:
            self.judged = examples.kind
        return examples

    def model_class(self):
        from kbert.tasks.embed import Embedder

        return Embedder

    def model(self, preset, examples=None, **common):
        """As `Task.model`; the objective is that of the training examples, the figures are those of the dev set."""
        if examples is None:
            return super().model(preset, **common)
        from kbert.tasks.embed_scores import FIGURES

        said = {"pooling": self.options.pooling} if self.options.pooling else {}
        objective = objective_of(examples.kind, self.options.objective)
        model = super().model(preset, examples, objective=objective, max_length=self.max_length, **said, **common)
        model.figures = FIGURES[objective_of(self.judged or examples.kind)]
        return model

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.tasks.embed import embedding

        sizes = {"batch_size": batch_size, "max_length": self.max_length, "max_score": self.options.max_score}
        return embedding(examples, spec, seed=seed, epochs=epochs, **sizes)

    def scores(self, model, examples, batch_size):
        """As `Task.scores`; long texts are cut in training, but here a window slides over them, as in the export."""
        if self.options.window is None:
            return super().scores(model, examples, batch_size)
        import numpy as np

        from kbert.cli.embedding import embed
        from kbert.tasks.embed_scores import embedding_scores
        from pipelines.tasks.embed import scaled

        seen = {"window": self.options.window, "merge": self.options.merge}
        columns = [
            embed(model, texts, max_length=self.max_length, batch_size=batch_size, **seen) for texts in examples.texts
        ]
        scored = examples.scores is not None
        known = scaled(examples.scores, self.options.max_score).numpy() if scored else examples.numbers()
        return embedding_scores(np.stack(columns, axis=1), known)

    def serving(self):
        return {"window": self.options.window, "merge": self.options.merge}

    def facts(self, examples):
        """As `Task.facts`; the columns only where they were named: texts to predict on stand in one of another name."""
        named = [column for column in (self.columns.text, self.columns.pair) if column]
        return {**super().facts(examples), "text_columns": named}

    def asked_again(self, examples):
        """The first texts of the examples."""
        from pipelines import Texts

        return Texts(examples.texts[0])

    def questions(self, source):
        from kbert.cli.answering import read

        return read(source, **({"text_column": self.columns.text} if self.columns.text else {}))

    def strings(self, questions):
        if questions.pairs is not None:
            raise ValueError(
                f"An embedder answers single texts; got pairs in {' and '.join(questions.columns)}. "
                f"Name one of the columns: --text-column {questions.columns[0]}."
            )
        return {"text": questions.texts}

    def lines(self, questions, answers):
        for text, answer in zip(questions.texts, answers, strict=True):
            yield {"text": text, "embedding": [round(float(number), DIGITS) for number in answer["embedding"]]}


def objective_of(kind: str, asked: str | None = None) -> str:
    """What is learned from examples of a kind.

    Raises:
        ValueError: what is asked for needs other examples.

    >>> objective_of("triplets"), objective_of("labelled"), objective_of("labelled", "cosine")
    ('ranking', 'contrastive', 'cosine')
    """
    able = {
        "triplets": ("ranking",),
        "pairs": ("ranking",),
        "labelled": ("contrastive", "cosine"),
        "scored": ("cosine",),
    }[kind]
    if asked is not None and asked not in able:
        raise ValueError(f"--objective of {kind} examples is {' or '.join(able)}; got {asked}. Leave it out.")
    return asked or able[0]
