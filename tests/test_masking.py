"""Masking: the shares that Google's recipe gives, special tokens left alone, whole words whole, spans in a piece."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import masking
from pipelines.masking import mask

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS, SUFFIXES, UNUSED = 60, 40, 7
VOCABULARY = (
    *("[unused0]", *SPECIALS),
    *(f"[unused{i}]" for i in range(1, UNUSED)),
    *(f"w{i}" for i in range(WORDS)),
    *(f"##s{i}" for i in range(SUFFIXES)),
)
PAD, UNK, CLS, SEP, MASK = (VOCABULARY.index(token) for token in SPECIALS)
FIRST = VOCABULARY.index("w0")
UNITS = ("tokens", "words", "spans")


def make_rows(num_rows, length, *, seed=0, full=0.5, unknown=0.02):
    """Rows [CLS] a [SEP] b [SEP] of random pieces, some of them shorter, and where their words begin."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(FIRST, len(VOCABULARY), [num_rows, length])
    ids[rng.random(ids.shape) < unknown] = UNK
    lengths = np.where(rng.random(num_rows) < full, length, rng.integers(6, length + 1, num_rows))
    ids[:, 0] = CLS
    ids[np.arange(num_rows), lengths // 2] = SEP
    ids[np.arange(num_rows), lengths - 1] = SEP
    real = np.arange(length) < lengths[:, None]
    ids[~real] = PAD
    begins = np.array([not token.startswith("##") for token in VOCABULARY])[ids]
    return {"input_word_ids": ids.astype(np.int32), "input_mask": real.astype(np.int32)}, begins


def run(rows, begins, unit, seed=(3, 4), **settings):
    made = mask(
        {name: tf.constant(values) for name, values in rows.items()},
        VOCABULARY,
        tf.constant(seed, tf.int64),
        unit=unit,
        begins_word=None if begins is None else tf.constant(begins),
        **settings,
    )
    return {name: values.numpy() for name, values in made.items()}


def chosen_in(made):
    """bool [R, T], the tokens that are predicted."""
    chosen = np.zeros(made["input_word_ids"].shape, bool)
    row, slot = np.nonzero(made["masked_lm_weights"])
    chosen[row, made["masked_lm_positions"][row, slot]] = True
    return chosen


def words_of(ids, begins):
    """Word numbers [T] of a row, special tokens apart from all others."""
    fixed = np.isin(ids, [PAD, UNK, CLS, SEP, MASK])
    return np.cumsum(begins | fixed | np.concatenate([[True], fixed[:-1]])) - 1, fixed


@pytest.fixture(scope="module", params=UNITS)
def many(request):
    """Over 100,000 predicted tokens of a kind of masking."""
    rows, begins = make_rows(7001, 128)
    return request.param, rows, begins, run(rows, begins, request.param)


def test_fifteen_percent_of_the_real_tokens_are_predicted(many):
    _, rows, _, made = many
    assert made["masked_lm_weights"].sum() > 100_000
    assert made["masked_lm_weights"].sum() / rows["input_mask"].sum() == pytest.approx(0.15, abs=0.005)


def test_of_ten_eight_are_masks_one_a_random_word_and_one_as_it_was(many):
    _, rows, _, made = many
    chosen = chosen_in(made)
    were, shown = rows["input_word_ids"][chosen], made["input_word_ids"][chosen]
    by_chance = 0.1 / (WORDS + SUFFIXES)  # a random word may be the same
    assert np.mean(shown == MASK) == pytest.approx(0.8, abs=0.005)
    assert np.mean(shown == were) == pytest.approx(0.1 + by_chance, abs=0.005)
    assert np.mean((shown != were) & (shown != MASK)) == pytest.approx(0.1 - by_chance, abs=0.005)


def test_random_words_are_all_words_alike_and_nothing_else(many):
    _, rows, _, made = many
    chosen = chosen_in(made)
    were, shown = rows["input_word_ids"][chosen], made["input_word_ids"][chosen]
    counts = np.bincount(shown[(shown != were) & (shown != MASK)], minlength=len(VOCABULARY))
    assert counts[:FIRST].sum() == 0
    expected = counts.sum() / (WORDS + SUFFIXES)
    assert np.abs(counts[FIRST:] - expected).max() < 5 * np.sqrt(expected)


def test_a_special_token_is_never_predicted(many):
    _, rows, _, made = many
    assert not np.isin(rows["input_word_ids"][chosen_in(made)], [PAD, UNK, CLS, SEP, MASK]).any()


def test_what_is_not_predicted_stays_as_it_was(many):
    _, rows, _, made = many
    chosen = chosen_in(made)
    np.testing.assert_array_equal(made["input_word_ids"][~chosen], rows["input_word_ids"][~chosen])
    np.testing.assert_array_equal(made["input_mask"], rows["input_mask"])


def test_slots_hold_places_in_order_with_the_ids_that_stood_there_then_nothing(many):
    _, rows, _, made = many
    places, ids, weights = (made[f"masked_lm_{name}"] for name in ("positions", "ids", "weights"))
    assert places.dtype == ids.dtype == np.int32 and weights.dtype == np.float32
    assert places.shape == ids.shape == weights.shape == (7001, 20)
    real = weights > 0
    assert set(np.unique(weights)) == {0.0, 1.0} and (np.diff(real.astype(int), axis=1) <= 0).all()
    assert (np.diff(places, axis=1)[real[:, 1:]] > 0).all()
    np.testing.assert_array_equal(np.take_along_axis(rows["input_word_ids"], places, 1)[real], ids[real])
    assert not places[~real].any() and not ids[~real].any()


def test_every_place_of_a_row_is_as_likely(many):
    unit, rows, _, made = many
    full = rows["input_mask"].all(1)
    rates = chosen_in(made)[full].sum(0) / np.maximum((rows["input_word_ids"][full] >= FIRST).sum(0), 1)
    inner = np.r_[12:63, 76:126]  # no span comes over a [SEP], so the words behind one are in fewer
    outer = np.setdiff1d(np.arange(1, 127), [64]) if unit != "spans" else inner
    assert np.abs(rates[outer] - rates[inner].mean()).max() < 0.03
    assert not rates[[0, 64, 127]].any()


@pytest.mark.parametrize("unit", UNITS)
def test_a_row_has_the_rounded_share_of_its_tokens_and_at_least_one(unit):
    rows, begins = make_rows(301, 53, seed=1, unknown=0)
    begins[:] = True  # so that each word fits
    made = run(rows, begins, unit, share=0.2, max_predictions=9)
    sizes = rows["input_mask"].sum(1)
    expected = np.minimum(9, np.maximum(1, np.round(0.2 * sizes)))
    np.testing.assert_array_equal(made["masked_lm_weights"].sum(1), expected)
    assert (expected == 9).any() and (expected == 1).any()


@pytest.mark.parametrize("unit", UNITS)
def test_all_tokens_can_be_predicted(unit):
    rows, begins = make_rows(17, 19, seed=2)
    made = run(rows, begins, unit, share=1.0, max_predictions=19)
    ids = rows["input_word_ids"]
    np.testing.assert_array_equal(chosen_in(made), ids >= FIRST)


@pytest.mark.parametrize("unit", UNITS)
def test_a_row_of_special_tokens_alone_has_no_prediction(unit):
    ids = np.array([[CLS, UNK, SEP, UNK, SEP, PAD], [CLS, FIRST, SEP, FIRST, SEP, PAD]], np.int32)
    rows = {"input_word_ids": ids, "input_mask": (ids != PAD).astype(np.int32)}
    made = run(rows, np.ones_like(ids, bool), unit, max_predictions=3)
    np.testing.assert_array_equal(made["masked_lm_weights"], [[0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(made["input_word_ids"][0], ids[0])


@pytest.mark.parametrize("unit", UNITS)
def test_no_rows_are_no_rows(unit):
    rows, begins = make_rows(1, 16)
    made = run({name: values[:0] for name, values in rows.items()}, begins[:0], unit, max_predictions=3)
    assert made["input_word_ids"].shape == (0, 16) and made["masked_lm_ids"].shape == (0, 3)


@pytest.mark.parametrize("unit", UNITS)
def test_equal_seeds_hide_equal_tokens_and_others_do_not(unit):
    rows, begins = make_rows(97, 40, seed=3)
    first, again, other = (run(rows, begins, unit, seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (chosen_in(first) != chosen_in(other)).any(1).mean() > 0.9


@pytest.mark.parametrize("unit", UNITS)
def test_a_graph_hides_what_eager_calls_hide(unit):
    rows, begins = make_rows(23, 31, seed=4)
    graph = tf.function(lambda ids, real, begins, seed: mask(
        {"input_word_ids": ids, "input_mask": real}, VOCABULARY, seed, unit=unit, begins_word=begins, max_predictions=5
    ))  # fmt: skip
    made = graph(*map(tf.constant, rows.values()), tf.constant(begins), tf.constant([3, 4], tf.int64))
    eager = run(rows, begins, unit, max_predictions=5)
    for name, values in eager.items():
        np.testing.assert_array_equal(made[name].numpy(), values)
    assert made["masked_lm_ids"].shape[1] == 5


def test_a_word_is_predicted_whole_or_not_at_all():
    rows, begins = make_rows(500, 61, seed=5)
    chosen = chosen_in(run(rows, begins, "words"))
    for ids, starts, row in zip(rows["input_word_ids"], begins, chosen, strict=True):
        words, _ = words_of(ids, starts)
        assert not set(words[row]) & set(words[~row])


def test_words_are_those_of_google_s_loop():
    """In a random order each word that still fits; the times of the words are the order."""
    rows, begins = make_rows(400, 45, seed=6, full=0.9)
    ids, seed = rows["input_word_ids"], tf.constant([5, 6], tf.int64)
    maskable = ids >= FIRST
    quota = masking.quotas(45, 0.15, 20)[rows["input_mask"].sum(1)]
    chosen = masking.earliest_words(tf.constant(maskable), tf.constant(begins), seed, tf.constant(quota), 20).numpy()
    _, firsts = masking.number_words(tf.constant(maskable), tf.constant(begins))
    times = iter(masking.draw_times(tf.shape(firsts), seed).numpy())
    differ = 0
    for row in range(len(ids)):
        words, fixed = words_of(ids[row], begins[row])
        order = sorted(((next(times), word) for word in range(words[-1] + 1)), reverse=True)
        taken = np.zeros(45, bool)
        for _, word in order:
            pieces = (words == word) & ~fixed
            if taken.sum() + pieces.sum() <= quota[row]:
                taken |= pieces
        differ += (taken != chosen[row]).any()
    assert differ <= 4  # after three words that did not fit, further ones are not looked at


def test_spans_are_runs_of_whole_words_of_which_one_is_cut():
    rows, begins = make_rows(600, 90, seed=8, full=1, unknown=0)
    chosen = chosen_in(run(rows, begins, "spans", share=0.1))
    assert (chosen.sum(1) == 9).all()
    lengths = []
    for ids, starts, row in zip(rows["input_word_ids"], begins, chosen, strict=True):
        words, fixed = words_of(ids, starts)
        cut = set(words[row]) & set(words[~row])
        assert len(cut) <= 1 and not fixed[row].any()
        lengths += [len(set(run)) for run in np.split(words[row], np.flatnonzero(np.diff(np.flatnonzero(row)) > 1) + 1)]
    assert np.mean(lengths) > 2  # a token alone by its own time has 1.1


def test_the_times_of_spans_are_those_of_a_loop():
    rows, begins = make_rows(37, 29, seed=9)
    ids, seed = rows["input_word_ids"], tf.constant([7, 8], tf.int64)
    maskable = ids >= FIRST
    times = masking.span_times(tf.constant(maskable), tf.constant(begins), seed).numpy()
    _, firsts = masking.number_words(tf.constant(maskable), tf.constant(begins))
    seeds = tf.random.split(seed, 2, alg="philox")
    drawn = tf.random.stateless_uniform(tf.shape(firsts), seeds[0], 0, 4096, tf.int32, alg="philox").numpy()
    sizes = iter(masking.span_lengths()[drawn])
    starts = iter(masking.draw_times(tf.shape(firsts), seeds[1], 31 - 5).numpy())  # a place of 29 takes five bits
    for row in range(len(ids)):
        words, fixed = words_of(ids[row], begins[row])
        earliest = np.zeros(29, np.int64)
        for word in range(words[-1] + 1):
            time, size, first = next(starts), next(sizes), np.flatnonzero(words == word)[0]
            for place in range(first, 29):
                if fixed[place] or words[place] >= word + size:
                    break
                earliest[place] = max(earliest[place], time)
        np.testing.assert_array_equal(times[row] >> 5, earliest)
    assert len(np.unique(times[0][maskable[0]])) == maskable[0].sum()


def test_lengths_of_spans_are_geometric_up_to_ten():
    counts = np.bincount(masking.span_lengths(), minlength=11)[1:] / 4096
    np.testing.assert_allclose(counts, 0.8 ** np.arange(10) / sum(0.8 ** np.arange(10)), atol=3e-4)


def test_a_vocabulary_without_a_mask_is_refused():
    with pytest.raises(ValueError, match=r"holds \[MASK\]"):
        masking.replacements(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat"))


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(ValueError, match="only special tokens"):
        masking.replacements((*SPECIALS, "[unused0]"))
