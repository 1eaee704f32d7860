"""How much of each model file a runtime's delegate takes: measured, told, required."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinyml.core.bundle import ModelFile
from tinyml.core.errors import UsageError, ValidationError
from tinyml.core.typed_json import to_json
from tinyml.pages.tables import paragraph
from tinyml.pipeline.formats import all_formats, runtime_for, runtime_of
from tinyml.runtimes.delegation import Delegation, delegation_by_module, measured

# onnxruntime's CPU provider is no delegate: there is nothing that it could leave.
NO_DELEGATE = "onnxruntime runs every operator itself: it has no delegate"
NAMED = 6

Delegations = Mapping[str, Delegation | None]


def delegation_of(path: Path) -> Delegation | None:
    """``None`` where the runtime of the file's format has no delegate. Raises as `measured`."""
    return measured(path) if runtime_for(path).has_delegate else None


def of_models(folder: Path, models: Iterable[ModelFile]) -> Delegations:
    """File -> what is taken of it."""
    return {
        model.path: delegation_by_module(delegation_of(folder / model.path), model.modules)
        for model in models
    }


def report(found: Delegation | None) -> dict[str, Any]:
    """As JSON, for reports and the manifest; without a delegate a ``note`` that says so."""
    if found is None:
        return {"note": NO_DELEGATE}
    return {**to_json(found), "node_share": found.node_share, "mac_share": found.mac_share}


def delegation_lines(found: Delegations) -> list[str]:
    """A line a file, for a person."""
    return [
        paragraph("", f"delegation: {path}: {NO_DELEGATE if own is None else summary(own)}")
        for path, own in found.items()
    ]


def summary(found: Delegation) -> str:
    """Shares, and what is left by name."""
    macs = "no MACs" if found.mac_share is None else f"{found.mac_share:.1%} of the MACs"
    taken = f"{found.delegate} takes {found.delegated} of {found.nodes} operators, {macs}"
    left = [f"{own.op} '{own.name}'" for own in found.undelegated]
    more = [f"{len(left) - NAMED} more"] if len(left) > NAMED else []
    more += [f"{found.unseen} in loops and branches, unseen"] if found.unseen else []
    named = ", ".join([*left[:NAMED], *more])
    return f"{taken}; left: {named}" if named else taken


def check_requirement(formats: Sequence[str]) -> None:
    """`UsageError` where ``require_delegate`` has nothing to ask."""
    able = [known.name for known in all_formats() if runtime_of(known).has_delegate]
    if not set(able) & set(formats):
        raise UsageError(
            f"`require_delegate` is for {' and '.join(able)}: {NO_DELEGATE}",
            hint=f"choose `formats={able[0]}`",
        )


def require_all(found: Delegations) -> None:
    """`ValidationError` for the first file of which the delegate leaves something."""
    for path, own in found.items():
        if own is not None and not own.whole:
            fixes = dict.fromkeys(left.fix for left in own.undelegated)
            raise ValidationError(
                f"{path} is not all delegated: {summary(own)}", hint="; ".join(fixes)
            )
