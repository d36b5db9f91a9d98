"""Laws of task files: what every format reads to, and what every mistake in a file is told as."""

import gzip
import io
import lzma

import pytest

from pipelines import files
from pipelines.tasks import read_classification, read_texts

GOOD = {
    "plain.tsv": 'sentence\tlabel\na "quoted" cat\tyes\n\tno\nthe dog\'s, film\tyes\n',
    "windows.tsv": '\ufeffsentence\tlabel\r\na "quoted" cat\tyes\r\n\tno\r\nthe dog\'s, film\tyes\r\n',
    "no_last_line_end.tsv": 'label\tsentence\nyes\ta "quoted" cat\nno\t\nyes\tthe dog\'s, film',
    "plain.csv": 'sentence,label\n"a ""quoted"" cat",yes\n,no\n"the dog\'s, film",yes\n\n',
    "plain.jsonl": '{"sentence": "a \\"quoted\\" cat", "label": "yes"}\n\n{"sentence": "", "label": "no"}\n'
    '{"label": "yes", "sentence": "the dog\'s, film"}\n',
}
COMPRESS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("name", GOOD)
def test_every_format_reads_to_the_same_examples(name, compression, write):
    examples = read_classification(write(name + compression, COMPRESS[compression](GOOD[name].encode())))
    assert examples.texts == ('a "quoted" cat', "", "the dog's, film")
    assert (examples.pairs, examples.columns) == (None, ("sentence",))
    assert (examples.labels, examples.label_ids) == (("no", "yes"), (1, 0, 1))
    assert (len(examples), examples.counts()) == (3, {"no": 1, "yes": 2})


BAD = {
    "empty.tsv": ("", "empty.tsv is empty"),
    "empty.jsonl": ("", "empty.jsonl is empty"),
    "blank.jsonl": ("\n\n", "blank.jsonl holds no JSON object"),
    "header.tsv": ("sentence\tlabel\n", "header.tsv has a header and no row below it"),
    "header.csv": ("sentence,label\n\n", "header.csv has a header and no row below it"),
    "few.tsv": ("sentence\tlabel\na\tyes\nb\n", r"few.tsv:3: .* as the header, 2 \(sentence, label\); got 1, too few"),
    "many.tsv": ("sentence\tlabel\na\tyes\tno\n", "many.tsv:2: .*got 3, too many"),
    "few.csv": ('sentence,label\n"a\nb",yes\nc\n', "few.csv:4: .*got 1, too few"),
    "quote.csv": ('sentence,label\n"a"b,yes\n', "quote.csv:2: not a CSV row"),
    "open.csv": ('sentence,label\n"a,yes\n', "open.csv:2: not a CSV row"),
    "twice.tsv": ("label\tlabel\na\tb\n", "twice.tsv:1: .*label appears twice"),
    "column.tsv": ("text\tlabel\na\tyes\n", "column.tsv: no column 'sentence'; there are 'text', 'label'"),
    "label.csv": ("sentence,sort\na,yes\n", "label.csv:2: no column 'label'; there are 'sentence', 'sort'"),
    "key.jsonl": ('{"sentence": "a", "label": 1}\n{"label": 0}\n', "key.jsonl:2: no column 'sentence'.*'label'"),
    "json.jsonl": ('{"sentence": "a", "label": 1}\n{"sentence"\n', "json.jsonl:2: a line holds one JSON object"),
    "array.jsonl": ("[1, 2]\n", "array.jsonl:1: .*got list"),
    "number.jsonl": ('{"sentence": 5, "label": 1}\n', "number.jsonl:1: 'sentence' must be a text; got 5"),
    "null.jsonl": ('{"sentence": "a", "label": null}\n', "null.jsonl:1: 'label' must be a word .*got None"),
    "float.jsonl": ('{"sentence": "a", "label": 0.5}\n', "float.jsonl:1: 'label' must be .*got 0.5"),
    "nolabel.tsv": ("sentence\tlabel\na\t \n", "nolabel.tsv:2: 'label' must be a word"),
    "one.tsv": ("sentence\tlabel\na\tyes\nb\tyes\n", "two or more different labels; got yes from .*one.tsv"),
    "latin.tsv": (b"sentence\tlabel\nna\xefve\tyes\n", "latin.tsv:2: text must be UTF-8; byte 3 of the line is 0xef"),
    "latin.jsonl": (b'{"sentence": "\xff"}', "latin.jsonl:1: text must be UTF-8"),
    "not.tsv.gz": ("sentence\tlabel\na\tyes\n", "not.tsv.gz is not a whole .gz file"),
    "cut.tsv.gz": (gzip.compress(b"sentence\tlabel\na\tyes\n" * 9)[:-9], "cut.tsv.gz is not a whole .gz file"),
    "not.tsv.xz": ("sentence\tlabel\na\tyes\n", "not.tsv.xz is not a whole .xz file"),
    "task.xlsx": ("a", "told by its extension, .tsv, .csv, .jsonl.*task.xlsx"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_the_file_and_its_line(name, write):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        read_classification(write(name, content))


def test_a_file_that_is_not_there(tmp_path):
    for name in ("absent.tsv", "absent*.tsv"):
        with pytest.raises(FileNotFoundError, match="no such file: .*absent.*Check the name or the glob"):
            read_classification(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="It is a folder"):
        read_classification(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(files.rows(tmp_path / "absent.tsv"))
    with pytest.raises(ValueError, match="at least one file"):
        read_classification([])


def test_files_and_globs_follow_one_another(write, tmp_path):
    for number in (2, 1, 0):
        write(f"part{number}.tsv", f"sentence\tlabel\ntext {number}\t{number}\n")
    write("[odd]*.csv", "label,sentence\n5,odd\n")
    examples = read_classification([tmp_path / "[odd]*.csv", str(tmp_path / "part*.tsv")])
    assert examples.texts == ("odd", "text 0", "text 1", "text 2")


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\x0b", "\x0c", "\r", "\x00"])
def test_only_line_ends_end_a_line(separator, write):
    text = f"one{separator}text"
    examples = read_classification(write("a.tsv", f"sentence\tlabel\n{text}\t0\nb\t1\n"))
    assert examples.texts == (text, "b")


def test_pairs_by_name_and_by_default(write):
    path = write("pairs.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tno\n1\tc\td\tyes\n")
    by_default = read_classification(path)
    assert (by_default.texts, by_default.pairs) == (("a", "c"), ("b", "d"))
    assert by_default.columns == ("sentence1", "sentence2")
    turned = read_classification(path, text_column="sentence2", pair_column="index")
    assert (turned.texts, turned.pairs) == (("b", "d"), ("0", "1"))
    with pytest.raises(ValueError, match="no column 'second'; there are 'index', 'sentence1'"):
        read_classification(path, text_column="sentence1", pair_column="second")
    single = write("single.tsv", "sentence\tlabel\na\tno\n")
    with pytest.raises(ValueError, match="single texts or pairs, not both"):
        read_classification([path, single])


@pytest.mark.parametrize(
    ("values", "labels", "known", "ids"),
    [
        (["10", "9", "-1", "9"], None, ("-1", "9", "10"), (2, 1, 0, 1)),
        (["b", "10", "9"], None, ("10", "9", "b"), (2, 0, 1)),
        (["yes", " no "], None, ("no", "yes"), (1, 0)),
        (["yes", "no"], ["yes", "no", "maybe"], ("yes", "no", "maybe"), (0, 1)),
        (["1", "0", "1"], ["negative", "positive"], ("negative", "positive"), (1, 0, 1)),
        (["2", "1"], ["1", "2"], ("1", "2"), (1, 0)),
        (["2", "1"], [1, 2], ("1", "2"), (1, 0)),
    ],
)
def test_labels_are_words_numbers_or_ids(values, labels, known, ids, write):
    rows = "".join(f"text\t{value}\n" for value in values)
    examples = read_classification(write("a.tsv", "sentence\tlabel\n" + rows), labels=labels)
    assert (examples.labels, examples.label_ids) == (known, ids)


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (["yes", "maybe"], ["no", "yes"], "dev.tsv:3: label 'maybe' is not one of the 2 known: no, yes"),
        (["0", "2"], ["no", "yes"], "dev.tsv:2: label '0' is not one"),
        (["0", "1"], ["1", "2"], "dev.tsv:2: label '0' is not one"),
        (["0", "yes"], ["no", "yes"], "dev.tsv:2: label '0' is not one"),
        (["x", "y"], [f"l{i}" for i in range(30)], r"known: l0, .*l19, \.\.\. \(10 more\)"),
        (["a", "b"], ["a", "b", "a"], "two or more different labels; got a, b, a"),
    ],
)
def test_a_label_that_is_not_known_is_refused(values, labels, message, write):
    rows = "".join(f"text\t{value}\n" for value in values)
    with pytest.raises(ValueError, match=message):
        read_classification(write("dev.tsv", "sentence\tlabel\n" + rows), labels=labels)


def test_json_labels_may_be_numbers_or_true_and_false(write):
    rows = ['{"sentence": "a", "label": true}', '{"sentence": "b", "label": false}']
    assert read_classification(write("a.jsonl", "\n".join(rows))).labels == ("false", "true")
    rows = ['{"sentence": "a", "label": 10}', '{"sentence": "b", "label": 9}']
    assert read_classification(write("b.jsonl", "\n".join(rows))).labels == ("9", "10")


def test_texts_without_labels(write):
    assert read_texts(write("a.txt", "first\r\n\nthird\tpart\n")).texts == ("first", "", "third\tpart")
    assert read_texts(write("a.txt.gz", gzip.compress(b"one\n"))).texts == ("one",)
    assert read_texts(write("one.tsv", "sentence\nfirst\n\nthird\n")).texts == ("first", "", "third")
    pairs = read_texts(write("pairs.csv", "sentence1,sentence2\na,b\n"))
    assert (pairs.texts, pairs.pairs, pairs.columns, len(pairs)) == (("a",), ("b",), ("sentence1", "sentence2"), 1)
    named = read_texts(write("b.jsonl", '{"title": "t", "body": "b", "label": 1}\n'), text_column="title")
    assert (named.texts, named.pairs) == (("t",), None)
    assert read_texts(write("none.txt", "")).texts == ()


def test_texts_from_a_stream():
    assert read_texts(io.BytesIO(b"\xef\xbb\xbfna\xc3\xafve\r\n\nlast")).texts == ("naïve", "", "last")
    assert read_texts(io.StringIO("one\r\ntwo\n", newline="")).texts == ("one", "two")
    latin = io.TextIOWrapper(io.BytesIO("naïve\n".encode()), encoding="latin-1")
    assert read_texts(latin).texts == ("naïve",)
    with pytest.raises(ValueError, match=":2: text must be UTF-8"):
        read_texts(io.BytesIO(b"good\n\xff\n"))


def test_rows_are_read_one_at_a_time(tmp_path):
    """A file larger than the memory can be walked over: the first row comes before the bad third line is met."""
    path = tmp_path / "long.tsv"
    path.write_bytes(b"sentence\tlabel\na\tyes\n\xff\n")
    walk = files.rows(path)
    assert next(walk) == (2, {"sentence": "a", "label": "yes"})
    with pytest.raises(ValueError, match="long.tsv:3"):
        next(walk)


@pytest.mark.parametrize(
    ("name", "size", "counts", "columns"),
    [
        ("sst2/dev.tsv", 872, {"0": 428, "1": 444}, {}),
        ("rte/dev.tsv", 277, {"entailment": 146, "not_entailment": 131}, {}),
        ("chnsenticorp/test.tsv", 1200, {"0": 592, "1": 608}, {"text_column": "text_a"}),
    ],
)
def test_public_sets_have_their_published_sizes(name, size, counts, columns, shared_data):
    examples = read_classification(shared_data / name, **columns)
    assert (len(examples), examples.counts()) == (size, counts)


def test_a_public_csv_set_with_quotes(shared_data):
    named = {"text_column": "text", "label_column": "category"}
    train = read_classification(shared_data / "banking77" / "train.csv", **named)
    test = read_classification(shared_data / "banking77" / "test.csv", **named, labels=train.labels)
    assert (len(train), len(test), len(train.labels)) == (10003, 3080, 77)
    assert set(test.counts().values()) == {40}
