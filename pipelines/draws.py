"""Draws: the random choices of examples, functions of a seed alone. S sentences."""

import tensorflow as tf


def split(seed: tf.Tensor, number: int) -> list[tf.Tensor]:
    """Seeds that differ, int64 [2] each, of one."""
    return tf.unstack(tf.random.split(seed, number))


def uniform(shape, seed: tf.Tensor) -> tf.Tensor:
    """In [0, 1); float64, since times a number of sentences it has to be under that number."""
    return tf.random.stateless_uniform(shape, seed, dtype=tf.float64)


def below(limits: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Draws in [0, 1) -> whole numbers from 0 to limit - 1, int64; 0 for a limit of 0."""
    return tf.cast(draws * tf.cast(limits, draws.dtype), tf.int64)


def targets(number: tf.Tensor, room: int, short_share: float, seed: tf.Tensor) -> tf.Tensor:
    """Tokens wanted in the example that each of a number of sentences would begin, int64 [S]."""
    coins, draws = tf.unstack(uniform([2, number], seed))
    return tf.where(coins < short_share, 2 + below(tf.constant(room - 1), draws), room)
