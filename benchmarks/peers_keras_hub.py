"""KerasHub on the shared work, as its guides use it (padded to 128): python -m benchmarks.peers_keras_hub WORK ...

The classifier has MiniLM's sizes and random weights; neither changes what a step costs.
"""

from benchmarks.texts import count_megabytes, questions, read_books, read_sst2
from benchmarks.worker import (
    BATCH,
    LABELS,
    LEARNING_RATE,
    LINES,
    MAX_LENGTH,
    PREDICTIONS,
    PRETRAINING_MEGABYTES,
    PRETRAINING_RATE,
    THREADS,
    Job,
    lap,
    median_lap,
    say,
    say_classified,
    say_rate,
    use_two_threads,
    work,
)

FULL_LINE = 200  # characters of a line that is worth a row of its own


def build_tokenizer(job: Job):
    """KerasHub's BERT tokenizer with MiniLM's vocabulary."""
    import keras_hub

    return keras_hub.models.BertTokenizer(str(job.minilm / "vocab.txt"), lowercase=True)


def build_backbone(tokenizer, layers: int, heads: int, width: int):
    """An encoder of these sizes with random weights."""
    import keras_hub

    return keras_hub.models.BertBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=layers,
        num_heads=heads,
        hidden_dim=width,
        intermediate_dim=4 * width,
        max_sequence_length=512,
    )


def build_classifier(job: Job):
    """A text classifier of MiniLM's sizes that takes strings."""
    import keras
    import keras_hub

    keras.config.set_dtype_policy(job.dtype)
    tokenizer = build_tokenizer(job)
    backbone = build_backbone(tokenizer, 6, 12, 384)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=MAX_LENGTH)
    return keras_hub.models.BertTextClassifier(backbone, num_classes=len(LABELS), preprocessor=preprocessor)


def tokenize(job: Job) -> None:
    """Lines of books -> ids in a tf.data pipeline."""
    tf = use_two_threads()
    tokenizer = build_tokenizer(job)
    lines = read_books(job.data, job.amounts.megabytes)
    ids = tf.data.Dataset.from_tensor_slices(lines).batch(LINES).map(tokenizer, THREADS).prefetch(THREADS)

    def exhaust():
        for _ in ids:
            pass

    exhaust()
    spent = median_lap(exhaust, job.amounts.passes)
    say_rate("books", count_megabytes(lines), "MB", spent, "not exact WordPiece")


def classify(job: Job) -> None:
    """Texts -> labels."""
    use_two_threads()
    classifier = build_classifier(job)

    def label(texts):
        answers = classifier.predict(list(texts), batch_size=BATCH, verbose=0).argmax(-1)
        return [LABELS[index] for index in answers]

    say_classified(label, questions(job.data), job.amounts, makes_batches=True)


def finetune(job: Job) -> None:
    """Steps of fit on SST-2 in the order of the file."""
    tf = use_two_threads()
    import keras

    classifier = build_classifier(job)
    classifier.compile(
        optimizer=keras.optimizers.AdamW(LEARNING_RATE, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    steps, warm_up = job.amounts.steps, job.amounts.warm_up_steps
    batches = tf.data.Dataset.from_tensor_slices(tuple(read_sst2(job.data, "train"))).batch(BATCH)
    classifier.fit(batches.take(warm_up), verbose=0)
    spent = lap(lambda: classifier.fit(batches.skip(warm_up).take(steps), verbose=0))
    say_rate("fine-tuning", steps * BATCH, "examples", spent, f"{steps} steps")


def pretrain(job: Job) -> None:
    """Steps of fit of a BERT-mini: lines of books that mostly fill a row, cut at its end, masked by its own layer."""
    tf = use_two_threads()
    import keras
    import keras_hub

    keras.config.set_dtype_policy(job.dtype)
    tokenizer = build_tokenizer(job)
    masking = keras_hub.models.BertMaskedLMPreprocessor(
        tokenizer, sequence_length=MAX_LENGTH, mask_selection_length=PREDICTIONS
    )
    model = keras_hub.models.BertMaskedLM(build_backbone(tokenizer, 4, 4, 256), preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.AdamW(PRETRAINING_RATE, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    books = read_books(job.data, min(PRETRAINING_MEGABYTES, job.amounts.megabytes))
    lines = [line for line in books if len(line) > FULL_LINE]

    def batches(first: int, count: int):
        rows = tf.data.Dataset.from_tensor_slices(lines[first * BATCH : (first + count) * BATCH])
        return rows.batch(BATCH, drop_remainder=True).map(masking, THREADS).prefetch(THREADS)

    steps, warm_up = job.amounts.pretraining_steps, job.amounts.warm_up_steps
    model.fit(batches(0, warm_up), verbose=0)
    timed = batches(warm_up, steps)
    tokens = sum(int(tf.math.count_nonzero(inputs["padding_mask"])) for inputs, _, _ in timed)
    spent = lap(lambda: model.fit(timed, verbose=0))
    say_rate("pre-training", tokens, "tokens", spent, f"{steps} steps")
    say("slots that hold a token", 100 * tokens / (steps * BATCH * MAX_LENGTH), "%")


if __name__ == "__main__":
    work({"tokenize": tokenize, "classify": classify, "finetune": finetune, "pretrain": pretrain}, __doc__)
