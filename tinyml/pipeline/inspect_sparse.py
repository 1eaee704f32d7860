"""Whether the sparse kernels of a target's runtime run a model file, and if not, why."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle import ModelFile
from tinyml.core.cpu_features import cpu_features
from tinyml.core.errors import InputError, ValidationError
from tinyml.core.target import Target, find_target
from tinyml.pages.tables import paragraph, table
from tinyml.pipeline.module_names import modules_of
from tinyml.runtimes.file_read import sparse_use_of
from tinyml.runtimes.sparse_support import SparseUse
from tinyml.runtimes.sparse_support.versions import (
    VERSIONS,
    default_runtime,
    is_on,
    newest_for,
)

WEB_ARCH = "wasm32"
# The pass whose count says that a file has such weights.
STORED = "store_sparse"


def inspect_sparse(
    path: Path, target: str, runtime: str | None = None, version: str | None = None
) -> SparseUse:
    """The verdict for the model file ``path``, or for the bundle's file that ``runtime`` reads.

    ``version``: the runtime's, by default the one that the target gets. Raises `UsageError`
    for a runtime that the target does not have, `InputError` for a file it does not read. The file
    is read in a child process.
    """
    return _inspect(path, find_target(target), runtime, version)


def _inspect(
    path: Path, known: Target, runtime: str | None = None, version: str | None = None
) -> SparseUse:
    if runtime is not None:
        newest_for(known, runtime)  # refused before the file is looked at
    file = _file_of(path, runtime)
    chosen = runtime or default_runtime(file)
    newest = newest_for(known, chosen)
    arch = WEB_ARCH if chosen == "litert-web" else _arch(known)
    return sparse_use_of(file, chosen, version or newest, arch, avx=_has_avx(known))


def of_models(folder: Path, models: Iterable[ModelFile], target: Target) -> dict[str, SparseUse]:
    """File -> the verdict on ``target``, of those that store weights without their zeros.

    None for a runtime that the target does not have, of which nothing is known.
    """
    return {
        model.path: _inspect(folder / model.path, target)
        for model in models
        if model.passes.get(STORED) and is_on(target, default_runtime(folder / model.path))
    }


def require_sparse(found: SparseUse) -> None:
    """`ValidationError` where the sparse kernels do not run."""
    if found.uses_sparse_kernels:
        return
    first = found.reasons[0]
    raise ValidationError(
        f"{found.runtime} {found.version} does not run it sparse: {first.headed}: "
        f"{first.value}, needed: {first.needed}",
        hint=first.fix,
    )


def _file_of(path: Path, runtime: str | None) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"no such file or directory: {path}")
        return path
    bundle = bundles.read(path)
    formats = [f for row in VERSIONS if row.runtime == (runtime or "litert") for f in row.formats]
    for model in bundle.models:
        if model.format in formats:
            return bundle.file(model)
    held = ", ".join(model.path for model in bundle.models)
    raise InputError(f"the bundle {path} has no .{formats[0]} file", hint=f"it holds {held}")


def _arch(target: Target) -> str:
    return platform.machine() if target.is_host else target.arch


def _has_avx(target: Target) -> bool:
    """Of an x86 target; where this machine does not tell, it is taken to have it."""
    known = cpu_features() if target.is_host else ()
    return not known or "avx" in known


def modules_for(path: Path, runtime: str | None = None) -> Mapping[str, str]:
    """Tensor -> submodule of the file that `inspect_sparse` reads, where that is known."""
    return modules_of(_file_of(path, runtime))


def sparse_text(found: SparseUse, modules: Mapping[str, str]) -> str:
    """The verdict, what prevents sparse kernels, and the network from top to bottom.

    ``modules``: tensor -> the user's submodule, whose name is shown instead.
    """
    return "\n".join([*_headline(found), *_reasons(found, modules), *_drawn(found, modules)])


def _headline(found: SparseUse) -> list[str]:
    name = f"{found.runtime} {found.version}"
    if found.runs_wrong:
        said = f"{name} gives wrong outputs, or none, with this file"
    elif found.uses_sparse_kernels:
        said = f"{name} runs it with sparse kernels"
        if told := found.speedup_text:
            said += f", {told}"
        else:
            said += "; how much faster, if at all, is not predicted for it"
    else:
        said = f"{name} runs it dense"
    saved = f"{found.stored_bytes:,} bytes stored, {found.dense_bytes:,} dense"
    return [paragraph("", said + (" (unchecked)" if found.unchecked else "")), saved]


def _reasons(found: SparseUse, modules: Mapping[str, str]) -> list[str]:
    lines = []
    for reason in found.reasons:
        lines += [
            paragraph(f"{reason.condition}: ", reason.value),
            *([paragraph("    layer:  ", _shown(reason.node, modules))] if reason.node else []),
            paragraph("    needed: ", reason.needed),
            paragraph("    fix:    ", reason.fix),
        ]
    return lines


def _shown(tensor: str, modules: Mapping[str, str]) -> str:
    return modules.get(tensor) or tensor


def _drawn(found: SparseUse, modules: Mapping[str, str]) -> list[str]:
    """``|`` stands inside the sparse part, ``x`` at what prevents it."""
    broken = {reason.node for reason in found.reasons}
    inside = set(found.cluster)
    weights = {layer.name: layer for layer in found.layers if layer.sparsity > 0}
    rows = []
    for name, op in found.operators:
        mark = "x" if name in broken else "|" if name in inside else ""
        layer = weights.get(name)
        told = (f"{layer.sparsity:.0%}", layer.kernel, f"{layer.mac_share:.1%}") if layer else ()
        rows.append((mark, op, _shown(name, modules), *(told or ("", "", ""))))
    head = ("", "operator", "layer", "zero", "kernel", "MACs")
    shown = len(head) if weights else 3
    return [table(head[:shown], [row[:shown] for row in rows], indent=2)]
