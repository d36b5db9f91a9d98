"""Bytes and seconds of the exchange of gradients by a model on paper: the tables of docs/distributed.md.

python -m benchmarks.scaling writes them there. R rows of a worker, T tokens of a row, W workers.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import markdown
from kbert.config import SIZES, BertConfig
from kbert.whole_files import beside

PAGE = Path(__file__).resolve().parents[1] / "docs" / "distributed.md"
FLOAT_BYTES = 4  # gradients are those of float32 variables, under mixed_bfloat16 too
PREDICTED = 0.15  # of tokens
WORKERS = (8, 64, 256)
SIZES_ON_PAPER = ("base", "large")


@dataclass(frozen=True)
class Link:
    """What joins a worker to the others.

    Args:
        name: for a table.
        bytes_per_second: that a worker can send, while it receives as many.
        latency: seconds from a worker to the next.
    """

    name: str
    bytes_per_second: float
    latency: float


@dataclass(frozen=True)
class Assumed:
    """What the predictions assume of hardware that was not there.

    Args:
        flops: sustained by a worker in a step, a second; a third of 312e12, the dense bfloat16 peak that NVIDIA gives
            for the A100.
        usable: share of a link's nominal rate.
        latency: seconds from a worker to the next.
        gigabits: nominal rates of links.
        rows, length: of a worker's batch where workers bring their own rows, R and T.
        parts: that it accumulates in before an exchange, where it does.
        batch: rows of all workers where the batch stays.
    """

    flops: float = 100e12
    usable: float = 0.8
    latency: float = 50e-6
    gigabits: tuple[int, ...] = (10, 25, 100)
    rows: int = 32
    length: int = 512
    parts: int = 8
    batch: int = 4096


def parameters(config: BertConfig) -> int:
    """Trainable numbers of a `kbert.Pretrainer` with both heads.

    >>> parameters(SIZES["base"])
    110106428
    """
    width, inner, words = config.hidden_size, config.intermediate_size, config.vocab_size
    norm, square = 2 * width, width * width + width
    tables = (words + config.max_position_embeddings + config.type_vocab_size) * width + norm
    block = 4 * square + 2 * width * inner + inner + width + 2 * norm
    heads = square + (square + norm + words) + 2 * width + 2  # pooler, masked tokens (the table is tied), pairs
    return tables + config.num_hidden_layers * block + heads


def gradient_bytes(config: BertConfig) -> int:
    """Of the gradients of one step."""
    return FLOAT_BYTES * parameters(config)


def sent_bytes(gradients: float, workers: int) -> float:
    """That each worker sends in a ring: every part goes round twice, once to be summed, once as a sum."""
    return 2 * (workers - 1) / workers * gradients


def exchange_seconds(gradients: float, workers: int, link: Link) -> float:
    """Of a ring all-reduce (Patarasuk and Yuan 2009).

    >>> exchange_seconds(1e6, 2, Link("a", 1e6, 0.5))
    2.0
    """
    return sent_bytes(gradients, workers) / link.bytes_per_second + 2 * (workers - 1) * link.latency


def step_flops(config: BertConfig, rows: float, length: int) -> float:
    """Multiplications and additions of a step: products of matrices alone, three times those of a forward pass."""
    width = config.hidden_size
    block = 2 * (4 * width * width + 2 * width * config.intermediate_size) + 4 * length * width
    head = PREDICTED * 2 * (width * width + width * config.vocab_size)
    return 3 * rows * length * (config.num_hidden_layers * block + head)


def efficiency(config: BertConfig, rows: float, workers: int, link: Link, assumed: Assumed) -> float:
    """Share of a step in which workers compute; nothing is exchanged meanwhile."""
    compute = step_flops(config, rows, assumed.length) / assumed.flops
    return compute / (compute + exchange_seconds(gradient_bytes(config), workers, link))


def bytes_table() -> str:
    """Bytes of gradients by size."""
    rows = []
    for name, config in SIZES.items():
        size = gradient_bytes(config)
        sent = [f"{sent_bytes(size, workers) / 1e6:,.1f}" for workers in (2, *WORKERS)]
        rows.append((name, f"{parameters(config):,}", f"{size / 1e6:,.1f}", *sent))
    return markdown(("size", "weights", "gradients, MB", *(f"sent by each of {w}, MB" for w in (2, *WORKERS))), rows)


def prediction_table(assumed: Assumed = Assumed()) -> str:  # noqa: B008 - frozen
    """Milliseconds and efficiency by size and link; in a cell those of `WORKERS`."""
    rows = []
    for name in SIZES_ON_PAPER:
        config = SIZES[name]
        compute = step_flops(config, assumed.rows, assumed.length) / assumed.flops
        for gigabits in assumed.gigabits:
            link = Link(f"{gigabits} Gbit/s", gigabits * 1e9 / 8 * assumed.usable, assumed.latency)
            each = [exchange_seconds(gradient_bytes(config), workers, link) for workers in WORKERS]
            own, parts, shared = (
                [efficiency(config, rows_of(workers), workers, link, assumed) for workers in WORKERS]
                for rows_of in (
                    lambda _: assumed.rows,
                    lambda _: assumed.rows * assumed.parts,
                    lambda workers: assumed.batch / workers,
                )
            )
            rows.append(
                (
                    *(name, link.name, f"{1e3 * compute:,.0f}", " / ".join(f"{1e3 * one:,.0f}" for one in each)),
                    *(" / ".join(f"{one:.0%}" for one in several) for several in (own, parts, shared)),
                )
            )
    asked = (f"{assumed.rows} rows each", f"{assumed.parts} parts of {assumed.rows} rows each")
    header = ("size", "link", f"{assumed.rows} rows, ms", "exchange, ms")
    header += tuple(f"efficiency, {rows}" for rows in (*asked, f"{assumed.batch:,} rows in all"))
    return markdown(header, rows)


def filled(page: str) -> str:
    """A page with its tables between their marks.

    Raises:
        ValueError: a mark is missing.
    """
    for name, table in (("bytes", bytes_table()), ("predicted", prediction_table())):
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marks.search(page):
            raise ValueError(f"the page must have the marks <!-- {name} --> and <!-- end -->; got neither. Add them.")
        page = marks.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page)
    return page


if __name__ == "__main__":
    with beside(PAGE) as unfinished:
        unfinished.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
