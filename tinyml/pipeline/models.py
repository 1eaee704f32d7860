"""The table of models, read without building any."""

from __future__ import annotations

from typing import Any

from tinyml.models.table import read_table


def models() -> list[dict[str, Any]]:
    """One dict per model: name, parameters, macs, front end, input, paper, summary."""
    return read_table()
