"""Dropout is a function of its seed: rate, mean, sites, and nothing at inference."""

import numpy as np
import pytest
import tensorflow as tf

from kbert.dropout import Seed, dropout, site_seed

ROWS, WIDTH = 301, 257  # odd: the last word of random bits is used in part
SEED = Seed(tf.constant([3, 5], tf.int32))
X = tf.constant(np.random.default_rng(0).normal(1.0, 0.1, [ROWS, WIDTH]).astype("float32"))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_of_the_elements_is_zeroed_and_the_mean_is_kept(rate):
    dropped = dropout(X, rate, SEED).numpy()
    assert abs((dropped == 0).mean() - rate) < 0.01
    assert abs(dropped.mean() / X.numpy().mean() - 1) < 0.03


def test_what_is_kept_is_scaled_by_the_rate_in_256_steps():
    dropped, kept = dropout(X, 0.1, SEED).numpy(), 1 - round(0.1 * 256) / 256
    np.testing.assert_allclose(dropped[dropped != 0], (X.numpy() / kept)[dropped != 0], rtol=1e-6)


def test_equal_seeds_drop_equal_places():
    np.testing.assert_array_equal(dropout(X, 0.3, SEED), dropout(X, 0.3, SEED))


@pytest.mark.parametrize("other", [[4, 5], [3, 6]])
def test_another_seed_drops_other_places(other):
    first, second = dropout(X, 0.5, SEED).numpy() == 0, dropout(X, 0.5, Seed(tf.constant(other))).numpy() == 0
    assert abs((first == second).mean() - 0.5) < 0.02  # as two throws of a coin


def test_sites_of_one_step_drop_other_places():
    masks = [dropout(X, 0.5, site_seed(SEED, site)).numpy() == 0 for site in (-1, 0, 1, 2, 40)]
    for i, first in enumerate(masks):
        for second in masks[i + 1 :]:
            assert abs((first == second).mean() - 0.5) < 0.02


def test_sites_within_sites_never_meet():
    """Every site of a model of 24 blocks: embeddings, three in each block, the head."""
    blocks = [site_seed(SEED, 1 + 3 * i) for i in range(24)]
    seeds = [site_seed(SEED, 0), site_seed(SEED, -1), *(site_seed(seed, j) for seed in blocks for j in range(3))]
    assert len({tuple(seed.key.numpy().tolist()) for seed in seeds}) == len(seeds)


def test_rows_of_one_mask_differ():
    mask = dropout(tf.ones([ROWS, WIDTH]), 0.5, SEED).numpy() == 0
    assert len({row.tobytes() for row in mask}) == ROWS


def test_nothing_is_dropped_at_inference_or_at_rate_0():
    assert dropout(X, 0.5, None) is X
    assert dropout(X, 0.0, SEED) is X
    assert site_seed(None, 3) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_type_stays(dtype):
    assert dropout(tf.cast(X, dtype), 0.1, SEED).dtype == dtype


def test_gradient_has_the_mask_of_the_values():
    with tf.GradientTape() as tape:
        tape.watch(X)
        dropped = dropout(X, 0.4, SEED)
        total = tf.reduce_sum(dropped)
    np.testing.assert_allclose(tape.gradient(total, X), dropped / X, rtol=1e-5)


def test_empty_tensors_stay_empty():
    assert dropout(tf.zeros([0, WIDTH]), 0.5, SEED).shape == (0, WIDTH)


@pytest.mark.parametrize("rate", [0.001, 0.999])
def test_rates_at_the_ends_drop_some_and_keep_some(rate):
    kept = np.count_nonzero(dropout(tf.ones([40_000]), rate, SEED))
    assert 0 < kept < 40_000


@pytest.mark.parametrize("first, last", [(0, 301), (0, 100), (100, 301), (17, 18), (301, 301)])
def test_a_part_of_a_batch_drops_what_the_batch_drops_there(first, last):
    whole, part = dropout(X, 0.3, SEED), dropout(X[first:last], 0.3, Seed(SEED.key, before=tf.constant(first)))
    np.testing.assert_array_equal(part, whole[first:last])


def test_what_a_row_has_says_where_a_part_begins():
    seed = Seed(SEED.key, before=100, rows=7)
    assert site_seed(seed, 1).before == 100
    assert site_seed(seed, 1, a_row=3).before == 21
