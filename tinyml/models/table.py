"""The table behind ``tinyml models``: read without torch, regenerated from the modules.

``make tables`` writes ``table.json`` from every registered model; a test holds them equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyml.files import write_json
from tinyml.spec import ModelEntry

PATH = Path(__file__).with_name("table.json")


def read_table() -> list[dict[str, Any]]:
    """One dict per model, in the registry's order."""
    rows: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))
    return rows


def table(entries: Iterable[ModelEntry]) -> list[dict[str, Any]]:
    """The rows as counted from freshly built modules."""
    return [_row(entry) for entry in entries]


def _row(entry: ModelEntry) -> dict[str, Any]:
    from tinyml.models.cost import count_parameters, front_end_children, macs_by_child

    classes = len(entry.decision.labels)
    module, signature = entry.build(classes), entry.signature(classes)
    macs = macs_by_child(module, signature)
    front = sum(macs[name] for name in front_end_children(entry))
    spec = signature.inputs[0]
    row: dict[str, Any] = {
        "name": entry.name,
        "parameters": count_parameters(module),
        "macs": sum(macs.values()) - front,
    }
    if spec.rate_hz and entry.front_end:
        row["front_end_macs_per_second"] = round(front * spec.rate_hz / spec.shape[-1])
    elif entry.front_end:
        row["front_end_macs"] = front
    rate = f" at {spec.rate_hz} Hz" if spec.rate_hz else ""
    shape = " x ".join(map(str, spec.shape))
    return {
        **row,
        "input": f"{spec.name} {shape}{rate}",
        "paper": entry.paper,
        "summary": entry.summary,
    }


def write_table(entries: Iterable[ModelEntry]) -> None:
    """Regenerate ``table.json``."""
    write_json(PATH, table(entries))
