"""Every name a user can type, and the code behind it: one visible table per kind.

A value is ``"module:attribute"``, imported only by `load`, and `load` is called in
``pipeline`` and ``cli`` alone, so that a name in a table is no way around the import
rules. A test holds each table equal to its folder.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from tinyml.errors import UsageError

MODELS = {
    "funnelnet": "tinyml.models.funnelnet:FUNNELNET",
    "funnelnet-paper": "tinyml.models.funnelnet:FUNNELNET_PAPER",
}

DATA_SETS = {
    "circor": "tinyml.models.data.circor:load",
    "synthetic": "tinyml.models.data.synthetic:load",
}

RUNTIMES = {
    "litert": "tinyml.runtimes.litert:LITERT",
    "onnxruntime": "tinyml.runtimes.ort:ONNXRUNTIME",
}

WRITERS = {
    "onnx": "tinyml.export.write_onnx",
    "tflite": "tinyml.export.write_tflite",
}

RUNTIME_OF_FORMAT = {"onnx": "onnxruntime", "tflite": "litert"}

PRECISIONS = {
    "fp32": "tinyml.export.precision.fp32",
    "fp16": "tinyml.export.precision.fp16",
}

TABLES: dict[str, dict[str, str]] = {
    "model": MODELS,
    "data set": DATA_SETS,
    "runtime": RUNTIMES,
    "format": WRITERS,
    "precision": PRECISIONS,
}


def load(kind: str, name: str) -> Any:
    """The object registered as ``name``; `UsageError` with a suggestion if there is none."""
    table = TABLES[kind]
    if name not in table:
        raise unknown_name(kind, name, table)
    module, _, attribute = table[name].partition(":")
    imported = importlib.import_module(module)
    return getattr(imported, attribute) if attribute else imported


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in ``known``, with the nearest as a hint."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {kind} '{name}'", hint=hint)
