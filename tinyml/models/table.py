"""The table behind ``tinyml models``: read without torch, regenerated from the modules.

``make tables`` writes ``table.json`` from every registered model; a test holds them equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core.files import write_json
from tinyml.core.image_processor import ImageProcessor
from tinyml.models.protocol import ModelEntry

if TYPE_CHECKING:
    from torch import nn

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

    classes = len(entry.processor.labels)
    module, signature = _built(entry, classes), entry.signature(classes)
    macs = macs_by_child(module, signature)
    front = sum(macs[name] for name in front_end_children(entry))
    spec = signature.inputs[0]
    row: dict[str, Any] = {
        "name": entry.name,
        "parameters": count_parameters(module),
        **_nonzero(entry, module),
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
        **({"options": dict(entry.options)} if entry.options else {}),
        **_recalibrated(entry, row["parameters"], row["macs"]),
    }


def _nonzero(entry: ModelEntry, module: nn.Module) -> dict[str, int]:
    """Parameters left where the entry is a sparse preset."""
    from tinyml.models.sparsity import count_nonzero

    return {"nonzero": count_nonzero(module, entry.sparsity)} if entry.sparsity else {}


def _recalibrated(entry: ModelEntry, parameters: int, macs: int) -> dict[str, Any]:
    """What the gates of each kind of recalibration add, where the model takes them."""
    from tinyml.models.cost import count_macs, count_parameters
    from tinyml.models.recalibration import SCSE, SE

    if "recalibration" not in entry.options:
        return {}
    classes, added = len(entry.processor.labels), {}
    for kind in (SE, SCSE):
        other = entry.configured({"recalibration": kind})
        module = _built(other, classes)
        added[kind] = {
            "parameters": count_parameters(module) - parameters,
            "macs": count_macs(module, other.signature(classes)) - macs,
        }
    return {"recalibration": added}


def _built(entry: ModelEntry, classes: int) -> nn.Module:
    """The module; one for images has shapes alone, for that is all that counting needs."""
    import torch

    with torch.device("meta" if isinstance(entry.processor, ImageProcessor) else "cpu"):
        module: nn.Module = entry.build(classes)
    return module


def write_table(entries: Iterable[ModelEntry]) -> None:
    """Regenerate ``table.json``."""
    write_json(PATH, table(entries))
