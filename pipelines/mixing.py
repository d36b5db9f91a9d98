"""Mixing: streams of blocks in another order, in memory that does not grow with them."""

import itertools
import random
from collections import deque
from collections.abc import Iterator

from pipelines.blocks import Block


def take_turns(streams: Iterator[Iterator[Block]], most: int) -> Iterator[Block]:
    """Blocks of up to `most` streams in turn; where one ends the next takes its place."""
    turns = deque(itertools.islice(streams, most))
    while turns:
        stream = turns.popleft()
        block = next(stream, None)
        if block is not None:
            turns.append(stream)
            yield block
        elif (stream := next(streams, None)) is not None:
            turns.appendleft(stream)


def shuffle(blocks: Iterator[Block], order: random.Random, most: int) -> Iterator[Block]:
    """Blocks in a random order, drawn from a buffer of `most` bytes."""
    held, size = [], 0
    for block in blocks:
        held.append(block)
        size += len(block.text)
        while size > most:
            place = order.randrange(len(held))
            held[place], held[-1] = held[-1], held[place]
            drawn = held.pop()
            size -= len(drawn.text)
            yield drawn
    order.shuffle(held)
    while held:
        yield held.pop()
