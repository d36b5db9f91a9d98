"""Laws of question answering's examples: answers found in their contexts, rows as run_squad.py's, mistakes named.

B rows, T tokens.
"""

import gzip
import io
import json

import numpy as np
import pytest

from pipelines import WordPiece, question_answering, read_question_answering, read_questions
from pipelines.tasks.qa import positions, windows_of

CONTEXTS = (
    "the cat sat . a dog ran , the cat sat !",
    "\U0001f642 Unhappy  C\u00e4t\u2026 it was 0 1 2 . the film was very good , not bad ! the dog ran , it sat .",
)
ASKED = (  # id, question, answers with their places, context
    ("first", "the cat ?", [("cat sat", 4)], 0),
    ("second", "a dog ran", [("cat sat", 24), ("dog", 16), ("cow", 9)], 0),
    ("none", "was it ?", [], 0),
    ("far", "good film", [(" not bad", 60), ("bad", 3)], 1),
    ("late", "dog ?", [("it sat", 0)], 1),
)


def squad(asked=ASKED, contexts=CONTEXTS, **changes):
    """The questions as SQuAD's JSON."""
    paragraphs = []
    for number, context in enumerate(contexts):
        rows = [
            {
                "id": name,
                "question": question,
                "answers": [{"text": text, "answer_start": start} for text, start in answers],
                "is_impossible": not answers,
            }
            for name, question, answers, place in asked
            if place == number
        ]
        paragraphs.append({"context": context, "qas": rows})
    return {"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}], **changes}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def answered(examples):
    return [
        context[start:end] if start >= 0 else None
        for context, (start, end) in zip(examples.contexts, examples.spans, strict=True)
    ]


def test_answers_stand_where_they_are_said_to_or_nearest_to_it(write):
    examples = read_question_answering(write("a.json", squad()))
    assert examples.ids == ("first", "second", "none", "far", "late")
    assert answered(examples) == ["cat sat", "cat sat", None, "not bad", "it sat"]
    assert [start for start, _ in examples.spans] == [
        4,
        30,
        -1,
        CONTEXTS[1].index("not bad"),
        CONTEXTS[1].index("it sat"),
    ]
    assert examples.gold["second"] == ("cat sat", "dog", "cow") and examples.gold["none"] == ()
    assert (examples.corrected, examples.unfound, examples.skipped) == (4, 1, ())
    assert examples.has_unanswerable


def test_forms_of_a_file_read_the_same(write):
    whole = read_question_answering(write("a.json", squad()))
    packed = write("b.json.gz", gzip.compress(json.dumps(squad()).encode()))
    assert read_question_answering(packed) == whole
    forms = {
        "objects": lambda answers: [{"text": text, "answer_start": start} for text, start in answers],
        "columns": lambda answers: {"text": [a[0] for a in answers], "answer_start": [a[1] for a in answers]},
    }
    for form, made in forms.items():
        rows = [
            {"id": name, "question": question, "context": CONTEXTS[place], "answers": made(answers)}
            for name, question, answers, place in ASKED
        ]
        lines = "\n".join(map(json.dumps, rows)).encode()
        assert read_question_answering(write(f"{form}.jsonl", lines)) == whole
    table = b"question\tcontext\tanswers\nthe cat ?\tthe dog , the cat\tcat\nwas it ?\tthe dog\t\n"
    table = read_question_answering(write("c.tsv", table))
    assert (table.ids, table.answers, table.spans) == (("1", "2"), (("cat",), ()), ((14, 17), (-1, -1)))


def test_questions_need_no_answers(write):
    unanswered = squad()
    for row in unanswered["data"][0]["paragraphs"][0]["qas"]:
        row.pop("answers")
        row.pop("is_impossible")
    assert len(read_questions(write("a.json", unanswered))) == len(ASKED)
    stream = io.BytesIO("was it ?\tthe c\u00e4t\nempty\t\n".encode())
    asked = read_questions(stream)
    assert (asked.ids, asked.questions, asked.contexts) == (("1", "2"), ("was it ?", "empty"), ("the c\u00e4t", ""))
    with pytest.raises(ValueError, match="Line 1: a tab stands between"):
        read_questions(io.BytesIO(b"no context"))


BAD = {
    "absent": (squad([("q7", "the cat ?", [("cow", 3)], 0)]), "question q7: the answer 'cow' is not in the context"),
    "empty": (squad([("q7", "the cat ?", [], 0)], ["  "]), "question q7: the context is empty"),
    "twice": (squad([ASKED[0], ASKED[0]]), "ids of questions must differ; 'first' is that of"),
    "data": ({"version": 1}, "no key 'data'; there are 'version'"),
    "list": ([1], "must be an object; got list"),
    "key": (squad(data=[{"paragraphs": [{"qas": []}]}]), r"data\[0\].paragraphs\[0\]: no key 'context'"),
    "kind": (squad(data=[{"paragraphs": {"a": 1}}]), r"data\[0\]: 'paragraphs' must be a list"),
    "start": (squad([("q7", "the cat ?", [("cat", "4")], 0)]), "question q7.*'answer_start' must be a number.*'4'"),
    "json": (b'{"data": [', "is one JSON object in UTF-8"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_names_the_file_and_the_question(name, write):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=f"(?s){name}.json.*{message}"):
        read_question_answering(write(f"{name}.json", content))


def test_a_file_without_answers_is_not_for_training(write):
    path = write("a.jsonl", b'{"question": "a", "context": "b"}')
    with pytest.raises(ValueError, match="a.jsonl:1: no key 'answers'"):
        read_question_answering(path)


def test_bad_rows_are_left_out_only_on_request(write):
    rows = [*ASKED, ("q7", "the cat ?", [("cow", 3)], 0), ("q8", "a", [("owl", 3)], 1), ("q9", "a", [(" ", 3)], 1)]
    path = write("a.json", squad(rows))
    with pytest.raises(ValueError, match="3 of 8 questions are otherwise: .*q7.*q8.*q9.*--skip-bad"):
        read_question_answering(path)
    examples = read_question_answering(path, skip_bad=True)
    assert examples.ids == tuple(name for name, *_ in ASKED)
    assert [line.split(":")[1] for line in examples.skipped] == [" question q7", " question q8", " question q9"]
    with pytest.raises(ValueError, match="at least one question is needed; all 1"):
        read_question_answering(write("b.json", squad([rows[-1]])), skip_bad=True)


def rows_of(dataset):
    """(ids, start, end) of every row, padding left off."""
    found = []
    for inputs, labels in dataset.as_numpy_iterator():
        for place, length in enumerate(inputs["input_mask"].sum(1)):
            start, end = (int(labels[f"{name}_positions"][place]) for name in ("start", "end"))
            found.append((tuple(inputs["input_word_ids"][place][:length].tolist()), start, end))
    return found


@pytest.mark.parametrize(("max_length", "stride"), [(32, 9), (13, 1), (11, 7)])
def test_rows_are_windows_that_point_at_their_answers(max_length, stride, write, tiny_spec):
    examples = read_question_answering(write("a.json", squad()))
    rows = rows_of(
        question_answering(examples, tiny_spec, batch_size=3, max_length=max_length, doc_stride=stride, seed=None)
    )
    wordpiece, expected = WordPiece.from_spec(tiny_spec), []
    for question, context, answer in zip(examples.questions, examples.contexts, answered(examples), strict=True):
        asked, read = wordpiece.tokenize([question, context]).to_list()
        sought = wordpiece.tokenize([answer or ""]).to_list()[0]
        room, begin = max_length - 3 - len(asked), 0
        while True:
            window = read[begin : begin + room]
            expected.append(((2, *asked, 3, *window, 3), sought, len(asked) + 2))
            if begin + room >= len(read):
                break
            begin += min(stride, room)
    assert [row for row, _, _ in rows] == [row for row, _, _ in expected]
    assert max(len(row) for row, _, _ in rows) <= max_length
    held = 0
    for (row, start, end), (_, sought, before) in zip(rows, expected, strict=True):
        if start:
            assert start >= before and list(row[start : end + 1]) == sought
            held += 1
        else:
            assert end == 0
    assert 2 <= held < len(rows)


def test_each_answer_is_trained_and_read_back_in_characters(write, tiny_spec):
    examples = read_question_answering(write("a.json", squad()))
    cut, contexts = windows_of(examples, WordPiece.from_spec(tiny_spec), 14, 3, 5)
    starts, ends = positions(cut, contexts, examples.spans)
    owners = cut.contexts.owners.numpy()
    assert set(owners[starts > 0]) == {0, 1, 3, 4}
    places = [np.where(starts > 0, values, -1)[:, None] for values in (starts, ends)]
    first, last = (values.numpy()[:, 0] for values in cut.characters(contexts, *places))
    for row in range(len(owners)):
        expected = examples.spans[owners[row]] if starts[row] else (-1, -1)
        assert (first[row], last[row]) == expected
    token_starts, token_ends = contexts.starts.to_list(), contexts.ends.to_list()
    for row in np.flatnonzero(starts == 0):  # the window does not hold the whole answer
        start, end = examples.spans[owners[row]]
        offsets = zip(token_starts[owners[row]], token_ends[owners[row]], strict=True)
        held = {place for place, (first, last) in enumerate(offsets) if first < end and last > start}
        begin = int(cut.contexts.starts[row])
        assert not held or not held <= set(range(begin, begin + int(cut.contexts.ids.row_lengths()[row])))
    shows = cut.may_start(14).numpy().sum(1)
    assert np.bincount(owners, shows).tolist() == contexts.ids.row_lengths().numpy().tolist()


def test_a_seed_shuffles_the_same_rows(write, tiny_spec):
    path = write("a.json", squad())

    def epoch(seed, number=0):
        epochs = range(number, number + 1)
        sizes = {"batch_size": 2, "max_length": 15, "doc_stride": 4}
        return rows_of(question_answering(path, tiny_spec, seed=seed, epochs=epochs, **sizes))

    assert epoch(1) == epoch(1)
    assert len({tuple(epoch(seed, number)) for seed, number in ((None, 0), (1, 0), (1, 1), (2, 0))}) == 4
    assert sorted(epoch(1)) == sorted(epoch(None))


def test_questions_are_cut_or_refused(write, tiny_spec):
    asked = [("long", "the cat " * 9, [("cat", 4)], 0)]
    path = write("a.json", squad(asked))
    rows = rows_of(question_answering(path, tiny_spec, max_length=11, doc_stride=2, max_query_length=6))
    assert all(row[:8] == (2, *rows[0][0][1:3] * 3, 3) for row, _, _ in rows)
    with pytest.raises(ValueError, match="at most 7 tokens, as max_length is 11.*long has 9.*max_query_length=7"):
        question_answering(path, tiny_spec, max_length=11, max_query_length=9)
    with pytest.raises(ValueError, match="at least one token; blank is ' '"):
        question_answering(write("b.json", squad([("blank", " ", [("cat", 4)], 0)])), tiny_spec, max_length=11)
    with pytest.raises(ValueError, match="max_length is at most 32"):
        question_answering(path, tiny_spec)


@pytest.mark.parametrize(
    ("name", "size", "unanswerable"),
    [
        ("squad/dev-v1.1.reconstructed.json", 10570, 0),
        ("squad/dev-v2.0.reconstructed.json", 11873, 5945),
        ("xquad/xquad.zh.json", 1190, 0),
        ("cmrc2018/cmrc2018_dev.json", 3219, 0),
    ],
)
def test_public_sets_have_their_published_sizes(name, size, unanswerable, shared_data):
    examples = read_question_answering(shared_data / name)
    assert (len(examples), sum(not answers for answers in examples.answers)) == (size, unanswerable)
    for context, answers, (start, end) in zip(examples.contexts, examples.answers, examples.spans, strict=True):
        assert not answers or context[start:end] in [answer.strip() for answer in answers]
