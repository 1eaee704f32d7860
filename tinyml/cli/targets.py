"""``tinyml targets``: the boards that a bundle can be made for."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyml.cli.terminal import put, put_json, table
from tinyml.core.target import all_targets


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the boards there are.

    With CPU, memory, formats and the newest runtimes that exist there.
    """
    found = list(all_targets().values())
    if as_json:
        put_json([target.to_json() for target in found])
        return
    rows = [
        (
            target.name,
            ", ".join(target.aliases),
            target.board,
            target.cpu,
            f"{target.memory_mb:,}" if target.memory_mb else "-",
            ", ".join(target.formats),
            ", ".join(f"{name} {version}" for name, version in target.runtimes.items()),
        )
        for target in found
    ]
    head = ("name", "alias", "board", "cpu", "memory MB", "formats", "runtimes")
    put(table(head, rows))
