"""Laws of learned word vectors: pairs are counted as by hand, words of one company lie near, twice the same."""

import json

import numpy as np
import pytest

from kbert.cli import main
from kbert.pretraining import cooccurrence
from kbert.pretraining.cooccurrence import count_pairs, positive_information, vectors
from kbert.pretraining.word_vectors import read_word_vectors


def texts(count=40, size=11, seed=3):
    random = np.random.default_rng(seed)
    return [random.integers(0, size, random.integers(0, 9)).astype("int32") for _ in range(count)]


def by_hand(rows, size, window, ignored=()):
    found = np.zeros((size, size))
    for row in rows:
        for i, a in enumerate(row):
            for apart, b in enumerate(row[i + 1 : i + 1 + window]):
                if a not in ignored and b not in ignored:
                    found[a, b] += 1 - apart / window
    return found + found.T


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_pairs_are_those_counted_by_hand(window, chunk, monkeypatch):
    monkeypatch.setattr(cooccurrence, "CHUNK", chunk)
    rows = texts()
    found = count_pairs(rows, 11, window, ignored={4}).toarray()
    np.testing.assert_allclose(found, by_hand(rows, 11, window, {4}), rtol=1e-5)
    assert not found[4].any() and np.array_equal(found, found.T)


def test_memory_is_bounded_and_common_pairs_stay(monkeypatch):
    monkeypatch.setattr(cooccurrence, "CHUNK", 50)
    often = [np.array([1, 2])] * 30
    found = count_pairs([*texts(200, 40), *often, *texts(200, 40, seed=4)], 40, window=2, most=100)
    assert found.nnz <= 2 * 4 * 100 and found[1, 2] >= 30


def test_information_is_that_of_the_formula():
    counts = count_pairs(texts(), 11, 2)
    dense = counts.toarray().astype(float)
    share = dense.sum(1) / dense.sum()
    contexts = dense.sum(1) ** 0.75 / (dense.sum(1) ** 0.75).sum()
    with np.errstate(divide="ignore"):
        right = np.maximum(np.log(dense / dense.sum() / (share[:, None] * contexts)), 0)
    np.testing.assert_allclose(positive_information(counts).toarray(), right, rtol=1e-4, atol=1e-5)


def company(seed=0, count=4000, size=30):
    """Texts in which token t stands among the three neighbours of its group of ten; 29 in none."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, 3, count)
    return [10 * group + random.integers(0, 9, 6) for group in groups], size


def test_tokens_of_the_same_company_lie_near():
    rows, size = company()
    found = vectors(count_pairs(rows, size), width=4)
    likeness = found @ found.T
    for token in (0, 5, 13, 21):
        group = token // 10
        inside = likeness[token, 10 * group : 10 * group + 9]
        others = np.delete(likeness[token, :29], np.s_[10 * group : 10 * group + 10])
        assert np.median(inside) > others.max()
    assert not found[29].any() and np.allclose(np.linalg.norm(found[:9], axis=1), 1, atol=1e-5)


def test_the_same_text_gives_the_same_bits():
    rows, size = company(count=200)
    first, again = (vectors(count_pairs(rows, size), width=5, seed=7) for _ in range(2))
    assert np.array_equal(first, again)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ValueError, match="narrower than the vocabulary, 3; got a width of 3"):
        vectors(count_pairs([np.array([0, 1])], 3), width=3)
    with pytest.raises(ValueError, match="stand near one another"):
        vectors(count_pairs([np.array([0]), np.array([1])], 3), width=2)


# The command


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny_vocabulary):
    folder = tmp_path_factory.mktemp("text")
    random = np.random.default_rng(0)
    lines = []
    for _ in range(600):
        animal, act = random.choice(["cat", "dogs"]), random.choice(["sat", "ran"])
        lines.append(f"the {animal} {act} . it was very {random.choice(['good', 'bad'])} , unhappy !")
    (folder / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    (folder / "vocab.txt").write_text(tiny_vocabulary.read_text())
    return folder


def learn(data, out, *further):
    words = ["--input", data / "text.txt", "--vocab", data / "vocab.txt", "--lowercase", "--width", 6, "--out", out]
    return main(["word-vectors", *map(str, words), *further])


def test_the_command_writes_what_pretrain_reads(data, tmp_path, capsys):
    out = tmp_path / "vectors.txt"
    assert learn(data, out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    words, found = read_word_vectors(out)
    assert found.shape == (len(words), 6) == (result["tokens"], result["width"])
    assert {"cat", "##s", "##happy", "good"} <= set(words) and "film" not in words
    assert result["unseen"] == 23 - len(words)
    assert result["near"] and all({word, *near} <= set(words) for word, near in result["near"].items())
    pretrain = ["--vocab", data / "vocab.txt", "--lowercase", "--word-vectors", out, "--size", "tiny", "--steps", 2]
    pretrain += ["--input", data / "text.txt", "--out", tmp_path / "run", "--max-length", 16, "--batch-size", 4]
    assert main(["pretrain", *map(str, pretrain)]) == 0
    assert f"word vectors: {len(words)} words of the vocabulary found, " in capsys.readouterr().err


def test_the_same_command_gives_the_same_file_and_replaces_none(data, tmp_path, capsys):
    outs = [tmp_path / name for name in ("a.txt", "b.txt")]
    assert [learn(data, out) for out in outs] == [0, 0]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert learn(data, outs[0]) == 1 and "--overwrite" in capsys.readouterr().err
    assert learn(data, outs[0], "--window", "1", "--overwrite") == 0
    assert outs[0].read_bytes() != outs[1].read_bytes() and len(list(tmp_path.iterdir())) == 2


def test_what_is_held_out_is_not_read(data, tmp_path, capsys):
    read = []
    for share in ("0", "0.3"):
        assert learn(data, tmp_path / share, "--held-out", share, "--json") == 0
        read.append(json.loads(capsys.readouterr().out)["text_bytes"])
    assert 0.65 * read[0] < read[1] < 0.75 * read[0]


@pytest.mark.parametrize(
    "words, told",
    [(("--width", "28"), "narrower than the vocabulary, 28"), (("--vocab", "no.txt"), "no.txt")],
)
def test_bad_input_is_refused_and_leaves_nothing(data, tmp_path, capsys, words, told):
    assert learn(data, tmp_path / "vectors.txt", *words) != 0
    assert told in capsys.readouterr().err and not list(tmp_path.iterdir())
