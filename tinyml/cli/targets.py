"""``tinyml targets``: the boards that a bundle can be made for."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyml.cli.terminal import put_json, put_table
from tinyml.core.target import all_targets
from tinyml.core.typed_json import to_json


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the available boards.

    Shows CPU, memory and the newest version of each runtime for the board; --json also shows
    the formats.
    """
    found = list(all_targets().values())
    if as_json:
        put_json(to_json(found))
        return
    rows = [
        (
            target.name,
            ", ".join(target.aliases),
            target.board,
            target.cpu,
            f"{target.memory_mb:,}" if target.memory_mb else "-",
            "\n".join(f"{name} {version}" for name, version in target.runtimes.items()),
        )
        for target in found
    ]
    head = ("name", "alias", "board", "cpu", "memory MB", "runtimes")
    put_table(head, rows, whole=("name", "alias", "cpu", "runtimes"))
