"""A small preset whose vocabulary has all that surgery has to think of: characters, padding, tokens no text gives."""

import string
from pathlib import Path

import numpy as np

from kbert.config import BertConfig
from kbert.presets import Preset, open_preset, save_preset
from kbert.weights.table import shapes

LETTERS = string.ascii_lowercase
ENTRIES = (
    *("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]", "[unused2]"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS if letter != "q"),  # ##q is only in ##quid
    *("the", "cat", "cats", "##s", "un", "##happy", "##happ", "sat", "dog", "##quid", ".", "漢", "##漢", "É", "##É"),
)
ENTRIES = tuple(dict.fromkeys(ENTRIES))
E, V, D = len(ENTRIES), len(ENTRIES) + 3, 6  # three rows of padding
TABLE, BIAS = "embeddings/token", "masked_tokens/bias"  # the weights with a row for each token
CONFIG = BertConfig(
    vocab_size=V,
    hidden_size=D,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=10,
    max_position_embeddings=40,
    type_vocab_size=4,
    extra=(("pad_token_id", 1), ("hidden_note", 1)),
)
HEADS = {
    "classifier/kernel": (D, 3),
    "classifier/bias": (3,),
    "masked_tokens/transform/kernel": (D, D),
    "masked_tokens/transform/bias": (D,),
    "masked_tokens/norm/gamma": (D,),
    "masked_tokens/norm/beta": (D,),
    BIAS: (V,),
}


def make_preset(folder: Path) -> Preset:
    """The preset, written to a folder and opened."""
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in ENTRIES), "utf-8")
    noise = np.random.default_rng(1)
    arrays = {name: noise.normal(size=shape).astype(np.float32) for name, shape in (shapes(CONFIG) | HEADS).items()}
    tokenizer = {"vocabulary": str(folder / "vocab.txt"), "lowercase": True, "strip_accents": None, "split_cjk": True}
    save_preset(folder / "mine", CONFIG, arrays, tokenizer, labels=["low", "middle", "high"])
    return open_preset(folder / "mine")
