"""What the tokenizer must say, in plain Python: the words of a text as Google's BERT sees them, and their pieces."""

import unicodedata

BLOCKS = "3400-4DBF 4E00-9FFF F900-FAFF 20000-2A6DF 2A700-2B73F 2B740-2B81F 2B820-2CEAF 2F800-2FA1F"
IDEOGRAPHS = [tuple(int(end, 16) for end in block.split("-")) for block in BLOCKS.split()]
ASCII_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def clean(text: str) -> str:
    kept = []
    for c in text:
        category = unicodedata.category(c)
        if c in "\t\n\r" or category == "Zs":
            kept.append(" ")
        elif c != "\ufffd" and category != "Cc" and category != "Cf":
            kept.append(f" {c} " if any(a <= ord(c) <= b for a, b in IDEOGRAPHS) else c)
    return "".join(kept)


def reference_words(text: str, lowercase: bool) -> list[str]:
    words = []
    for token in clean(text).split():
        if lowercase:
            token = unicodedata.normalize("NFD", token.lower())
            token = "".join(c for c in token if unicodedata.category(c) != "Mn")
        for c in token:
            is_mark = c in ASCII_PUNCTUATION or unicodedata.category(c)[0] == "P"
            words += [" ", c, " "] if is_mark else [c]
        words.append(" ")
    return "".join(words).split()


def reference_pieces(word: str, ids: dict[str, int], longest: int = 200) -> list[int]:
    pieces, start = [], 0
    if len(word) > longest:
        return [ids["[UNK]"]]
    while start < len(word):
        prefix = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in ids), None)
        if end is None:
            return [ids["[UNK]"]]
        pieces.append(ids[prefix + word[start:end]])
        start = end
    return pieces


def reference_ids(text: str, ids: dict[str, int], lowercase: bool) -> list[int]:
    return [piece for word in reference_words(text, lowercase) for piece in reference_pieces(word, ids)]
