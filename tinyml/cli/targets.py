"""``tinyml targets``: the boards that a bundle can be made for."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyml.cli.terminal import AsJson, put, put_json, put_table
from tinyml.core.target import Target, all_targets, find_target
from tinyml.core.typed_json import to_json


def command(
    name: Annotated[
        str | None, typer.Argument(help="One target to explain: rpi5, or your own FILE.toml.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the available boards, or explain one and what it decides.

    The list shows CPU, memory and the newest version of each runtime for the board.

    Example: tinyml targets rpi5
    """
    if name is not None:
        _explain(find_target(name), as_json)
        return
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


def _explain(target: Target, as_json: bool) -> None:
    from tinyml.pipeline.explain_target import explain, explanation_text

    found = explain(target)
    if as_json:
        put_json(found.to_json())
        return
    put(explanation_text(found))
