"""Pooling: the vectors of a text's tokens -> one vector of the text (Reimers and Gurevych 2019, section 3).

B texts, T tokens of the longest, N tokens of the layout, D width.

Sums go through rows [B, T, D] in either layout: that is a gather and one product, where sums of segments would have to
be told the rows of all tokens first; batches hold rows of like length, so that little of a row is padding.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from keras import ops

from kbert.layout import Layout

SMALLEST_SQUARE = 1e-24  # of a vector's length, so that one of zeros stays zeros


def mean(layout: Layout, tokens, input_mask):
    """The mean of the vectors of a text's tokens, [CLS] and [SEP] among them: [N, D] -> float32 [B, D].

    Args:
        layout: of the tokens.
        tokens: float [N, D].
        input_mask: int [B, T], 1 = a token.
    """
    rows = layout.to_rows(ops.cast(tokens, "float32"), tokens.shape[-1])  # [B, T, D]
    real = ops.cast(input_mask, "float32")
    shares = real / ops.sum(real, axis=1, keepdims=True)  # [B, T], sum to 1
    return ops.matmul(shares[:, None], rows)[:, 0]  # [B, 1, T] x [B, T, D]


def first(layout: Layout, tokens, input_mask):
    """The vector of [CLS] as the last block leaves it: [N, D] -> float32 [B, D]; args as those of `mean`."""
    return ops.cast(layout.first(tokens), "float32")


def largest(layout: Layout, tokens, input_mask):
    """In each place of a vector the largest number of all tokens: [N, D] -> float32 [B, D]; args as those of `mean`."""
    rows = layout.to_rows(ops.cast(tokens, "float32"), tokens.shape[-1])  # [B, T, D]
    lowest = -1e30  # also where Keras starts, which else refuses a batch of no texts
    return ops.max(ops.where(ops.cast(input_mask, "bool")[:, :, None], rows, lowest), axis=1, initial=lowest)


POOLINGS: Mapping[str, Callable] = MappingProxyType({"mean": mean, "cls": first, "max": largest})


def check_pooling(name: str, *more: str) -> str:
    """A name of `POOLINGS`, or one of `more`.

    >>> check_pooling("sum")
    Traceback (most recent call last):
    ValueError: pooling is one of mean, cls, max; got 'sum'.
    """
    known = (*more, *POOLINGS)
    if name not in known:
        raise ValueError(f"pooling is one of {', '.join(known)}; got {name!r}.")
    return name


def unit_length(vectors):
    """Vectors float32 [..., D] with length 1; one of zeros stays as it is.

    >>> unit_length(ops.convert_to_tensor([[3.0, 4.0], [0.0, 0.0]])).numpy().round(4).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    squares = ops.sum(vectors * vectors, axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, SMALLEST_SQUARE))
