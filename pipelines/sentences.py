"""Sentences: lines of text -> their sentences, in the graph, by the marks that end one in the scripts of Unicode.

Rules, not a model. `. ! ? …` end a sentence where white space and something that can begin one follow; 。！？ and the
marks of other scripts (Arabic, Devanagari, Armenian, Ethiopic, Khmer, Burmese, ...) need no white space. Quotes and
brackets that close go with the mark. No end is after an abbreviation, an initial ("J. K."), the number of a day or an
item ("3. Oktober", "1. First"), in a title (《走！青春》), or before a lower-case letter, unless the whole line has no
capital. In doubt a sentence goes on.

RE2 has no look-around: one pass puts GLUE behind the points that end nothing, which hides them from the pass that puts
END behind those that do. L lines, S sentences of a line.
"""

import tensorflow as tf

END, GLUE = "\n", "\v"  # a line has no line feed; a vertical tab is a control character, which BERT drops
WHITE = r"\t-\r\x1c-\x20\x{85}\p{Z}"  # what str.isspace says, inside of brackets
SPACES = r"[\t\f\r\x1c-\x20\x{85}\p{Z}]+"  # without END and GLUE

TITLES = (  # before a name
    *("Mr", "Mrs", "Ms", "Messrs", "Dr", "Prof", "St", "Mt", "Ft", "Rev", "Hon", "Gen", "Col", "Maj", "Capt", "Lt"),
    *("Sgt", "Cpl", "Cmdr", "Adm", "Gov", "Sen", "Rep", "Pres", "Supt", "Insp", "Jr", "Mme", "Mlle", "Mgr", "Sr"),
    *("Sra", "Srta", "Dra", "Uds?", "Exmo", "Fr", "Hr", "Frl", "Sig", "Dott", "Dhr", "Mevr", "Проф"),
)
JOINING = ("vs", "viz", "cf", "approx", "incl", "bzw", "vgl", "sog", "bijv", "напр")
COUNTING = (  # before a number only: "No. 5", but "Oh no. I forgot."
    *("nos?", "nr", "nº", "núm", "figs?", "vols?", "pp", "ch", "chap", "cap", "sec", "art", "op", "bd", "abb", "ca"),
    *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept?", "oct", "nov", "dec"),
)
BEFORE_WORD = rf"(?:^|[{WHITE}\p{{Ps}}\p{{Pi}}\p{{Pd}}\"*_/])'?"
LETTER, NOT_I = r"[^\P{L}\p{Lo}\p{Lm}]", r"[^\P{L}\p{Lo}\p{Lm}Ii]"  # of a script with cases; "I" ends sentences
INITIALS = rf"(?:{LETTER}\.)*{NOT_I}|(?:{LETTER}\.)+{LETTER}"
DAY = r"\p{Nd}{1,2}"

POINTS = r"[.!?…‼‽⁇⁈⁉\x{37E}]"
CLOSING = r"(?:[\"'\p{Pe}\p{Pf}\p{Pi}]|\[\p{Nd}{1,3}\])"  # all quotes, as „this“ and »this«; a reference such as [12]
CLOSING_APART = rf"{SPACES}[»›]"  # « French »
GOING_ON = rf"{WHITE}\p{{M}}\p{{Pd}}.,;:!?…)\]}}%»›"  # what begins no sentence; a dash is what follows it
GEORGIAN = r"\x{10D0}-\x{10FF}"  # lower-case by name, of a script that writes without capitals

MARKS = (  # Unicode's Sentence_Terminal of living scripts, ； and the Tibetan and Khmer ones
    r"。！？；｡﹒﹖﹗։\x{61D}-\x{61F}۔\x{700}-\x{702}߹।॥\x{F0D}\x{F0E}။።፧፨᙮᜵᜶។៕᠃᠉᥄᥅\x{1AA8}-\x{1AAB}᭚᭛᭞᭟᰻᰼᱾᱿"
    r"꓿꘎꘏꛳꛷\x{A8CE}\x{A8CF}꤯꧈꧉꩝-꩟꫰꫱꯫"
)
MARK_CLOSING = r"[\"'”’»」』）】〕］)\]]"  # not 》, which ends a title in the middle of a sentence
MARK_GOING_ON = rf"{GOING_ON}{MARKS}、，：،؛．～〜・\p{{Pe}}\p{{Pf}}\"'"


TITLE = "(《[^《》]{0,20}[！？。])([^《》]{0,20}》)"  # of a book or a film


def _glue(titles: str) -> str:
    """The points that end nothing: two ways, the second one with what follows in a group of its own."""
    kept = rf"(?:{titles}|(?i:{'|'.join(JOINING)})|{INITIALS}|{DAY})"
    number = rf"({BEFORE_WORD}(?i:{'|'.join(COUNTING)})\.)({SPACES}\p{{Nd}})"
    return rf"({BEFORE_WORD}{kept}\.)|{number}|{TITLE}"


def _ends(begins: str) -> str:
    """The ends of sentences: three ways, each with a group before the end and one after it."""
    begin = rf"(?:\p{{Pd}}+(?:{SPACES})?)?(?:[^{GOING_ON}\p{{Ll}}]|[{begins}]|[»›][^{WHITE}.,;:!?])"
    points = rf"({POINTS}+(?:{CLOSING}|{CLOSING_APART})*){SPACES}({begin})"
    marks = rf"((?:[{MARKS}]|፡፡)[{MARKS}.!?…]*{MARK_CLOSING}*)(?:{SPACES})?([^{MARK_GOING_ON}])"
    wide = rf"(．{MARK_CLOSING}*)(?:{SPACES})?([^{MARK_GOING_ON}\p{{Nd}}])"
    return f"{points}|{marks}|{wide}"


GLUES, ENDS = _glue("|".join(TITLES)), _ends(GEORGIAN)
# In a line without capitals titles have none, sentences begin without, and "..." does not tell whether one ends.
LOWER_GLUES, LOWER_ENDS = _glue(rf"(?i:{'|'.join(TITLES)})").replace("(", r"(\.\.+|", 1), _ends(r"\p{Ll}")
NO_CAPITAL = r"\P{Lu}*"


@tf.autograph.experimental.do_not_convert
def split_sentences(lines) -> tf.RaggedTensor:
    """The sentences of each line, without the white space around them.

    The sentences of a line joined are the line, but for white space at their ends and vertical tabs: no other character
    is lost, added or changed. A line of white space has no sentence, a line in which nothing ends has one.

    Args:
        lines: strings [L] in UTF-8. A line feed inside ends a sentence.

    Returns:
        Ragged strings [L, (S)].

    Source: the characters are those of Unicode's property Sentence_Terminal (UAX 44); the rules are our own.

    Example:
        >>> lines = ["Mr. J. K. Smith paid 3.5 pounds. 'Why?' she asked.", "你好！他说。"]
        >>> for sentences in split_sentences(lines).to_list():
        ...     print(" | ".join(sentence.decode() for sentence in sentences))
        Mr. J. K. Smith paid 3.5 pounds. | 'Why?' she asked.
        你好！ | 他说。
    """
    lines = tf.convert_to_tensor(lines, tf.string)
    lower = tf.strings.regex_full_match(lines, NO_CAPITAL)
    marked = tf.where(
        lower,
        _mark(tf.where(lower, lines, ""), LOWER_GLUES, LOWER_ENDS),
        _mark(tf.where(lower, "", lines), GLUES, ENDS),
    )
    pieces = tf.strings.split(marked, sep=END)
    sentences = tf.strings.regex_replace(pieces.values, rf"^[{WHITE}]+|[{WHITE}]+$|{GLUE}", "")  # [S of all lines]
    some = sentences != ""
    kept = tf.RaggedTensor.from_row_splits(some, pieces.row_splits, validate=False)
    lengths = tf.reduce_sum(tf.cast(kept, tf.int64), axis=1)
    return tf.RaggedTensor.from_row_lengths(tf.boolean_mask(sentences, some), lengths, validate=False)


def _mark(lines: tf.Tensor, glues: str, ends: str) -> tf.Tensor:
    """Lines with GLUE behind the points that end nothing and END behind those that end a sentence."""
    glued = tf.strings.regex_replace(lines, glues, rf"\1\2\4{GLUE}\3\5")
    return tf.strings.regex_replace(glued, ends, rf"\1\3\5{END}\2\4\6")
