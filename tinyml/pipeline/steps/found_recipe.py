"""What ``auto_precision`` found, as a recipe: the same export again, without the search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinyml.core.export_settings import ExportSettings
from tinyml.core.files import write_text
from tinyml.core.settings import overlay, to_table
from tinyml.core.toml_text import toml_lines
from tinyml.pipeline.steps.export_plan import ExportPlan


def recipe_file(out: Path) -> Path:
    """Next to the bundle, never in it."""
    return out.with_name(f"{out.name}.recipe.toml")


def save_found(plan: ExportPlan, keep_float: Sequence[str]) -> Path:
    """Write the settings of ``plan`` with the stages ``keep_float``; returns the file's path."""
    kept = ExportSettings(keep_float=tuple(keep_float))
    found = overlay(plan.settings, kept, unset=("auto_precision", "max_drop_points"))
    path = recipe_file(plan.job.out)
    write_text(path, toml(plan.source.name, found))
    return path


def toml(model: str, found: ExportSettings) -> str:
    """The text of a recipe that holds only a model's name and how to export it."""
    lines = [
        "# Found by tinyml export --auto-precision. Again, without the search:",
        "# tinyml export MODEL --recipe THIS, with the same files (--calibration, --sample).",
        *toml_lines({"model": model}),
        "",
        "[export]",
    ]
    return "\n".join([*lines, *toml_lines(to_table(found))]) + "\n"
