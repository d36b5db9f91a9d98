"""kbert's exported SavedModel, strings in and labels out, in a process of TensorFlow alone."""

from benchmarks.ours import saved_model_folder
from benchmarks.texts import questions
from benchmarks.worker import Job, say_classified, use_two_threads, work


def classify(job: Job) -> None:
    """Labels texts through serving_default."""
    tf = use_two_threads()
    import tensorflow_text  # noqa: F401 - its operations are in the graph

    loaded = tf.saved_model.load(str(saved_model_folder(job.scratch)))
    serve = loaded.signatures["serving_default"]
    say_classified(lambda texts: serve(text=tf.constant(texts))["label"].numpy(), questions(job.data), job.amounts)


if __name__ == "__main__":
    work({"classify": classify}, __doc__)
