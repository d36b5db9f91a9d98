"""`--format hub`: the pair of SavedModels of TensorFlow Hub's API for text, strings -> ids and ids -> vectors."""

from kbert.cli.card_options import CardOptions, card_of
from kbert.cli.format import Format


class Hub(Format):
    """See `export.hub`; `--max-length` is the length of its rows."""

    name = "hub"
    Options = CardOptions

    def write(self, asked):
        import export as exporters

        given = {"seq_length": asked.max_length, "overwrite": asked.overwrite}
        exporters.hub(asked.model, asked.out, **given, card=card_of(asked, self.options))
        return {"seq_length": asked.max_length}

    def lines(self, result):
        return [f"{super().lines(result)[0]}, preprocess/ and encoder/, rows of {result['seq_length']} tokens"]
