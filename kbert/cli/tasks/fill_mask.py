"""A RUN of `kbert pretrain`, asked: what stands behind each [MASK] of a text. It is no task of `kbert finetune`."""

from typing import Any

from kbert.cli.task import Task


class FillMask(Task):
    """Texts with [MASK]; see `export.tasks.fill_mask`."""

    name = "pretrain"

    def model(self, preset: str, examples: Any = None, **common: Any) -> Any:
        from kbert.cli.mask_filling import open_masked_tokens

        return open_masked_tokens(preset, "fill-mask")

    def questions(self, source):
        from kbert.cli.answering import read

        return read(source, **self.text_names())

    def strings(self, questions):
        if questions.pairs is not None:
            raise ValueError("A text with [MASK] stands in one column; got two. Name it with --text-column.")
        return {"text": questions.texts}

    def lines(self, questions, answers):
        from kbert.cli.mask_filling import filled

        for text, answer in zip(questions.texts, answers, strict=True):
            masks = filled(*(answer[name] for name in ("tokens", "scores", "sequences")))
            rounded = [[{**one, "score": round(one["score"], 4)} for one in mask] for mask in masks]
            yield {"text": text, "masks": rounded}
