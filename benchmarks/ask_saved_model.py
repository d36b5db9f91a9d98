"""Asks an exported classifier about a few sentences: TensorFlow and its text operations, and nothing of kbert.

python benchmarks/ask_saved_model.py SAVED_MODEL ["a sentence" ...]
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_text  # noqa: F401 - its operations are in the graph

SENTENCES = (
    "Draws a vertical line at the given position of the axes.",
    "Computes the eigenvalues of a symmetric matrix.",
    "Fits the estimator to the training data and returns itself.",
    "A layer that normalizes the activations of the previous layer.",
    "Returns a tensor whose values lie on the diagonal.",
    "Lexer for a small functional language.",
    "Reads the glyphs of a font and their outlines.",
    "Finds the root of a function by bisection.",
)


def main(folder: str, sentences: list[str]) -> None:
    """Prints a line a sentence: the label, its score, the sentence."""
    loaded = tf.saved_model.load(folder)
    answers = loaded.signatures["serving_default"](text=tf.constant(sentences))
    labels = [label.decode() for label in answers["label"].numpy()]
    width = max(map(len, labels))
    print(f"{'label':<{width}}  score  text")
    for label, scores, sentence in zip(labels, answers["scores"].numpy(), sentences, strict=True):
        print(f"{label:<{width}}  {scores.max():.3f}  {sentence}")
    if {name.partition(".")[0] for name in sys.modules} & {"kbert", "pipelines", "export"}:
        raise SystemExit("This process was to answer without kbert, and has loaded it.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2:] or list(SENTENCES))
