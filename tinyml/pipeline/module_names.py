"""The user's submodules behind the tensors of a bundle's model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle_folder import bundle_around
from tinyml.core.errors import BundleError
from tinyml.modelfile.summary import Summary


def modules_of(file: Path) -> Mapping[str, str]:
    """Tensor -> submodule, of a model file that lies in a bundle; empty for any other file."""
    around = bundle_around(file)
    if around is None:
        return {}
    try:
        models = bundles.read(around).models
    except BundleError:  # names are an extra: the file itself can be shown without its manifest
        return {}
    return next((model.modules for model in models if model.path == file.name), {})


def with_modules(summary: Summary, modules: Mapping[str, str]) -> Summary:
    """``summary`` with the submodule of each layer, where ``modules`` has it."""
    named = (replace(layer, module=modules.get(layer.name, "")) for layer in summary.layers)
    return replace(summary, layers=tuple(named))
