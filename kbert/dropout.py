"""Dropout as a function of a seed: no state, so a step can be done again with the same noise.

Drawing random numbers is what dropout costs on a CPU, so a byte decides an element where Keras draws a float for it;
and Keras' generators take no seed that is a tensor, hence TensorFlow's.
"""

import tensorflow as tf

SITE_STRIDE = 0x1E3779B1  # an odd number far from 0: seeds of neighbouring sites and steps never meet


def site_seed(seed: tf.Tensor | None, site: int) -> tf.Tensor | None:
    """The seed of one of the places that drop in a model: int32 [2], or None for None (inference).

    >>> site_seed(tf.constant([0, 5]), 2).numpy().tolist()
    [1013904226, 5]
    """
    return None if seed is None else seed + tf.constant([site * SITE_STRIDE % 2**31, 0], seed.dtype)


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Zeroes each element with probability `rate` and scales the others by 1 / (1 - rate) (Srivastava et al. 2014).

    `rate` is rounded to 1/256, to 1/256 at least and 255/256 at most; the scale is that of the rounded rate, so the
    mean stays what it was.

    Args:
        x: float, any shape.
        rate: in [0, 1).
        seed: int32 [2], equal seeds drop equal places; None drops nothing (inference).

    >>> dropout(tf.ones([4]), 0.5, None).numpy().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if seed is None or not rate:
        return x
    return x * tf.cast(kept(noise(tf.shape(x), rate, seed), rate), x.dtype)


def noise(shape: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """A random byte for each element of a shape, uint8; none, [], where the rate is 0."""
    if not rate:
        return tf.zeros([], tf.uint8)
    size = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform([(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int32)
    return tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], shape)


def kept(bits: tf.Tensor, rate: float) -> tf.Tensor:
    """What dropout multiplies by: 0 or 1 / (1 - rate), float32, told by the bytes of `noise`; 1 where the rate is 0."""
    if not rate:
        return tf.ones([])
    threshold = min(max(round(rate * 256), 1), 255)
    return tf.cast(bits >= threshold, tf.float32) * (256.0 / (256 - threshold))
