"""``tinyml models``: what can be trained and exported, with its cost."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyml.cli.terminal import put, put_json, table


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models and what they cost.

    macs counts convolutions and linear layers of the network; the front end is apart.
    """
    from tinyml.pipeline.models import models

    rows = models()
    if as_json:
        put_json(rows)
        return
    head = ("name", "parameters", "macs", "front end MAC/s", "input", "paper")
    put(
        table(
            head,
            [
                (
                    row["name"],
                    f"{row['parameters']:,}",
                    f"{row['macs']:,}",
                    f"{row['front_end_macs_per_second']:,.0f}"
                    if row.get("front_end_macs_per_second")
                    else "-",
                    row["input"],
                    row["paper"],
                )
                for row in rows
            ],
        )
    )
