"""`--task tag`: a tag for each word, and the entities that tags spell."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from kbert.cli.task import Task
from kbert.cli.tasks.classify import rounded


@dataclass(frozen=True)
class TagOptions:
    """What `--task tag` asks beside what all tasks do."""

    crf: Annotated[
        bool, typer.Option("--crf", help="Learn what it is worth that one tag follows another: a linear-chain CRF.")
    ] = False
    scheme: Annotated[Literal["iob2", "bioes"], typer.Option(help="What the tags are turned into.")] = "iob2"
    mix: Annotated[
        Literal["last", "sum", "mean", "scalar"],
        typer.Option(help="Layers that a word's vector is made of: the last, the last four, or a learned mix of all."),
    ] = "last"
    whole_words: Annotated[
        bool,
        typer.Option(
            "--whole-words",
            help="Teach a word's first piece only, and not its parts at punctuation, as in U.S.'s dots.",
        ),
    ] = False
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Read texts over --max-length through windows that start every so many tokens; else cut them. "
            "tag never cuts: by default every half of --max-length.",
        ),
    ] = None


class Tag(Task):
    """CoNLL columns, or JSONL of words or of texts with entities; see `pipelines.tasks.tag` and `kbert.tasks.tag`."""

    name = "tag"
    Options = TagOptions
    kept = ("crf", "mix")

    def read(self, paths, like=None):
        from pipelines.tasks.tag import read_tagging

        labels = self.labels if like is None else like.labels
        return read_tagging(paths, labels=labels, scheme=self.options.scheme)

    def model_class(self):
        from kbert.tasks.tag import Tagger

        return Tagger

    def batches(self, examples, spec, batch_size, *, seed=None, epochs=None):
        from pipelines.tag_batches import tagging

        sizes = {"batch_size": batch_size, "max_length": self.max_length, "window": self.options.window}
        parts = seed is not None and not self.options.whole_words
        return tagging(examples, spec, seed=seed, epochs=epochs, parts=parts, **sizes)

    def balanced(self, examples):
        """As `Task.balanced` (King and Zeng 2001), of the words and their tags."""
        counts = [0] * len(examples.labels)
        for tags in examples.tag_ids:
            for tag in tags:
                counts[tag] += 1
        present, words = sum(count > 0 for count in counts), sum(counts)
        return {index: words / (present * count) if count else 0.0 for index, count in enumerate(counts)}

    def table(self, scores):
        from kbert.tasks.tag_scores import table

        return table(scores)

    def sections(self, run, model, dev, scores, batch_size):
        from kbert import report

        header = ["type", "precision", "recall", "F1", "support"]
        return [
            "## Entities",
            report.markdown(header, [[name, *row.values()] for name, row in scores["types"].items()]),
        ]

    def facts(self, examples):
        """As `Task.facts`, and what reading them had to mend."""
        mended = {"repaired_tags": examples.repaired, "widened_entities": examples.widened}
        return {**super().facts(examples), "scheme": examples.scheme, **mended}

    def serving(self):
        return {"window": self.options.window}

    def questions(self, source):
        from pipelines.tagging_questions import read_tagging_questions

        return read_tagging_questions(source, text_column=self.columns.text)

    def asked_again(self, examples):
        from pipelines.tagging_questions import of_words

        return of_words(examples.words, examples.texts)

    def strings(self, questions):
        return {"text": questions.texts}

    def lines(self, questions, answers):
        """{"text", "entities", "words", "tags", "starts"}: of a file's own words, or else of those that were found."""
        for place, answer in enumerate(answers):
            found = [word for word in range(len(answer["starts"])) if answer["starts"][word] >= 0]
            words = [answer["tokens"][word].decode() for word in found]
            tags = [answer["tags"][word].decode() for word in found]
            starts = [int(answer["starts"][word]) for word in found]
            if questions.words[place] is not None:
                given, begin = questions.words[place], questions.starts[place]
                words, tags, starts = list(given), given_tags(given, begin, tags, starts), list(begin)
            text = questions.texts[place]
            yield {"text": text, "entities": list(entities(answer)), "words": words, "tags": tags, "starts": starts}


def entities(answer: Any) -> Any:
    """The entities of an answer as dicts, in the order of the text."""
    names = ("entities", "entity_labels", "entity_starts", "entity_ends", "entity_scores")
    for text, label, start, end, score in zip(*(answer[name] for name in names), strict=True):
        if start >= 0:
            yield {
                "text": text.decode(),
                "label": label.decode(),
                "start": int(start),
                "end": int(end),
                "score": rounded(score),
            }


def given_tags(words: Any, begin: Any, tags: list[str], starts: list[int]) -> list[str]:
    """The tags of a file's words: of the first word found in each; "O" where nothing of it was found.

    >>> given_tags(["U.S.", "\\u200b", "won"], [0, 5, 7], ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "O"], [0, 1, 2, 3, 7])
    ['B-LOC', 'O', 'O']
    """
    said = []
    for word, start in zip(words, begin, strict=True):
        first = bisect_left(starts, start)
        inside = first < len(starts) and starts[first] < start + len(word)
        said.append(tags[first] if inside else "O")
    return said
