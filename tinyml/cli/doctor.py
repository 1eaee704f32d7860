"""``tinyml doctor``: what this machine has and lacks."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyml.cli.terminal import put, put_json, put_table


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what this machine has and lacks.

    Python, CPU, memory, every package by extra, and how to install what is missing.
    """
    from tinyml.pipeline.doctor import examine

    found = examine()
    if as_json:
        put_json(found)
        return
    for name, value in found["machine"].items():
        put(f"{name:<12} {value}")
    put("")
    rows = [(p["extra"], p["package"], p["version"] or "missing") for p in found["packages"]]
    put_table(("extra", "package", "version"), rows)
    for hint in found["hints"]:
        put(f"\nhint: {hint}")
