"""``tinyml models``: what can be trained and exported, with its cost."""

from __future__ import annotations

from tinyml.cli.terminal import AsJson, put_json, put_table


def command(
    as_json: AsJson = False,
) -> None:
    """List the models and what they cost.

    MACs counts convolutions and linear layers of the network, without the front end; nonzero is
    how many parameters a sparse preset keeps. --json also has the exact count, the front end's
    cost, the paper, the options of a recipe's [architecture], and what recalibration (SE, scSE)
    would add.
    """
    from tinyml.pipeline.models import models

    rows = models()
    if as_json:
        put_json(rows)
        return
    head = ("name", "parameters", "nonzero", "MACs", "input")
    cells = [
        (
            row["name"],
            f"{row['parameters']:,}",
            f"{row['nonzero']:,}" if row.get("nonzero") else "-",
            f"{row['macs'] / 1e6:,.1f} M",
            row["input"].replace(" x ", "x"),
        )
        for row in rows
    ]
    put_table(head, cells, whole=("name",))
