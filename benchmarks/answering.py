"""MiniLM trained to answer SQuAD 1.1 from its contexts, on a split by article: python -m benchmarks.answering train ...

Recipe: 3 epochs, batches of 32 windows, rate 1e-4 with a warm-up over a tenth, decay 0.01, rows of 384 tokens at most,
windows every 128 tokens; the last weights are taken. The time is of all epochs, reading and tokenizing included. Seeds
follow one another, and what each gave is kept under --scratch. `benchmarks.answering_torch` does the same with
transformers; both are scored by `kbert.tasks.qa_scores`.
"""

import json
from pathlib import Path

from benchmarks.ours import PRESET
from benchmarks.squad import EPOCHS, MAX_LENGTH, QUERY, RATE, STRIDE, WARM_UP, folder_of, questions, split, tell
from benchmarks.stages import Found, stage
from benchmarks.worker import BATCH, Job, lap, use_two_threads, work

SIZES = {"batch_size": BATCH, "max_length": MAX_LENGTH, "doc_stride": STRIDE, "max_query_length": QUERY}


def train(job: Job) -> None:
    """A run a seed; prints F1, exact match, time and rate."""
    for seed in range(job.seed, job.seed + job.seeds):
        tell(stage(folder_of(job), f"kbert-{seed}", lambda seed=seed: learn(job, seed)), seed)


def learn(job: Job, seed: int) -> Found:
    """Trains once and asks the test set."""
    use_two_threads()
    import kbert
    from export.nbest import answer_questions
    from kbert.tasks.qa_scores import squad_scores
    from pipelines import question_answering, read_question_answering

    paths = {name: written(part, name, job) for name, part in split(job.data).items()}
    model = kbert.SpanReader.from_preset(PRESET, seed=seed, dtype=job.dtype)

    def fit():
        batches = question_answering(str(paths["train"]), model.tokenizer_spec, seed=seed, **SIZES)
        model.compile(kbert.adamw(RATE, total_steps=EPOCHS * int(batches.cardinality()), warmup=WARM_UP))
        model.fit(batches, epochs=EPOCHS, verbose=0)

    spent = lap(fit)
    test = read_question_answering(paths["test"])
    said = {answer.id: answer.said.text for answer in answer_questions(model, test, **SIZES)}
    count = EPOCHS * len(read_question_answering(paths["train"]))
    scores = squad_scores(test.gold, said)
    return {**scores, "seconds": spent.wall, "cpu_seconds": spent.cpu, "questions": count}


def written(part: dict, name: str, job: Job) -> Path:
    """The questions of a part as a file that `pipelines` reads."""
    path = job.scratch / f"squad-{name}.jsonl"
    rows = [
        {
            "id": asked.id,
            "question": asked.question,
            "context": asked.context,
            "answers": [{"text": text, "answer_start": start} for text, start in asked.answers],
        }
        for asked in questions(part, job.amounts.training_examples)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


if __name__ == "__main__":
    work({"train": train}, __doc__)
