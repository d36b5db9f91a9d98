"""Laws of answers: one decoding for files and served models, which is run_squad.py's; answers are parts of contexts.

B questions, W windows, T tokens.
"""

import json

import numpy as np
import pytest
import tensorflow as tf
from qa_cases import ASKED, CONTEXTS, MAX_LENGTH, QUERY, QUESTIONS, SIZES, STRIDE, reader, run_squad

import export
from export.answers import Decoding, window_spans
from export.nbest import answer_questions, with_threshold, write_predictions
from export.saved_model import serving_of
from pipelines import question_answering, read_questions
from pipelines.tasks.qa import QuestionAnsweringExamples


@pytest.fixture(scope="module")
def model(tiny_vocabulary):
    return reader(tiny_vocabulary)


@pytest.fixture(scope="module")
def serving(model):
    return serving_of(model, MAX_LENGTH, doc_stride=STRIDE, max_query_length=QUERY)


def ask(serve, questions=QUESTIONS, contexts=CONTEXTS):
    answers = serve(tf.constant(list(questions), tf.string), tf.constant(list(contexts), tf.string))
    return {name: values.numpy() for name, values in answers.items()}


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(3, 4), Decoding(20, 2)])
def test_candidates_are_those_of_run_squad(decoding, model):
    expected = run_squad(model, ASKED, decoding)
    for answer in answer_questions(model, ASKED, decoding, batch_size=3, **SIZES):
        candidates, null = expected[answer.id]
        assert [candidate.text for candidate in answer.candidates] == [text for text, _, _ in candidates]
        scores = [(one.start_logit, one.end_logit) for one in answer.candidates]
        np.testing.assert_allclose(scores, [row[1:] for row in candidates] or np.zeros([0]), atol=1e-5)
        assert answer.null.score == pytest.approx(null[0], abs=1e-5)
        place = ASKED.ids.index(answer.id)
        for one in answer.candidates:
            assert one.text and CONTEXTS[place][one.start : one.end] == one.text


@pytest.mark.parametrize(("n_best", "longest", "silent"), [(20, 30, 0), (20, 30, 2), (9, 3, 2)])
def test_what_is_served_is_what_is_scored(n_best, longest, silent, model, serving):
    answers = answer_questions(model, ASKED, Decoding(n_best, longest), batch_size=2, **SIZES)
    threshold = float(np.median([answer.null_odds for answer in answers])) if silent else None
    answers = with_threshold(answers, threshold)
    assert sum(not answer.said.text for answer in answers) == silent
    serving.decoding = Decoding(n_best, longest, threshold)
    served = ask(serving.serve)
    for row, answer in enumerate(answers):
        said = answer.said
        assert served["answer"][row].decode() == said.text
        assert (served["start"][row], served["end"][row]) == (said.start, said.end)
        assert served["score"][row] == pytest.approx(answer.best.score, abs=1e-5)
        assert served["null_score"][row] == pytest.approx(answer.null.score, abs=1e-5)


def test_thresholds_silence_a_model(model, serving):
    serving.decoding = Decoding(null_score_diff_threshold=-100.0)
    answers = ask(serving.serve)
    assert answers["answer"].tolist() == [b""] * 4 and answers["start"].tolist() == answers["end"].tolist() == [-1] * 4
    assert all(np.abs(answers["score"]) > 0)  # that of the best answer, whatever is said
    serving.decoding = Decoding(null_score_diff_threshold=100.0)
    loud = ask(serving.serve)
    assert all(loud["answer"]) and loud["score"].tolist() == answers["score"].tolist()
    said = answer_questions(model, ASKED, Decoding(null_score_diff_threshold=-100.0), **SIZES)
    assert {answer.said.text for answer in said} == {""}
    assert all(answer.said.text for answer in with_threshold(said, 100.0))


def test_odd_texts_and_empty_ones_are_answered(serving):
    questions = ("the cat", "", "\U0001f642", "the " * 50, "dog", b"\xff\xfe")
    contexts = ("", "the cat sat", " \t\n", "a dog . " * 40, "na\u00efve \x00 nul", b"bad \xff\xfe utf-8 \xc3 the cat")
    serving.decoding, serve = Decoding(), tf.function(serving.serve)
    together = ask(serve, questions, contexts)
    for row in (0, 2):
        assert (together["answer"][row], together["start"][row], together["end"][row]) == (b"", -1, -1)
        assert together["score"][row] == 0
    for row, context in enumerate(contexts):
        alone = ask(serve, questions[row : row + 1], [context])
        for name, values in alone.items():
            assert values[0] == pytest.approx(together[name][row], abs=1e-5), name
        readable = context if isinstance(context, str) else context.decode("utf-8", "replace")
        if together["start"][row] >= 0:
            part = readable[together["start"][row] : together["end"][row]]
            assert part and (isinstance(context, bytes) or part == together["answer"][row].decode())
    assert {name: len(values) for name, values in ask(serve, [], []).items()} == dict.fromkeys(together, 0)


def test_an_export_answers_as_its_model(tiny_vocabulary, tmp_path):
    model = reader(tiny_vocabulary, null_score_diff_threshold=0.5)
    settings = {"doc_stride": STRIDE, "max_query_length": QUERY, "max_answer_length": 6}
    folder = export.saved_model(model, tmp_path / "qa", max_length=MAX_LENGTH, **settings)
    loaded = tf.saved_model.load(str(folder))
    answers = loaded.signatures["serving_default"](question=tf.constant(QUESTIONS), context=tf.constant(CONTEXTS))
    expected = answer_questions(model, ASKED, Decoding(max_answer_length=6), **SIZES)
    assert [text.decode() for text in answers["answer"].numpy()] == [answer.said.text for answer in expected]
    assert {name: (spec.dtype.name, len(spec.shape)) for name, spec in answers.items()} == {
        "answer": ("string", 1),
        "start": ("int32", 1),
        "end": ("int32", 1),
        "score": ("float32", 1),
        "null_score": ("float32", 1),
    }
    rows = loaded.signatures["tokenize"](question=tf.constant(QUESTIONS), context=tf.constant(CONTEXTS))
    assert rows["input_mask"].shape[0] > len(QUESTIONS)
    of_rows = loaded.signatures["from_ids"](**rows)
    best = of_rows["score"].numpy().max()
    assert best >= answers["score"].numpy().max() - 1e-5  # windows alone may start where another shows more
    ids = rows["input_word_ids"].numpy()
    for row, (start, end) in enumerate(zip(of_rows["start"].numpy(), of_rows["end"].numpy(), strict=True)):
        assert (start, end) == (-1, -1) or 3 not in ids[row][start : end + 1]
        assert start == -1 or rows["input_type_ids"].numpy()[row][start] == 1


def test_files_are_those_of_run_squad(model, tmp_path):
    answers = answer_questions(model, ASKED, **SIZES)
    names = [path.name for path in write_predictions(tmp_path / "one", answers, 3)]
    assert names == ["predictions.json", "nbest_predictions.json"]
    files = write_predictions(tmp_path / "two", with_threshold(answers, 0.0), 3)
    said, nbest, odds = (json.loads(path.read_text("utf-8")) for path in files)
    assert files[2].name == "null_odds.json" and list(said) == list(nbest) == list(odds) == list(ASKED.ids)
    for answer in answers:
        rows = nbest[answer.id]
        assert list(rows[0]) == ["text", "probability", "start_logit", "end_logit"]
        assert sum(row["probability"] for row in rows) == pytest.approx(1)
        assert [row["text"] for row in rows].count("") == 1
        best = next(row for row in rows if row["text"])
        score = best["start_logit"] + best["end_logit"]
        null = next(row["start_logit"] + row["end_logit"] for row in rows if not row["text"])
        assert odds[answer.id] == pytest.approx(null - score)
        assert said[answer.id] == ("" if odds[answer.id] > 0 else best["text"])


def test_window_spans_keep_to_what_is_allowed():
    """Logits that favour a forbidden start, a reversed span and one too long."""
    start = tf.constant([[9.0, 1.0, 5.0, 4.0, -1e4]])
    end = tf.constant([[9.0, 8.0, 3.0, 2.0, -1e4]])
    inside = tf.constant([[False, True, True, True, False]])
    spans = window_spans(start, end, inside & [[True, False, True, True, True]], inside, Decoding(5, 1), 4)
    assert spans.starts.numpy().tolist() == [[2, 3, -1, -1]] and spans.ends.numpy().tolist() == [[2, 3, -1, -1]]
    assert spans.totals.numpy()[0, :2].tolist() == [8.0, 6.0] and spans.start_logits.numpy()[0, 2:].tolist() == [0, 0]
    with pytest.raises(ValueError, match="n_best_size is 1 at least; got 0"):
        Decoding(0).check()


def test_the_loss_is_the_mean_of_two_cross_entropies(model):
    examples = QuestionAnsweringExamples(
        *ASKED.__dict__.values(),
        answers=(("cat",), ("Unhappy",), ("cats",), ()),
        spans=((4, 7), (2, 9), (0, 4), (-1, -1)),
    )
    batches = question_answering(examples, model.tokenizer_spec, batch_size=50, **SIZES)
    model.compile()
    (inputs, labels), losses = next(iter(batches)), []
    logits = model(inputs)
    for name in ("start", "end"):
        own = tf.nn.log_softmax(logits[f"{name}_logits"]).numpy()
        losses.append(-own[np.arange(len(own)), labels[f"{name}_positions"]].mean())
    told = model.evaluate(batches, verbose=0, return_dict=True)
    assert told["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    padding = inputs["input_mask"].numpy() == 0
    assert padding.any() and (logits["end_logits"].numpy()[padding] == -1e4).all()


def test_training_finds_the_answers(tiny_vocabulary, tmp_path):
    lines = [
        {
            "question": "very good" if number % 3 else "a film ?",
            "context": ("the cat sat . it ran", "it was a dog , not good")[number % 2],
            "answers": [("cat", "dog")[number % 2]],
        }
        for number in range(24)
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    model = reader(tiny_vocabulary)
    train = question_answering(path, model.tokenizer_spec, batch_size=8, seed=0, max_length=16)
    model.compile("adam")
    model.optimizer.learning_rate = 0.02
    model.fit(train, epochs=30, verbose=0)
    assert model.scores(train)["exact"] > 0.9
    said = answer_questions(model, read_questions(path), max_length=16)
    assert np.mean([one.said.text == line["answers"][0] for one, line in zip(said, lines, strict=True)]) > 0.9
