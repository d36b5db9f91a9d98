"""Pre-training data: a stream of batches that can be stopped and gone on with at any row, with the same bits."""

import gzip
import importlib
import itertools

import numpy as np
import pytest
import tensorflow as tf

from pipelines.documents import Corpus
from pipelines.masking import SPECIAL
from pipelines.pretraining import PretrainingData, UnreadableText, pretraining, reading_errors, window_rows
from pipelines.wordpiece import WordPiece

T, P = 24, 4
WORDS = ("the", "a", "cat", "dog", "sat", "ran", "good", "bad", "film", "very", "not", "unhappy", "cats", "badly", "2")
SETTINGS = PretrainingData(max_length=T, seed=5)
MODULE = importlib.import_module("pipelines.pretraining")  # its name in the package is the function's
MADE = "of the fixture `wordpiece`"


def write_text(path, seed, num_documents=35, num_lines=40):
    """About 80 KiB, two blocks: documents of lines of some sentences."""
    rng = np.random.default_rng(seed)

    def sentence():
        return " ".join(rng.choice(WORDS, rng.integers(2, 12))) + "."

    documents = [
        "\n".join(" ".join(sentence() for _ in range(rng.integers(1, 4))) for _ in range(num_lines))
        for _ in range(num_documents)
    ]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for number in range(3):
        write_text(folder / f"{number}.txt", seed=number)
    return folder


@pytest.fixture(scope="module")
def corpus(texts):
    return Corpus.find(texts / "*.txt", held_out=0.2)


@pytest.fixture(scope="module")
def wordpiece(tiny_vocabulary):
    return WordPiece(tiny_vocabulary)


@pytest.fixture(scope="module", autouse=True)
def small_windows(wordpiece):
    """Windows are small, and the tokenizer of `spec` is made once."""
    make = WordPiece.from_spec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "WINDOW_BLOCKS", 1)
        patch.setattr(WordPiece, "from_spec", lambda spec: wordpiece if spec["vocabulary"] == MADE else make(spec))
        yield


@pytest.fixture(scope="module")
def spec():
    return {"vocabulary": MADE, "max_positions": 32}


@pytest.fixture(scope="module")
def every(corpus, spec):
    """All rows of two epochs."""
    return rows_of(pretraining(corpus, spec, SETTINGS, batch_size=1, epochs=range(2)))


def rows_of(dataset):
    """All rows of a dataset: {name: array [rows, ...]}."""
    dataset = dataset.rebatch(1000, drop_remainder=False)  # faster to look at
    parts = [{k: v.numpy() for part in batch for k, v in part.items()} for batch in dataset]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def originals(rows):
    """Ids [R, T] as they were before masking."""
    ids = rows["input_word_ids"].copy()
    row, slot = np.nonzero(rows["masked_lm_weights"])
    ids[row, rows["masked_lm_positions"][row, slot]] = rows["masked_lm_ids"][row, slot]
    return ids


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("objective", ["next_sentence", "sentence_order", "none", "contiguous"])
def test_batches_are_what_the_model_takes(corpus, spec, objective, packed):
    settings = PretrainingData(max_length=T, objective=objective, packed=packed)
    inputs, labels, weights = pretraining(corpus, spec, settings, batch_size=7).element_spec
    names = {"input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions", "place"}
    pairs = set() if objective in ("none", "contiguous") else {"next_sentence_labels"}
    assert set(inputs) == names | ({"input_example_ids", "first_positions"} if packed else set())
    assert set(labels) == {"masked_lm_ids"} | pairs
    assert set(weights) == {"masked_lm_weights"} | ({"next_sentence_weights"} if packed and pairs else set())
    shapes = {name: (tuple(x.shape), x.dtype.name) for part in (inputs, labels, weights) for name, x in part.items()}
    expected = dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids", "input_example_ids"), ((7, T), "int32"))
    expected |= dict.fromkeys(("masked_lm_positions", "masked_lm_ids"), ((7, P), "int32"))
    expected |= {"masked_lm_weights": ((7, P), "float32"), "place": ((7, 3), "int64")}
    expected["first_positions"] = ((7, T // 8), "int32")
    expected["next_sentence_labels"] = ((7, T // 8) if packed else (7,), "int32")
    expected["next_sentence_weights"] = ((7, T // 8), "float32")
    assert shapes == {name: expected[name] for name in shapes}


def test_batches_are_the_rows_of_the_windows_one_after_the_other(corpus, spec, wordpiece, every):
    windows = []
    for epoch in range(2):
        for window, block in enumerate(corpus.blocks(seed=5, epoch=epoch)):
            made = window_rows(tf.constant([block]), wordpiece, SETTINGS, epoch, window)
            windows.append({name: values.numpy() for name, values in made.items()})
            np.testing.assert_array_equal(made["place"][:, 2], np.arange(len(made["place"])))
    assert len(windows) >= 4
    same(every, {name: np.concatenate([window[name] for window in windows]) for name in windows[0]})
    rows = rows_of(pretraining(corpus, spec, SETTINGS, batch_size=64, epochs=range(2)))
    size = len(every["place"]) // 64 * 64
    assert len(rows["place"]) == size > 1000  # whole batches, over windows and epochs
    same(rows, {name: values[:size] for name, values in every.items()})


def check_stops(corpus, spec, settings, every, lasts):
    for last in lasts:
        place = tuple(every["place"][last])
        rest = rows_of(pretraining(corpus, spec, settings, batch_size=11, after=place, epochs=range(2)).take(9))
        same(rest, {name: values[last + 1 :][:99] for name, values in every.items()})


def test_a_stop_at_any_row_changes_no_bit(corpus, spec, every):
    windows, epochs = (np.flatnonzero(np.diff(every["place"][:, column])) for column in (1, 0))  # the last rows of each
    assert len(windows) >= 3 and len(epochs) == 1
    anywhere = np.random.default_rng(1).integers(windows[0], len(every["place"]) - 100, 2)
    check_stops(corpus, spec, SETTINGS, every, {windows[0], epochs[0], *anywhere})


def test_a_stop_inside_packed_rows_changes_no_bit(corpus, spec):
    settings = PretrainingData(max_length=T, masking="spans", packed=True, seed=6)
    every = rows_of(pretraining(corpus, spec, settings, batch_size=1, epochs=range(2)))
    second = np.flatnonzero(every["place"][:, 0])[0]
    check_stops(corpus, spec, settings, every, [second + 5])


def test_before_the_first_row_is_the_start_and_behind_the_last_is_nothing(corpus, spec, every):
    rows = rows_of(pretraining(corpus, spec, SETTINGS, batch_size=5, after=(0, 0, -1)).take(3))
    same(rows, {name: values[:15] for name, values in every.items()})
    assert not list(pretraining(corpus, spec, SETTINGS, batch_size=1, epochs=range(2), after=tuple(every["place"][-1])))


def test_threads_change_no_bit(corpus, spec, every):
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    data = pretraining(corpus, spec, SETTINGS, batch_size=1, epochs=range(2))
    same(rows_of(data.with_options(options)), every)


def test_every_epoch_and_every_seed_has_masks_and_pairs_of_its_own(corpus, spec, wordpiece):
    some = tf.constant(list(itertools.islice(corpus.blocks(seed=0, epoch=0), 1)))
    other = PretrainingData(max_length=T, seed=6)
    made = [window_rows(some, wordpiece, s, *at) for s, *at in ((SETTINGS, 0, 0), (SETTINGS, 1, 0), (other, 0, 0))]
    made.append(window_rows(some, wordpiece, SETTINGS, 0, 1))
    again = window_rows(some, wordpiece, SETTINGS, 0, 0)
    same(*({name: values.numpy() for name, values in rows.items()} for rows in (made[0], again)))
    ids = [{row.tobytes() for row in rows["input_word_ids"].numpy()} for rows in made]
    for first, second in itertools.combinations(ids, 2):
        assert len(first & second) < 0.02 * len(first)


def test_rows_of_a_window_come_in_a_random_order(wordpiece):
    settings = PretrainingData(max_length=T, objective="none", short_share=0)
    blocks = tf.constant(["cat cat cat cat.\n" * 100, "dog dog dog dog.\n" * 100])
    rows = {name: values.numpy() for name, values in window_rows(blocks, wordpiece, settings, 0, 0).items()}
    is_cat = originals(rows)[:, 1] == wordpiece.vocabulary.index("cat")
    assert is_cat.sum() == len(is_cat) / 2
    assert np.count_nonzero(np.diff(is_cat)) > len(is_cat) / 4  # cats and dogs apart would change once


def test_held_out_text_has_one_epoch_of_masks_that_stay_and_every_row(corpus, spec):
    data = pretraining(corpus, spec, SETTINGS, batch_size=50, part="held_out")
    sizes = [len(inputs["place"]) for inputs, _, _ in data]
    assert sizes[:-1] == [50] * (len(sizes) - 1) and 0 < sizes[-1] < 50
    rows = rows_of(data)
    same(rows, rows_of(pretraining(corpus, spec, SETTINGS, batch_size=50, part="held_out", epochs=range(3))))
    assert (rows["place"][:, 0] == 0).all()


def test_workers_have_text_and_windows_of_their_own_and_go_on_with_it(corpus, spec, wordpiece):
    settings = PretrainingData(max_length=T, objective="none", short_share=0)
    given = {"batch_size": 1, "epochs": range(1), "num_workers": 2}
    shares = [rows_of(pretraining(corpus, spec, settings, worker=worker, **given)) for worker in range(2)]
    for worker, rows in enumerate(shares):
        assert {window % 2 for window in rows["place"][:, 1]} == {worker}
    words = sum((originals(rows) > 4).sum() for rows in shares)
    assert words == wordpiece.tokenize(list(corpus.blocks(seed=0, epoch=0))).values.shape[0]
    last = len(shares[1]["place"]) // 2
    rest = rows_of(pretraining(corpus, spec, settings, worker=1, after=shares[1]["place"][last], **given))
    same(rest, {name: values[last + 1 :] for name, values in shares[1].items()})


def test_whole_words_of_spaces_are_masked_whole(wordpiece):
    settings = PretrainingData(max_length=T, masking="words", words="spaces", split=False, seed=1)
    blocks = tf.constant(["cat,cat dog good!film unhappy .\n" * 300, "bad.bad.bad the\n\n" * 200])
    rows = {name: values.numpy() for name, values in window_rows(blocks, wordpiece, settings, 0, 0).items()}
    ids, (cat, comma) = originals(rows), map(wordpiece.vocabulary.index, ("cat", ","))
    chosen = np.zeros(ids.shape, bool)
    row, slot = np.nonzero(rows["masked_lm_weights"])
    chosen[row, rows["masked_lm_positions"][row, slot]] = True
    whole = (ids[:, :-2] == cat) & (ids[:, 1:-1] == comma) & (ids[:, 2:] == cat)
    parts = np.stack([chosen[:, :-2], chosen[:, 1:-1], chosen[:, 2:]], axis=-1)[whole]  # [words, 3]
    assert len(parts) > 100 and 0 < parts.mean() < 1
    assert (parts.all(1) | ~parts.any(1)).all()


def test_lines_stay_whole_where_they_are_not_split(wordpiece):
    line = "cat cat . dog dog . cat cat .\n\n"  # no two lines of a document: one sentence, or three
    for split, sizes in ((True, {3, 6, 9}), (False, {9})):
        settings = PretrainingData(max_length=T, objective="none", split=split, short_share=1)
        rows = window_rows(tf.constant([line * 80]), wordpiece, settings, 0, 0)
        assert set((tf.reduce_sum(rows["input_mask"], 1) - 2).numpy()) <= sizes
    assert split is False and len(rows["place"]) == 80


def test_a_shard_that_breaks_off_is_named(tmp_path, spec):
    write_text(tmp_path / "long.txt", seed=9, num_documents=100)
    zipped = gzip.compress((tmp_path / "long.txt").read_bytes())
    (tmp_path / "cut.txt.gz").write_bytes(zipped[: len(zipped) // 2])
    broken = Corpus.find([tmp_path / "cut.txt.gz"])
    with pytest.raises(UnreadableText, match=r"cut\.txt\.gz") as caught, reading_errors():
        rows_of(pretraining(broken, spec, SETTINGS, batch_size=4, epochs=range(1)))
    assert "Traceback" not in str(caught.value) and "\n" not in str(caught.value)


def test_text_without_an_example_is_said_to_have_none(tmp_path, spec):
    (tmp_path / "short.txt").write_text("cat\n\ndog\n\n")
    with pytest.raises(UnreadableText, match="no example can be made"), reading_errors():
        next(iter(pretraining(Corpus.find(tmp_path / "short.txt"), spec, SETTINGS, batch_size=4)))


def test_other_errors_of_tensorflow_stay_what_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError), reading_errors():
        tf.debugging.assert_equal(1, 2)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"max_length": 7}, "max_length is 8 tokens or more; got 7"),
        ({"objective": "nsp"}, "objective is one of next_sentence, sentence_order, none, contiguous; got 'nsp'"),
        ({"masking": "ngrams"}, "masking is one of tokens, words, spans; got 'ngrams'"),
        ({"short_share": 1.5}, "short_share is a share, 0 to 1; got 1.5"),
        ({"masked_share": 0.0}, "masked_share is a share over 0, to 1; got 0.0"),
        ({"max_predictions": 0}, "max_predictions is 1 to max_length, 128; got 0"),
        ({"words": "spaces"}, "words='spaces' says what whole words are"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        PretrainingData(**settings)


def test_predictions_are_the_share_of_a_full_row():
    assert PretrainingData().predictions == 20
    assert PretrainingData(max_length=512, masked_share=0.2).predictions == 103
    assert PretrainingData(max_predictions=77).predictions == 77


def test_what_does_not_fit_the_model_is_refused_before_anything_is_read(corpus, spec):
    for settings, given, said in (
        (PretrainingData(max_length=33), {"batch_size": 2}, "max_length is at most 32 for this model; got 33"),
        (SETTINGS, {"batch_size": 0}, "batch_size is at least 1; got 0"),
        (SETTINGS, {"batch_size": 2, "part": "dev"}, "part is one of"),
        (SETTINGS, {"batch_size": 2, "worker": 2, "num_workers": 2}, "worker is from 0"),
    ):
        with pytest.raises(ValueError, match=said):
            pretraining(corpus, spec, settings, **given)
    words = PretrainingData(max_length=T, masking="words", words="no/list.txt")
    with pytest.raises(FileNotFoundError, match="no/list.txt"):
        pretraining(corpus, spec, words, batch_size=2)


def test_books_have_the_paper_s_shares(shared_data, monkeypatch):
    """Devlin et al. 2019, A.1 and A.2: 15 % of the tokens, 80/10/10 of them; half of the pairs follow."""
    corpus = Corpus.find(shared_data / "books" / "classic_books.txt.xz")
    spec = {"vocabulary": shared_data / "bert_assets" / "bert-base-uncased" / "vocab.txt", "lowercase": True}
    monkeypatch.setattr(MODULE, "WINDOW_BLOCKS", 16)
    rows = rows_of(pretraining(corpus, spec, PretrainingData(seed=3), batch_size=250).take(80))
    weights, places = rows["masked_lm_weights"], rows["masked_lm_positions"]
    real = weights > 0
    assert weights.sum() > 100_000
    assert weights.sum() / rows["input_mask"].sum() == pytest.approx(0.15, abs=0.005)
    shown, were = np.take_along_axis(rows["input_word_ids"], places, 1)[real], rows["masked_lm_ids"][real]
    specials = [WordPiece.from_spec(spec).vocabulary.index(token) for token in SPECIAL]
    assert np.mean(shown == specials[-1]) == pytest.approx(0.8, abs=0.005)
    assert np.mean(shown == were) == pytest.approx(0.1, abs=0.005)
    assert not np.isin(were, specials).any() and not np.isin(shown, specials[:-1]).any()
    assert rows["next_sentence_labels"].mean() == pytest.approx(0.5, abs=0.01)
