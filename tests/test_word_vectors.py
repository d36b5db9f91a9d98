"""Laws of word vectors: what a file says is read or refused by line, angles survive, only words are set."""

import gzip
import lzma

import numpy as np
import pytest

import kbert
from kbert.config import BertConfig
from kbert.pretraining import word_vectors

D = 6
LINES = ("the 1 0 0.5 -2", "cat -0.25 3e-1 .5 1", "zebra 9 9 9 9", "the 7 7 7 7", "dog 0 0 1 -1", ", 2 2 0 0")


def write(path, lines, opener=open):
    with opener(path, "wb") as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    return path


def make_model(vocabulary, width=D, rows=30):
    """A model with, by default, two rows more than the vocabulary of its tests has tokens."""
    sizes = {"hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 5}
    config = BertConfig(vocab_size=rows, **sizes)
    return kbert.Encoder(config, tokenizer={"vocabulary": str(vocabulary), "lowercase": True}, seed=2)


def table(model):
    return model.named_weights()["embeddings/token"].numpy()


def cosines(rows):
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


# Reading


@pytest.mark.parametrize("suffix, opener", [(".txt", open), (".txt.gz", gzip.open), (".txt.xz", lzma.open)])
def test_words_and_numbers_are_read_and_the_first_of_two_counts(tmp_path, suffix, opener):
    words, vectors = word_vectors.read_word_vectors(write(tmp_path / f"v{suffix}", LINES, opener))
    assert words == ["the", "cat", "zebra", "dog", ","]
    assert vectors.dtype == np.float32 and vectors.shape == (5, 4)
    assert vectors[:2].tolist() == np.float32([[1, 0, 0.5, -2], [-0.25, 0.3, 0.5, 1]]).tolist()


def test_the_header_of_word2vec_is_no_word(tmp_path):
    words, vectors = word_vectors.read_word_vectors(write(tmp_path / "v.txt", ["6 4", *LINES]))
    assert words[0] == "the" and vectors.shape == (5, 4)


def test_words_may_have_spaces_and_white_space_beyond_ascii(tmp_path):
    lines = ["a 1 2", ". . . 3 4", "New York 5 6", "b\u00a0c 7 8"]
    words, _ = word_vectors.read_word_vectors(write(tmp_path / "v.txt", lines))
    assert words == ["a", ". . .", "New York", "b\u00a0c"]


def test_only_wanted_words_are_kept_and_broken_ones_do_no_harm(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"the 1 2\n\xff\xfe 3 4\ncat 5 6\n")
    words, vectors = word_vectors.read_word_vectors(path, wanted={"cat", "dog"})
    assert words == ["cat"] and vectors.tolist() == [[5, 6]]


@pytest.mark.parametrize(
    "line, told",
    [
        ("dog 1 2 3", "as many as in the first one, 4; got 3"),
        ("dog 1 2 3 4 5", "as many as in the first one, 4; got 5"),
        ("dog 1 2 x 4", "got 2|followed by numbers; got 'x'"),
        ("dog 1 2 nan 4", "finite"),
        ("dog 1 inf 3 4", "finite"),
        ("dog 1 1e60 3 4", "finite"),
        ("dog", "got 0"),
    ],
)
def test_a_bad_line_is_named_with_its_file(tmp_path, line, told):
    path = write(tmp_path / "bad.txt", [*LINES[:2], line])
    with pytest.raises(ValueError, match=rf"bad\.txt:3: .*({told})"):
        word_vectors.read_word_vectors(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"5 4\n"])
def test_a_file_without_vectors_is_refused(tmp_path, content):
    (tmp_path / "none.txt").write_bytes(content)
    with pytest.raises(ValueError, match="got none in .*none.txt"):
        word_vectors.read_word_vectors(tmp_path / "none.txt")


def test_a_file_that_is_not_there_or_not_whole_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is none at"):
        word_vectors.read_word_vectors(tmp_path / "absent.txt")
    whole = write(tmp_path / "v.txt.gz", LINES, gzip.open).read_bytes()
    (tmp_path / "v.txt.gz").write_bytes(whole[:-9])
    with pytest.raises(ValueError, match="not a whole .gz file"):
        word_vectors.read_word_vectors(tmp_path / "v.txt.gz")


# Projecting


def random_rows(count, width):
    return np.random.default_rng(3).normal(size=(count, width))


@pytest.mark.parametrize("width", [7, 8, 23])
def test_more_room_keeps_every_angle(width):
    rows = random_rows(11, 7)
    made = word_vectors.project(rows, width, spread=0.02)
    assert made.shape == (11, width) and made.dtype == np.float32
    assert np.abs(cosines(made) - cosines(rows)).max() < 1e-5
    assert np.sqrt(np.mean(made.astype(np.float64) ** 2)) == pytest.approx(0.02, rel=1e-5)


def test_less_room_keeps_what_fits():
    rows = random_rows(13, 3) @ random_rows(3, 9)  # three directions in nine numbers
    assert np.abs(cosines(word_vectors.project(rows, 3, spread=0.5)) - cosines(rows)).max() < 1e-5
    noisy = rows + 0.05 * random_rows(13, 9)
    assert np.abs(cosines(word_vectors.project(noisy, 4, spread=0.5)) - cosines(noisy)).max() < 0.1


def test_fewer_words_than_the_width_are_projected_all_the_same():
    rows = random_rows(2, 9)
    assert np.abs(cosines(word_vectors.project(rows, 4, spread=0.5)) - cosines(rows)).max() < 1e-5


def test_equal_seeds_project_equally_and_others_do_not():
    rows = random_rows(5, 4)
    assert np.array_equal(word_vectors.project(rows, 6, 0.1, seed=8), word_vectors.project(rows, 6, 0.1, seed=8))
    assert not np.allclose(word_vectors.project(rows, 6, 0.1, seed=8), word_vectors.project(rows, 6, 0.1, seed=9))


# Applying


def test_rows_of_found_words_are_set_and_no_other(tmp_path, tiny_vocabulary):
    model = make_model(tiny_vocabulary)
    before = table(model)
    report = word_vectors.apply(model, write(tmp_path / "v.txt", LINES))
    tokens = tiny_vocabulary.read_text().split("\n")[:-1]
    rows = [tokens.index(word) for word in ("the", "cat", "dog", ",")]
    changed = np.flatnonzero((table(model) != before).any(1)).tolist()
    assert changed == sorted(rows)
    assert (report.found, report.missing, report.pieces, report.special, report.width) == (4, 16, 3, 5, 4)
    assert report.examples[:3] == ("a", "sat", "ran")
    given = np.array([[1, 0, 0.5, -2], [-0.25, 0.3, 0.5, 1], [0, 0, 1, -1], [2, 2, 0, 0]])
    assert np.abs(cosines(table(model)[rows]) - cosines(given)).max() < 1e-5
    assert np.sqrt(np.mean(table(model)[rows] ** 2)) == pytest.approx(model.config.initializer_range, rel=1e-4)


def test_a_cased_word_falls_back_on_its_lower_case(tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "The", "Cat", "cat", "CAT", "Cow"]) + "\n")
    model = make_model(vocabulary)
    report = word_vectors.apply(model, write(tmp_path / "v.txt", ["Cat 0 1", "cat 1 0", "the 1 1"]))
    made = table(model)
    assert (report.found, report.missing) == (4, 1)
    assert np.array_equal(made[6], made[7]) and abs(cosines(made[5:7])[0, 1]) < 1e-6


def test_a_file_of_other_words_and_a_model_without_a_vocabulary_are_refused(tmp_path, tiny_vocabulary):
    path = write(tmp_path / "v.txt", ["zebra 1 2", "##s 3 4", "[PAD] 5 6"])
    with pytest.raises(ValueError, match="none of its 20 words"):
        word_vectors.apply(make_model(tiny_vocabulary), path)
    model = make_model(tiny_vocabulary)
    model.tokenizer = None
    with pytest.raises(ValueError, match="without one"):
        word_vectors.apply(model, path)


def test_glove_sets_most_of_its_words_in_berts_vocabulary(shared_data):
    path = shared_data / "glove50_cut/glove.6B.50d.top.txt"
    words, vectors = word_vectors.read_word_vectors(path)
    assert vectors.shape == (2441, 50)
    model = make_model(shared_data / "bert_assets/bert-base-uncased/vocab.txt", width=64, rows=30522)
    report = word_vectors.apply(model, path)
    assert report.found > 2300 and report.width == 50
    tokens = (shared_data / "bert_assets/bert-base-uncased/vocab.txt").read_text("utf-8").split("\n")
    asked = ["king", "queen", "river", "seven", "three"]
    made = cosines(table(model)[[tokens.index(word) for word in asked]])
    given = cosines(vectors[[words.index(word) for word in asked]])
    assert np.abs(made - given).max() < 1e-5 and made[3, 4] > made[3, 2]
