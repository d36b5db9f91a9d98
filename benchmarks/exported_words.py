"""What `benchmarks.exported` asks of the tasks that answer with words of a text: see `benchmarks.exported_trials`."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks import squad
from benchmarks.exported_trials import EPOCHS, SIZES, Answer, Rows, Trial, asked, spread, train
from benchmarks.ours import PRESET
from benchmarks.tagging import CONLL
from benchmarks.texts import read_books, read_sst2, write_lines
from benchmarks.worker import BATCH, MAX_LENGTH, Job


def tag(job: Job) -> Trial:
    """CoNLL-2003: words with a space between; both tag the words that the tokenizer finds, parted at punctuation."""
    import kbert
    from kbert.tasks.classify_scores import softmax
    from kbert.tasks.tag_scores import answers
    from pipelines import read_tagging, tagging

    taught = read_tagging(job.data / CONLL[0])
    model = kbert.Tagger.from_preset(PRESET, labels=taught.labels)
    train(job, model, tagging(taught, model.tokenizer_spec, seed=0, epochs=EPOCHS, **SIZES))
    whole = read_tagging(job.data / CONLL[1], labels=taught.labels)
    rows = spread(range(len(whole)), asked(job))
    kept = {name: tuple(getattr(whole, name)[row] for row in rows) for name in ("words", "tag_ids", "texts", "starts")}
    dev = replace(whole, **kept)
    batches = tagging(dev, model.tokenizer_spec, parts=True, **SIZES)

    def evaluate():
        logits = [  # of all words in order; rows of one sentence follow one another
            model.predict_on_batch(inputs)[inputs["word_positions"].numpy() > 0] for inputs, *_ in batches
        ]
        likely, start, found = softmax(np.concatenate(logits)), 0, []
        for sentence in answers(model, batches):
            part = likely[start : start + len(sentence.said)]
            numbers = part[np.arange(len(part)), sentence.said]
            found.append(Answer(tuple(model.labels[number] for number in sentence.said), numbers))
            start += len(part)
        return found

    def read(rows: Rows) -> list[Answer]:
        counts = [int((row["starts"] >= 0).sum()) for row in rows]
        return [
            Answer(tuple(name.decode() for name in row["tags"][:count]), row["scores"][:count])
            for row, count in zip(rows, counts, strict=True)
        ]

    return Trial(model, {"text": [" ".join(words) for words in dev.words]}, evaluate, read)


def qa(job: Job) -> Trial:
    """SQuAD 1.1."""
    import kbert
    from export.nbest import answer_questions
    from pipelines import QuestionAnsweringExamples, question_answering

    def made(questions: Sequence[squad.Asked]) -> QuestionAnsweringExamples:
        first = [one.answers[0] for one in questions]
        return QuestionAnsweringExamples(
            tuple(one.id for one in questions),
            tuple(one.question for one in questions),
            tuple(one.context for one in questions),
            tuple(tuple(text for text, _ in one.answers) for one in questions),
            tuple((start, start + len(text)) for text, start in first),
        )

    parts, sizes = squad.split(job.data), {"max_length": squad.MAX_LENGTH, "doc_stride": squad.STRIDE}
    model = kbert.SpanReader.from_preset(PRESET)
    taught = made(spread(squad.questions(parts["train"]), 2000))
    train(
        job, model, question_answering(taught, model.tokenizer_spec, batch_size=16, seed=0, epochs=EPOCHS, **sizes), 60
    )
    dev = made(spread(squad.questions(parts["test"]), asked(job)))

    def evaluate():
        return [
            Answer((one.said.text, one.said.start, one.said.end), np.array([one.best.score, one.null.score]))
            for one in answer_questions(model, dev, **sizes)
        ]

    def read(rows: Rows) -> list[Answer]:
        return [
            Answer(
                (row["answer"].decode(), int(row["start"]), int(row["end"])),
                np.array([row["score"], row["null_score"]]),
            )
            for row in rows
        ]

    return Trial(model, {"question": dev.questions, "context": dev.contexts}, evaluate, read, sizes)


def fill_mask(job: Job) -> Trial:
    """SST-2's texts of three words and more."""
    import tensorflow as tf

    import kbert
    from kbert.tasks.classify_scores import softmax
    from pipelines import Corpus, PretrainingData, WordPiece, pack, pretraining
    from pipelines.vocab import MASK

    model = kbert.Pretrainer.from_preset(PRESET, next_sentence=False)
    books = write_lines(job.scratch / "exported-books.txt", read_books(job.data, min(2, job.amounts.megabytes)))
    data = PretrainingData(max_length=MAX_LENGTH, objective="contiguous", short_share=0)
    train(job, model, pretraining(Corpus.find(books), model.tokenizer_spec, data, batch_size=16), rate=1e-3)
    split = [text.split() for text in read_sst2(job.data, "dev").texts]
    split = spread([words for words in split if len(words) > 2], asked(job))
    texts = [" ".join([*words[: len(words) // 2], MASK, *words[len(words) // 2 + 1 :]]) for words in split]
    wordpiece = WordPiece.from_spec(model.tokenizer_spec, keep_special=True)

    def evaluate():
        found = []
        for start in range(0, len(texts), BATCH):
            inputs = pack([wordpiece.tokenize(texts[start : start + BATCH])], wordpiece, MAX_LENGTH)
            places = tf.argmax(inputs["input_word_ids"] == wordpiece.mask_id, axis=1, output_type=tf.int32)
            said = model.predict_on_batch({**inputs, "masked_lm_positions": places[:, None]})["masked_tokens"][:, 0]
            for row in softmax(said):
                best = np.argsort(-row, kind="stable")[:5]
                found.append(Answer(tuple(wordpiece.vocabulary[token] for token in best), row[best]))
        return found

    def read(rows: Rows) -> list[Answer]:
        return [Answer(tuple(token.decode() for token in row["tokens"][0]), row["scores"][0]) for row in rows]

    return Trial(model, {"text": texts}, evaluate, read)
