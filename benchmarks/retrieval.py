"""Vectors of a published model, without training: similarity and search.

python -m benchmarks.retrieval {similarity,search} --data DIR [--dtype mixed_bfloat16]

Similarity: STS-B dev, Spearman's correlation of cosines with people's scores. Search: Cranfield, every document with
its title, texts of 256 tokens at most, nDCG@10 with gains 0 and 1; once with the judgements of degree 1 to
4, and once with those of -1 as well.
"""

from benchmarks.embedding_texts import read_cranfield, read_stsb
from benchmarks.ours import PRESET
from benchmarks.worker import Job, lap, say, say_rate, use_two_threads, work

MAX_LENGTH = 256


def vectors(job: Job, texts: list[str], told: str):
    """Vectors of texts [N, D]; prints the rate."""
    from kbert.cli.embedding import embed, open_embedder

    model, made = open_embedder(PRESET, dtype=job.dtype), []
    spent = lap(lambda: made.append(embed(model, texts, max_length=MAX_LENGTH)))
    say_rate(told, len(texts), "texts", spent)
    return made[0]


def similarity(job: Job) -> None:
    """Prints Spearman's and Pearson's correlations, in percent."""
    use_two_threads()
    from kbert.tasks.embed_scores import correlations, cosine

    few = job.amounts.training_examples
    first, second, scores = (column[:few] for column in read_stsb(job.data))
    found = vectors(job, [*first, *second], "STS-B texts embedded")
    for name, value in correlations(scores, cosine(found[: len(first)], found[len(first) :])).items():
        say(f"STS-B dev, {name}", value * 100, "%", note=f"{len(scores)} pairs, no training")


def search(job: Job) -> None:
    """Prints figures of Cranfield's searches, in percent."""
    use_two_threads()
    from kbert.tasks.embed_scores import retrieval_scores

    documents, queries, _ = read_cranfield(job.data)
    few = job.amounts.training_examples or len(documents)
    found = vectors(job, [*documents[:few], *queries], "Cranfield texts embedded")
    for told, least in (("Cranfield", 1), ("Cranfield, all judgements", -1)):
        relevant = read_cranfield(job.data, least).relevant
        gains = [{place: 1.0 for place in places if place < few} for places in relevant]
        for name, value in retrieval_scores(found[few:], found[:few], gains).items():
            note = f"{few} documents, {len(queries)} queries, no training"
            say(f"{told}, {name}", value * 100, "%", note=note)


if __name__ == "__main__":
    work({"similarity": similarity, "search": search}, __doc__)
