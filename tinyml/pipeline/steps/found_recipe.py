"""What ``--auto-precision`` found, as a recipe: the same export again, without the search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tinyml.core.files import write_text
from tinyml.core.recipe import ExportRecipe
from tinyml.pipeline.quantization.quantize import QuantizeJob
from tinyml.pipeline.steps.export_plan import Plan


def recipe_file(out: Path) -> Path:
    """Beside the bundle, never in it."""
    return out.with_name(f"{out.name}.recipe.toml")


def save_found(plan: Plan, job: QuantizeJob, keep: Sequence[str]) -> Path:
    """Write the export of ``plan`` with the stages ``keep`` in float32; where it lies."""
    found = ExportRecipe(
        formats=plan.formats,
        precision=plan.precision,
        sparse=plan.sparse,
        io=job.io,
        ranges=job.ranges,
        calibration_samples=job.samples,
        keep_float=tuple(keep),
        weight_scales=job.weight_scales,
        equalize=job.equalize,
        front_end=job.front_end,
        correct_bias=job.correct_bias,
        rounding=job.rounding,
    )
    path = recipe_file(plan.job.out)
    write_text(path, toml(plan.source.name, found))
    return path


def toml(model: str, found: ExportRecipe) -> str:
    """The text of a recipe that says nothing but how to export."""
    lines = [
        "# Found by tinyml export --auto-precision. Again, without the search:",
        "# tinyml export MODEL --recipe THIS, with the same --calibration if there was one.",
        f"model = {json.dumps(model)}",
        "",
        "[export]",
    ]
    # Strings, numbers and lists of strings are written alike in JSON and TOML.
    lines += [f"{own.name} = {_value(getattr(found, own.name))}" for own in fields(found)]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
