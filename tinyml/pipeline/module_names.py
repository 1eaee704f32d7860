"""The user's submodules behind the tensors of a bundle's model file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle_folder import bundle_around
from tinyml.core.diagnosis import Finding
from tinyml.core.errors import BundleError
from tinyml.modelfile.summary import Summary
from tinyml.runtimes.delegation import Delegation


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


def findings_by_module(found: Iterable[Finding], modules: Mapping[str, str]) -> tuple[Finding, ...]:
    """``found`` with the submodule instead of the tensor, where ``modules`` has it."""
    return tuple(replace(own, node=modules.get(own.node, own.node)) for own in found)


def delegation_by_module(found: Delegation | None, modules: Mapping[str, str]) -> Delegation | None:
    """``found`` with the submodule of each operator that is left, where ``modules`` has it."""
    if found is None:
        return None
    left = tuple(replace(own, name=modules.get(own.name, own.name)) for own in found.undelegated)
    return replace(found, undelegated=left)
