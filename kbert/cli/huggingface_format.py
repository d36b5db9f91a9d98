"""`--format huggingface`: the folder that transformers opens, and sentence-transformers where the model embeds."""

from kbert.cli.card_options import CardOptions, card_of
from kbert.cli.format import Format


class HuggingFace(Format):
    """See `export.huggingface`."""

    name = "huggingface"
    Options = CardOptions

    def write(self, asked):
        import export as exporters

        card = card_of(asked, self.options)
        exporters.huggingface(asked.model, asked.out, overwrite=asked.overwrite, card=card)
        return {}
