"""What the claims share: a recipe's file, and a plot of accuracy with its intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intervals import Mean
from length import Length

from tinyml.core.files import write_text
from tinyml.pages.plots import LINES, drawing, new_figure, save_figure


def recipe(
    home: Path,
    *,
    model: str,
    seed: int,
    length: Length,
    train: Mapping[str, Any],
    architecture: Mapping[str, Any] | None = None,
    prune: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    name: str = "recipe",
) -> Path:
    """Write a recipe's TOML into ``home`` and return its path."""
    limit = {"limit": length.per_class} if length.per_class else {}
    sections = {
        "architecture": dict(architecture or {}),
        "data": {"set": length.set, "options": {**limit, **(options or {})}},
        "train": {"epochs": length.epochs, **train},
        "prune": dict(prune or {}),
    }
    lines = [f"model = {json.dumps(model)}", f"seed = {seed}"]
    for section, values in sections.items():
        if values:
            lines += ["", f"[{section}]", *(f"{key} = {_toml(v)}" for key, v in values.items())]
    path = home / f"{name}.toml"
    write_text(path, "\n".join(lines) + "\n")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + " }"
    return json.dumps(value)


def curve_plot(
    path: Path, left: Sequence[float], lines: Mapping[str, Sequence[Mean]], dense: Mean
) -> str:
    """Accuracy against the weights that are left, in percent; returns the file's name."""
    with drawing():
        figure = new_figure((6.5, 3.6))
        axes = figure.add_subplot(1, 1, 1)
        for (name, means), color in zip(lines.items(), LINES, strict=False):
            values = [100 * own.value for own in means]
            errors = [100 * (own.half or 0.0) for own in means]
            axes.errorbar(left, values, errors, label=name, color=color, marker="o", capsize=3)
        axes.axhline(100 * dense.value, color="#5d6670", linestyle=":", label="dense")
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_xticks(list(left), [f"{share:g}" for share in left])
        axes.minorticks_off()
        axes.set_xlabel("weights left, %")
        axes.set_ylabel("test accuracy, %")
        axes.legend(frameon=False)
        save_figure(figure, path)
    return path.name
