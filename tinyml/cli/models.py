"""``tinyml models``: what can be trained and exported, with its cost."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tinyml.cli.terminal import put, put_json, table


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models and what they cost.

    macs counts convolutions and linear layers of the network; the front end is apart.
    nonzero is what a sparse preset leaves of the parameters. --json also has the options of
    a recipe's [architecture], and what recalibration (SE, scSE) would add.
    """
    from tinyml.pipeline.models import models

    rows = models()
    if as_json:
        put_json(rows)
        return
    head = ("name", "parameters", "nonzero", "macs", "front end MAC/s", "input", "paper")
    put(
        table(
            head,
            [
                (
                    row["name"],
                    f"{row['parameters']:,}",
                    _count(row, "nonzero"),
                    f"{row['macs']:,}",
                    _count(row, "front_end_macs_per_second"),
                    row["input"],
                    row["paper"],
                )
                for row in rows
            ],
        )
    )


def _count(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:,.0f}" if row.get(key) else "-"
