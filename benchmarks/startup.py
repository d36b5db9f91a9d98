"""What is paid before the first answer, and the memory it takes: python -m benchmarks.startup WORK --data DIR.

Each work is a fresh process; `commands` starts further ones.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.ours import PRESET, saved_model_folder
from benchmarks.texts import questions, sst2_file
from benchmarks.worker import BATCH, LABELS, LEARNING_RATE, MAX_LENGTH, Job, megabytes, say, use_two_threads, work

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "python -c 'import kbert'": ("-c", "import kbert"),
    "python -m kbert --help": ("-m", "kbert", "--help"),
    "python -c 'import tensorflow'": ("-c", "import tensorflow"),
}


def commands(job: Job) -> None:
    """Whole processes, from their start to their end; the first start, which fills caches, does not count."""
    for name, words in COMMANDS.items():
        starts = [start(words) for _ in range(job.amounts.passes + 1)][1:]
        seconds, cpu_ms, peaks = (statistics.median(column) for column in zip(*starts, strict=True))
        say(name, seconds, "s", cpu_ms, peak_mb=peaks)


def start(words: tuple[str, ...]) -> tuple[float, float, float]:
    """Runs a Python to its end: seconds, milliseconds of all its threads, million bytes at most.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # what subprocess itself does, with the resources used
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return seconds, (usage.ru_utime + usage.ru_stime) * 1e3, megabytes(usage)


def training(job: Job) -> None:
    """To the end of the first step of fine-tuning, part by part."""
    began = time.perf_counter()
    stage("import kbert's model, pipelines, TensorFlow", import_all)
    import kbert
    import pipelines

    model = stage("open the preset", lambda: kbert.Classifier.from_preset(PRESET, labels=LABELS))
    train = stage(
        "open the training file",
        lambda: pipelines.classification(
            str(sst2_file(job.data, "train")),
            model.tokenizer_spec,
            batch_size=BATCH,
            max_length=MAX_LENGTH,
            seed=job.seed,
        ),
    )
    stage("first batch of the pipeline", lambda: next(iter(train)))
    model.compile(kbert.adamw(LEARNING_RATE, total_steps=100))
    stage("first step of fit", lambda: model.fit(train.take(1), verbose=0))
    say("all, to the end of the first step", time.perf_counter() - began, "s")


def import_all() -> None:
    """What a training script imports."""
    use_two_threads()
    import kbert
    import pipelines  # noqa: F401

    kbert.Classifier  # noqa: B018 - names load on first use


def serving(job: Job) -> None:
    """To the first answers of a SavedModel, part by part."""
    began = time.perf_counter()
    tf = stage("import TensorFlow and its text operations", import_tensorflow)
    folder = str(saved_model_folder(job.scratch))
    loaded = stage("load the SavedModel", lambda: tf.saved_model.load(folder))
    serve, texts = loaded.signatures["serving_default"], questions(job.data)
    stage("first answer", lambda: serve(text=tf.constant(texts[:1])))
    stage("first batch of 32", lambda: serve(text=tf.constant(texts[:BATCH])))
    say("all, to the first batch of answers", time.perf_counter() - began, "s")


def import_tensorflow():
    """TensorFlow, with the operations of a served graph."""
    tf = use_two_threads()
    import tensorflow_text  # noqa: F401

    return tf


def stage(name: str, call: Callable):
    """Does a part, prints its seconds, and gives what it gave."""
    began, cpu = time.perf_counter(), time.process_time()
    result = call()
    say(name, time.perf_counter() - began, "s", (time.process_time() - cpu) * 1e3)
    return result


if __name__ == "__main__":
    work({"commands": commands, "training": training, "serving": serving}, __doc__)
