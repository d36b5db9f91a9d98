"""`kbert search`: the texts of an index that are nearest to a query."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kbert.cli.output import Json, existing, show

Option = typer.Option


def search(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="Folder that kbert index wrote.")],
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="QUERY...", help="Else --input, or standard input, one a line.")
    ] = None,
    input: Annotated[Path | None, Option(help="File of queries, one a line.")] = None,
    top_k: Annotated[int, Option(min=1, help="Texts a query.")] = 10,
    as_json: Json = False,
) -> None:
    """Find the texts of an index that mean most of the same as a query. The search is exact.

    \b
    Example:
      kbert search documents.index "how to train a model" --top-k 5
    """
    from kbert.cli.errors import WrongUse

    if queries and input:
        raise WrongUse("Give queries or --input, not both.")

    from kbert.cli.searching import open_index

    opened = open_index(existing(index, "INDEX"))
    if not queries:
        from pipelines import read_texts

        queries = list(read_texts(existing(input, "--input") if input else sys.stdin).texts)
    answers = [
        {"query": query, "results": found} for query, found in zip(queries, opened.search(queries, top_k), strict=True)
    ]
    lines = []
    for answer in answers:
        lines += [answer["query"]] if len(answers) > 1 else []
        lines += [f"{one['score']:8.4f}  {one['text']}" for one in answer["results"]]
    show({"queries": answers}, lines, as_json)
