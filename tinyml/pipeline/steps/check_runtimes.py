"""A file that needs a newer runtime than the target can get is refused, and older systems named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tinyml.core.bundle import ModelFile
from tinyml.core.errors import ValidationError
from tinyml.core.target import Target
from tinyml.pipeline.formats import named
from tinyml.pipeline.formats.of_target import newest_on, systems_without


def check_runtimes(folder: Path, models: Iterable[ModelFile], target: Target) -> list[str]:
    """A line for each file that some system of ``target`` cannot run, but another can.

    Raises `ValidationError` for one that none can run, naming what of the file asks for that.
    """
    lines = []
    for model in models:
        lacking = systems_without(target, model.minimum_runtime)
        if not lacking:
            continue
        needs = f"{model.path} needs {model.minimum_runtime}"
        there = newest_on(target, lacking, model.minimum_runtime)
        if len(lacking) == len(target.systems):
            part = named(model.format).newest_part(folder / model.path)
            raise ValidationError(
                f"{needs} for {part}: {target.name} has {there}",
                hint="replace that operator or precision, choose other `formats`, "
                "or another `target`",
            )
        lines.append(f"{needs}: some systems of {target.name} have {there}")
    return lines
