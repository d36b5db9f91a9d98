"""Files dealt out over the workers of a training: each file to one worker, about as many bytes to each."""

import random
from collections.abc import Sequence


def deal(sizes: Sequence[int], num_workers: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Numbers of the files of each worker, a function of the arguments alone.

    The seed shuffles the files; then the largest that is left goes to whoever has the fewest bytes, so that the epochs
    of the workers are of about one length.

    Args:
        sizes: bytes of each file.
        num_workers: who share them.
        seed: decides between files of one size.

    Raises:
        ValueError: fewer files than workers.

    >>> deal([30, 10, 20, 40], num_workers=2, seed=0)
    ((1, 3), (0, 2))
    """
    if len(sizes) < num_workers:
        raise ValueError(
            f"each worker reads files of its own, so there are at least as many files as workers, {num_workers}; got "
            f"{len(sizes)}. Use --shards batch, which needs no more than one, or divide the text into more files."
        )
    numbers = random.Random(f"{seed}/deal").sample(range(len(sizes)), len(sizes))
    dealt, loads = [[] for _ in range(num_workers)], [(0, 0, worker) for worker in range(num_workers)]
    for number in sorted(numbers, key=lambda number: -sizes[number]):
        load, count, worker = min(loads)
        dealt[worker].append(number)
        loads[worker] = (load + sizes[number], count + 1, worker)
    return tuple(tuple(sorted(own)) for own in dealt)
