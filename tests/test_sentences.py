"""Laws of sentences: where they end in many scripts, where they do not, and that nothing but white space is lost."""

import lzma
import random

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.sentences import split_sentences

SPLITS = {  # " | " is where the sentences are cut
    "English": "It rained. | We stayed in! | Did you? | Well … | Maybe.",
    "quotes": '"Go." | "No," she said. | \'Why?\' he asked. | “Come!” | ‘Yes.’ | (He did.) | [It was.] | Then he left.',
    "speech goes on": '"What?" he asked. | "Stop!" she cried. | “Who is it?” said I.',
    "titles": "Mr. Smith met Mrs. Jones and Dr. Who at St. Mary's. | Prof. X (Rev. Y too) left.",
    "joining": "Red vs. Blue, i.e. Both, e.g. These, cf. Others. | Good.",
    "initials": "J. K. Rowling and J.R.R. Tolkien wrote. | W. E. B. Du Bois too. | It was I. | The U.S. Army came.",
    "numbers": "It cost 3.5 pounds, No. 5 cost 1,000. | In 1865. | He said no. | I left in Dec. 1999 with vol. 3.",
    "items": "1. First we go. | Then we see section 2.4.1. | Go on.",
    "dots": "Wait... | What? | So... it is. | Really?! | Yes!!! | U.S.A. is one.",
    "references": "It is so.[12] | It was so.[3][4] | Now it is not.",
    "names with dots": "Visit example.com or file.txt today. | Use kbert.layout.T now.",
    "dashes": "He left. | — Who? — asked she. | —No one.",
    "bold": "**Dr. Gall** came. | _St. John_ too.",
    "German": "Am 3. Oktober ging er, bzw. Sie auch. | „Komm!“ | »Nein.« | Er sagte: »Nie.« | »Doch«, rief sie.",
    "French": "« Oui ! » dit-il. | « Non. » | Mme. Curie arriva. | Où est-elle ? | Là-bas !",
    "Spanish": "¿Qué pasa? | ¡Nada! | El Sr. García y la Sra. Paz vinieron.",
    "Swedish": "Det sade hon. | ”Kom”, sade han. | Jag såg honom.",
    "Russian": "Пришёл А. С. Пушкин. | «Да!» — сказал он. | «Нет». | Он ушёл и т. д. в лес. | Всё.",
    "Greek": "Τι είναι; Αυτό. | Ναι! | Όχι\u037e | Ίσως.",
    "Georgian": "ეს არის სახლი. | ის წავიდა. | რატომ?",
    "Chinese": "你好！ | 他说：“是的。” | “不”，我说。 | 真？！ | 他走； | 我也走。 | 2015年，3.5元。 | 《走！青春》",
    "Chinese with spaces": "你好。 | 他走了。 | A BC。",
    "Chinese ellipsis": "好……他说……走。 | 是",
    "Japanese": "「はい。」 | 彼は行った。 | そうですか？ | ３．５は数． | 次。",
    "Korean": "그는 갔다. | 왜요? | 모릅니다.",
    "Arabic": "ذهب الولد. | هل جاء؟ | نعم، جاء؛ ثم ذهب. | انتهى",
    "Urdu": "وہ گیا۔ | کیا وہ آیا؟ | ہاں۔",
    "Hindi": "वह गया। | वह आया॥ | क्या? | हाँ।",
    "Armenian": "Նա գնաց։ | Ես եկա։",
    "Amharic": "ሄደ። | መጣ፧ | አዎ፡፡ | እሺ።",
    "Burmese": "သူသွားသည်။ | ငါလာသည်။",
    "Khmer": "គាត់ទៅ។ | ខ្ញុំមក។",
    "Thai": "เขาไป ฉันมา",
    "Yoruba": "Ó lọ. | Ṣé ó dé? | Èmi náà.",
    "lower case": "i went home. | mr. smith stayed... then left! | why? | no. 5 was i. | it was e.g. this.",
    "lower case, tokens apart": "i went home . | he did not .",
    "no end": "a line without any end " * 50 + "at all",
}


def sentences(*lines: str | bytes) -> list[list[str]]:
    return [[sentence.decode() for sentence in line] for line in split_sentences(list(lines)).to_list()]


@pytest.mark.parametrize("name", SPLITS)
def test_a_line_is_cut_where_sentences_end_and_nowhere_else(name):
    parts = SPLITS[name].split(" | ")
    glue = "" if name in ("Chinese", "Japanese", "Urdu", "Armenian", "Amharic", "Burmese", "Khmer") else " "
    assert sentences(glue.join(parts)) == [parts]
    assert sentences(*parts) == [[part] for part in parts]  # what is a sentence stays one


def test_titles_are_no_ends_of_other_words():
    assert sentences("He saw the Gen. Grant left Frodr. We no. We did.") == [
        ["He saw the Gen. Grant left Frodr.", "We no.", "We did."]
    ]


def test_white_space_around_sentences_goes_and_lines_of_it_have_none():
    found = split_sentences(
        ["", " \t\u3000\u2028 ", "\u3000一。\u00a0二。\u3000", " a\n\nb \r", "\x85A bc.\u2003\x1c C  d.\x0b"]
    )
    assert found.row_lengths().numpy().tolist() == [0, 0, 2, 2, 2]
    assert [text.decode() for text in found.values.numpy()] == ["一。", "二。", "a", "b", "A bc.", "C  d."]
    assert split_sentences(tf.constant([], tf.string)).to_list() == []


def test_a_very_long_line_stays_whole_where_nothing_ends_and_is_cut_where_it_does():
    assert sentences("a, b " * 200_000)[0] == [("a, b " * 200_000).strip()]
    assert len(sentences("He sat. " * 100_000)[0]) == 100_000


def test_a_line_never_depends_on_its_neighbours_and_the_graph_gives_what_eager_gives():
    lines = [SPLITS[name].replace(" | ", " ") for name in SPLITS]
    together = sentences(*lines)
    assert together == [sentences(line)[0] for line in lines]
    graph = tf.function(split_sentences, input_signature=[tf.TensorSpec([None], tf.string)])(lines)
    assert [[text.decode() for text in line] for line in graph.to_list()] == together
    assert graph.row_splits.dtype == tf.int64 and graph.shape.as_list() == [len(lines), None]


ALPHABET = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from("..!?…。！？；।؟።\"'”’»«“„」』）)](](「 \t\u3000\u00a0\n\v"),
    st.sampled_from("aAbBiIzÉéЖж中文あア한غद5५0-–—,;:、[*"),
    st.sampled_from(["Mr.", " St.", "e.g.", " J. K.", "No. 5", " vs.", " 3.5", "...", "[12]", "፡፡", " » ", "3. O"]),
)


def without_white_space(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(ALPHABET, max_size=40).map("".join), min_size=1, max_size=5))
@example(["\v\nMr.\v Smith.\v\nA", "a.\x85B. \v C", "».» » A", "。。」」。a", "．．5．．a"])
def test_nothing_but_white_space_between_sentences_is_lost(lines):
    found = sentences(*lines)
    for line, parts in zip(lines, found, strict=True):
        assert without_white_space("".join(parts)) == without_white_space(line)
        assert all(part and part == part.strip() and "\n" not in part for part in parts)
        at = 0
        for part in parts:  # and none inside of a sentence, the vertical tab apart
            line = line.replace("\v", "")
            at = line.index(part, at) + len(part)


def test_bytes_that_are_not_utf8_are_kept():
    order = random.Random(0)
    lines = [bytes(order.choice(b"aA. \xff\xe4\xb8\xad!") for _ in range(30)) for _ in range(200)]
    for line, parts in zip(lines, split_sentences(lines).to_list(), strict=True):
        assert b"".join(parts).replace(b" ", b"") == line.replace(b" ", b"")


def test_books_and_wikipedia_have_sentences_of_a_sane_length(shared_data):
    for name, least, most in (("books/classic_books.txt.xz", 60, 140), ("zhwiki/zhwiki_sample.txt.xz", 20, 60)):
        with lzma.open(shared_data / name) as file:
            lines = file.read(2_000_000).split(b"\n")[:-1]
        parts = [text.decode() for text in split_sentences(lines).values.numpy()]
        assert without_white_space("".join(parts)) == without_white_space(b"".join(lines).decode())
        assert least < sum(map(len, parts)) / len(parts) < most
