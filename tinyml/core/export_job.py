"""What one call of an export is asked for: the model, its files, where the bundle goes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyml.core.export_settings import CHECKS, OWN_MODEL, QUANTIZATION, ExportSettings
from tinyml.core.settings import check, given, setting, settings_of


@dataclass(frozen=True, slots=True)
class ExportJob:
    """A model and a target, with files and places; how to export it is in ``settings``.

    model   a checkpoint, ``X:FACTORY``, or a registered name
    unset   names of settings that the recipe sets and this call takes back
    """

    model: str
    target: str = setting(
        "rpi (= rpi4), rpi5, rpi-zero2w, android, xnnpack (= host), or your own FILE.toml.",
        required=True,
    )
    out: Path = setting("Folder of the bundle.", required=True)
    recipe: Path | None = setting(
        "Recipe whose [export] is used instead of the checkpoint's; options here override it."
    )
    force: bool = setting("Replace an existing bundle.", False)

    calibration: Path | None = setting(
        ".npz of inputs by name with a leading sample axis. Default: the training part of the "
        "checkpoint's data set, else the one sample.",
        panel=QUANTIZATION,
    )
    weights: Path | None = setting(
        "State dict, .safetensors or .pt, for a factory or a model's name.", panel=OWN_MODEL
    )
    sample: Path | None = setting(
        ".npz of the inputs by name: their shapes and types are the model's.", panel=OWN_MODEL
    )
    labels: Path | None = setting("Names along an output's last axis, one a line.", panel=OWN_MODEL)
    data: Path | None = setting(
        "The data set's folder; default: below TINYML_DATA. With `metric`: an .npz of inputs by "
        "name with a leading sample axis, and 'targets'.",
        panel=CHECKS,
    )
    metric: str | None = setting(
        "Function of predictions and targets; needs `data`.",
        panel=CHECKS,
        metavar="PATH.py:FUNCTION",
    )
    keep_failed: Path | None = setting(
        "Where to leave the files of an export that fails the parity gate.", panel=CHECKS
    )
    settings: ExportSettings = field(default_factory=ExportSettings)
    unset: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self)

    def without(self, name: str) -> str:
        """The hint that takes ``name`` back, from the call or from the recipe that sets it."""
        if name in given(self.settings) or name not in settings_of(ExportSettings):
            return f"omit `{name}`"
        return f"take back what the recipe sets: `{name}=None`"


def export_job(
    model: str, target: str, out: Path, *, unset: Collection[str] = (), **options: Any
) -> ExportJob:
    """An `ExportJob` from one list of ``options``: fields of it and of `ExportSettings`.

    Raises `SettingError` for a value out of its range.
    """
    chosen = {name: own for name, own in options.items() if name in settings_of(ExportSettings)}
    files = {name: own for name, own in options.items() if name not in chosen}
    settings = ExportSettings(**chosen)
    return ExportJob(model, target, out, settings=settings, unset=tuple(unset), **files)
