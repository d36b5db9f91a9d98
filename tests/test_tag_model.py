"""Laws of the tagger: decoding and the chain against all sequences, its answers, its loss, and how it is scored.

B sentences, W words, C tags, D width; all sizes differ.
"""

import itertools

import keras
import numpy as np
import pytest
from model_cases import SIZES, T, differ, inputs

import kbert
from kbert.tasks.crf import log_likelihood, log_marginals, log_partition, step_table
from kbert.tasks.tag import Tagger
from kbert.tasks.tag_scores import Answered, answers, table, tagging_scores
from kbert.tasks.viterbi import best_tags, legal_transitions, scheme_of

LABELS = {
    "iob2": ("O", "B-X", "I-X", "B-Y", "I-Y"),
    "bioes": ("O", "B-X", "I-X", "E-X", "S-X"),
    "none": ("N", "V", "A"),
}
LENGTHS = (4, 0, 2)
B, W = 3, 4
MASK = np.arange(W) < np.array(LENGTHS)[:, None]


def drawn(scheme, seed=1):
    size = len(LABELS[scheme])
    random = np.random.default_rng(seed)
    return random.normal(size=[B, W, size]).astype("float32"), random.normal(size=[size, size]).astype("float32")


def sequences(logits, steps, length):
    """All sequences of one sentence with their scores."""
    border = logits.shape[1]
    for tags in itertools.product(range(border), repeat=length):
        path = [border, *tags, border]
        yield (
            tags,
            sum(logits[w, t] for w, t in enumerate(tags)) + sum(steps[a, b] for a, b in itertools.pairwise(path)),
        )


@pytest.mark.parametrize("with_transitions", [False, True])
@pytest.mark.parametrize("scheme", LABELS)
def test_decoding_finds_the_best_of_all_legal_sequences(scheme, with_transitions):
    logits, transitions = drawn(scheme)
    legal = legal_transitions(LABELS[scheme], scheme)
    steps = np.pad(transitions * with_transitions, [[0, 1], [0, 1]])
    best = np.asarray(best_tags(logits, np.array(LENGTHS, "int32"), legal, transitions if with_transitions else None))
    for row, length in enumerate(LENGTHS):
        border = len(LABELS[scheme])
        every = [
            (score, tags)
            for tags, score in sequences(logits[row], steps, length)
            if length == 0 or all(legal[a, b] for a, b in itertools.pairwise([border, *tags, border]))
        ]
        assert best[row].tolist() == [*max(every)[1], *[-1] * (W - length)]


@pytest.mark.parametrize("scheme", LABELS)
def test_the_chain_sums_over_all_sequences(scheme):
    logits, transitions = drawn(scheme)
    steps = np.asarray(step_table(transitions, legal_transitions(LABELS[scheme], scheme)))
    tags = np.random.default_rng(2).integers(0, len(LABELS[scheme]), [B, W])
    sums = np.asarray(log_partition(logits, MASK, steps))
    likely = np.asarray(log_likelihood(logits, tags, MASK, steps))
    marginals = np.exp(np.asarray(log_marginals(logits, MASK, steps)))
    for row, length in enumerate(LENGTHS):
        every = dict(sequences(logits[row], steps, length))
        total = np.logaddexp.reduce(list(every.values()))
        assert sums[row] == pytest.approx(total, abs=1e-4)
        assert likely[row] == pytest.approx(every[tuple(tags[row, :length])] - total, abs=1e-4)
        for word in range(length):
            shares = np.zeros(len(LABELS[scheme]))
            for path, score in every.items():
                shares[path[word]] += np.exp(score - total)
            np.testing.assert_allclose(marginals[row, word], shares, atol=1e-5)


def test_words_that_are_not_there_are_stepped_over():
    logits, transitions = drawn("iob2")
    steps = np.asarray(step_table(transitions, legal_transitions(LABELS["iob2"], "iob2")))
    holes = np.array([[True, False, False, True]])
    packed = log_partition(logits[:1, [0, 3]], np.ones([1, 2], bool), steps)
    assert differ(log_partition(logits[:1], holes, steps), packed) < 1e-5


def test_schemes_are_told_by_labels():
    assert [scheme_of(labels) for labels in LABELS.values()] == list(LABELS)


def tagger(crf=False, seed=4, scheme="iob2", **changes):
    return Tagger(kbert.BertConfig(**{**SIZES, **changes}), labels=LABELS[scheme], seed=seed, crf=crf)


def asked():
    positions = np.array([[1, 2, 3], [5, 1, 0], [2, -1, 1], [4, 0, 0], [1, 0, 0]], "int32")
    return {**inputs(), "word_positions": positions}


def test_a_word_is_answered_for_by_its_first_piece():
    model, given = tagger(), asked()
    tokens = np.asarray(model(inputs()))
    words = np.asarray(model(given))
    assert (tokens.shape, words.shape) == ((5, T, 5), (5, 3, 5))
    for row, positions in enumerate(given["word_positions"]):
        for word, position in enumerate(positions):
            assert differ(words[row, word], tokens[row, max(position, 0)]) < 1e-5


@pytest.mark.parametrize("crf", [False, True])
def test_the_loss_is_the_mean_of_a_word(crf):
    model, given = tagger(crf, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), asked()
    weights = (given["word_positions"] > 0).astype("float32")
    tags = np.random.default_rng(3).integers(0, 5, weights.shape)
    model.compile()
    logits = np.asarray(model(given))
    if crf:
        model.chain.transitions.assign(np.random.default_rng(5).normal(size=[5, 5]) / 100)
        steps = step_table(model.transitions(), model.legal)
        losses = -np.asarray(log_likelihood(logits, tags, weights > 0, steps))
    else:
        shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        losses = -np.take_along_axis(shifted, tags[..., None], 2)[..., 0] * weights
    found = model.evaluate(given, tags, sample_weight=weights, batch_size=5, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(losses.sum() / weights.sum(), rel=1e-4)


@pytest.mark.parametrize("crf", [False, True])
def test_it_learns_and_comes_back_from_a_file(crf, tmp_path):
    model, given = tagger(crf, hidden_dropout_prob=0.0), asked()
    weights = (given["word_positions"] > 0).astype("float32")
    tags = np.array([[1, 2, 0], [0, 1, 0], [0, 0, 3], [1, 0, 0], [3, 0, 0]])
    model.compile(keras.optimizers.Adam(0.01))
    losses = model.fit(given, tags, sample_weight=weights, epochs=20, batch_size=5, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    names = {name for name in model.named_weights() if name.startswith(("classifier", "crf"))}
    assert names == {"classifier/kernel", "classifier/bias", *(["crf/transitions"] if crf else [])}
    assert not crf or differ(model.transitions(), 0 * model.transitions()) > 0.1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.labels, again.crf, again.scheme) == (LABELS["iob2"], crf, "iob2")
    assert differ(again(given), model(given)) < 1e-6
    assert differ(again.transitions(), model.transitions()) == 0


@pytest.mark.parametrize("crf", [False, True])
def test_a_preset_keeps_the_chain_and_the_scheme(crf, tmp_path, tiny_vocabulary):
    from kbert.saving import save_model

    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    config = kbert.BertConfig(**{**SIZES, "vocab_size": 28})
    model = Tagger(config, tokenizer=tokenizer, labels=LABELS["bioes"], crf=crf)
    if crf:
        model.chain.transitions.assign(np.random.default_rng(5).normal(size=[5, 5]))
    folder = save_model(tmp_path / "preset", model)
    again = Tagger.from_preset(str(folder))
    assert (again.crf, again.scheme, again.labels, again.new_weights) == (crf, "bioes", LABELS["bioes"], ())
    assert differ(again.transitions(), model.transitions()) < 1e-6
    assert '"BertForTokenClassification"' in (folder / "config.json").read_text()


def test_scores_join_windows_and_count_words_without_pieces():
    model, given = tagger(), asked()
    tags = np.array([[1, 2, 2], [2, 2, 0], [0, 1, 2], [1, 0, 0], [3, 0, 0]])
    found = answers(model, [({**given, "text_numbers": np.array([0, 0, 1, 2, 2])}, tags)])
    assert [sentence.right.tolist() for sentence in found] == [[1, 2, 2, 2, 2], [0, 1, 2], [1, 3]]
    assert found[1].said[1] == 0  # "O" where nothing of the word is left
    apart = answers(model, [(given, tags)])
    assert [len(sentence.right) for sentence in apart] == [3, 2, 3, 1, 1]
    scores = tagging_scores(found, model.labels)
    assert (scores["sentences"], scores["words"]) == (3, 10)
    with pytest.raises(ValueError, match="at least one example"):
        answers(model, [])


def test_figures_are_those_of_conlleval():
    def answered(right, said):
        index = LABELS["iob2"].index
        return Answered(np.array([*map(index, right)]), np.array([*map(index, said)]), np.zeros(len(right)))

    sentences = [
        answered(["B-X", "I-X", "O", "B-Y", "O"], ["B-X", "I-X", "O", "O", "B-Y"]),
        answered(["B-X", "B-X"], ["B-X", "I-X"]),
        answered(["O", "B-Y", "O"], ["O", "B-Y", "O"]),
    ]
    scores = tagging_scores(sentences, LABELS["iob2"])
    # right: X 0-2, Y 3, X 0, X 1, Y 1; said: X 0-2, Y 4, X 0-2, Y 1; both: X 0-2, Y 1
    assert (scores["precision"], scores["recall"]) == (pytest.approx(2 / 4), pytest.approx(2 / 5))
    assert scores["types"]["Y"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert scores["accuracy"] == pytest.approx(7 / 10)
    assert any(line.startswith("Y") and line.endswith("2") for line in table(scores))


def test_labels_that_cannot_be_tags_are_refused():
    for labels, scheme, message in (
        (["O"], None, "two at least"),
        (["O", "O"], None, "all different"),
        (["O", "B-X"], "bioes", "scheme is one of"),
        (["I-X", "I-Y"], None, "a sentence can begin with"),
    ):
        with pytest.raises(ValueError, match=message):
            Tagger(kbert.BertConfig(**SIZES), labels=labels, scheme=scheme)
