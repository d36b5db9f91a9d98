"""Dropout as a function of a seed: no state, so a step can be done again with the same noise.

Drawing random numbers is what dropout costs on a CPU, so a byte decides an element where Keras draws a float for it;
and Keras' generators take no seed that is a tensor, hence TensorFlow's.

The noise of a batch is one stream of bytes. A replica or an accumulated part that holds some rows of the batch reads
the stream from where its own begin: so what is dropped of an example does not depend on who computes it.
"""

from dataclasses import dataclass, replace

import tensorflow as tf

SITE_STRIDE = 0x1E3779B1  # an odd number far from 0: seeds of neighbouring sites and steps never meet
BLOCK = 16  # bytes that one count of the generator gives (Salmon et al. 2011, Philox4x32)


@dataclass(frozen=True)
class Seed:
    """Whence the noise of a batch, or of a part of it, comes.

    Args:
        key: int32 [2].
        before: int32, how many slices of the dropped tensor's first axis the batch has before this part: tokens, unless
            `site_seed` was told otherwise.
        rows: int32, how many rows the batch has before this part.
    """

    key: tf.Tensor
    before: tf.Tensor | int = 0
    rows: tf.Tensor | int = 0


def site_seed(seed: Seed | None, site: int, a_row: int | tf.Tensor | None = None) -> Seed | None:
    """The seed of one of the places that drop in a model; None for None (inference).

    Args:
        seed: of the whole model, for tokens.
        site: the place's number.
        a_row: slices that a row has in what is dropped; None where there is a slice a token.

    >>> site_seed(Seed(tf.constant([0, 5]), before=30, rows=2), 2).key.numpy().tolist()
    [1013904226, 5]
    >>> site_seed(Seed(tf.constant([0, 5]), before=30, rows=2), 2, a_row=1).before
    2
    """
    if seed is None:
        return None
    key = seed.key + tf.constant([site * SITE_STRIDE % 2**31, 0], seed.key.dtype)
    return replace(seed, key=key, before=seed.before if a_row is None else seed.rows * a_row)


def dropout(x: tf.Tensor, rate: float, seed: Seed | None) -> tf.Tensor:
    """Zeroes each element with probability `rate` and scales the others by 1 / (1 - rate) (Srivastava et al. 2014).

    `rate` is rounded to 1/256, to 1/256 at least and 255/256 at most; the scale is that of the rounded rate, so the
    mean stays what it was.

    Args:
        x: float, any shape.
        rate: in [0, 1).
        seed: equal seeds drop equal places; None drops nothing (inference).

    >>> dropout(tf.ones([4]), 0.5, None).numpy().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if seed is None or not rate:
        return x
    return x * tf.cast(kept(noise(tf.shape(x), rate, seed), rate), x.dtype)


def noise(shape: tf.Tensor, rate: float, seed: Seed) -> tf.Tensor:
    """A random byte for each element of a shape, uint8; none, [], where the rate is 0."""
    if not rate:
        return tf.zeros([], tf.uint8)
    size = tf.reduce_prod(shape)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed.key)
    whole = isinstance(seed.before, int) and not seed.before
    if not whole:
        first = tf.cast(seed.before, tf.int64) * tf.cast(tf.reduce_prod(shape[1:]), tf.int64)  # byte of the stream
        counter += tf.cast(tf.stack([first // BLOCK, 0]), tf.uint64)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[(size + 3) // 4 if whole else (size + BLOCK + 2) // 4],
        key=key,
        counter=counter,
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.int32,
    )
    stream = tf.reshape(tf.bitcast(words, tf.uint8), [-1])
    begin = 0 if whole else tf.cast(first % BLOCK, tf.int32)
    return tf.reshape(tf.slice(stream, [begin], [size]), shape)


def kept(bits: tf.Tensor, rate: float) -> tf.Tensor:
    """What dropout multiplies by: 0 or 1 / (1 - rate), float32, told by the bytes of `noise`; 1 where the rate is 0."""
    if not rate:
        return tf.ones([])
    threshold = min(max(round(rate * 256), 1), 255)
    return tf.cast(bits >= threshold, tf.float32) * (256.0 / (256 - threshold))
