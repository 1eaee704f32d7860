"""How much of a quantized file still computes in float: a precision's name does not tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tinyml.core.bundle import ModelFile
from tinyml.export.quantization.precision import find_precision
from tinyml.modelfile.summary import summarize


def with_float_share(folder: Path, models: Iterable[ModelFile]) -> tuple[ModelFile, ...]:
    """``models``, which lie in ``folder``, with the share of their MACs in float.

    Floats have none, and neither have files whose weights alone are quantized: all of them
    compute in float.
    """
    return tuple(
        replace(model, float_mac_share=_share(folder / model.path))
        if _is_quantized(model.precision)
        else model
        for model in models
    )


def _share(path: Path) -> float | None:
    """``None`` for a file without MACs, or where a shape is not known."""
    facts = summarize(path)
    return facts.float_macs / facts.macs if facts.macs and facts.float_macs is not None else None


def _is_quantized(precision: str) -> bool:
    found = find_precision(precision)
    return found.quantized and not found.weights_only
