"""What is slow, large or fragile in the files, each with its fix; and what the delegate leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from tinyml.core.bundle import Bundle
from tinyml.core.bundle_facts import Report
from tinyml.core.diagnosis import findings_by_module
from tinyml.core.errors import BundleError
from tinyml.core.typed_json import from_json
from tinyml.pages.report.content import Badge, Block, Note, Notes, Prose, ReportSection, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.units import counted

LEAD = "What is slow, large or fragile in the model files, what it costs, and what to do about it."
T = TypeVar("T")
DENSE = "dense"
MOST_OPEN = 6


@dataclass(frozen=True, slots=True)
class _Left:
    op: str
    name: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class _Delegation:
    """What this page shows of the manifest's ``delegation``; a note alone has no ``delegate``."""

    delegate: str = ""
    nodes: int = 0
    delegated: int = 0
    mac_share: float | None = None
    undelegated: tuple[_Left, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kernel:
    kernel: str


@dataclass(frozen=True, slots=True)
class _Sparse:
    """What this page shows of the manifest's ``sparse``."""

    uses_sparse_kernels: bool
    runtime: str
    version: str
    layers: tuple[_Kernel, ...]
    predicted_speedup: float | None = None


def section(material: Material) -> ReportSection:
    """Findings by file, the delegate's part and, of sparse files, the kernels."""
    bundle = material.bundle
    blocks: list[Block] = []
    for own in bundle.models:
        found = findings_by_module(bundle.facts.lint.get(own.path, ()), own.modules)
        notes = [
            Note(
                one.rule.replace("_", " "),
                one.node,
                material.in_options(one.cost),
                material.in_options(one.fix),
            )
            for one in found
        ]
        if notes:
            blocks.append(Notes(own.path, notes))
    if not blocks:
        blocks.append(Prose("Nothing was found in these files."))
    blocks += _delegation(material, bundle)
    if bundle.facts.sparse:
        blocks.append(_sparse(bundle))
    return ReportSection("findings", "Findings and fixes", LEAD, blocks)


def _delegation(material: Material, bundle: Bundle) -> list[Block]:
    rows: list[tuple[str | Badge, ...]] = []
    left: list[tuple[str, ...]] = []
    for path, report in bundle.facts.delegation.items():
        own = _typed(_Delegation, report, bundle, "delegation")
        if not own.delegate:
            continue
        mark = Badge("in part", "bad")
        if own.nodes == own.delegated:
            mark = Badge("every operator", "good")
        macs = "-" if own.mac_share is None else f"{own.mac_share:.0%}"
        rows.append((path, own.delegate, mark, f"{own.delegated} of {own.nodes}", macs))
        left += [(one.op, one.name, material.in_options(one.fix)) for one in own.undelegated]
    if not rows:
        return []
    head = ("file", "delegate", "runs", "operators", "share of MACs")
    found: list[Block] = [Table("What the runtime's delegate runs", head, rows)]
    if left:
        title = f"{counted(len(left), 'operator')} that the delegate does not run"
        found.append(Table(title, ("operator", "name", "fix"), left, fold=len(left) > MOST_OPEN))
    return found


def _sparse(bundle: Bundle) -> Table:
    rows: list[tuple[str | Badge, ...]] = []
    for path, report in (bundle.facts.sparse or {}).items():
        own = _typed(_Sparse, report, bundle, "sparse")
        mark = Badge("yes", "good") if own.uses_sparse_kernels else Badge("no", "bad")
        layers = sum(one.kernel != DENSE for one in own.layers)
        gain = "-" if own.predicted_speedup is None else f"{own.predicted_speedup:.2f}"
        count = f"{layers} of {len(own.layers)}"
        rows.append((path, mark, f"{own.runtime} {own.version}", count, gain))
    head = ("file", "sparse kernels run", "runtime", "layers", "predicted time, dense / sparse")
    return Table(f"Weights that are stored sparse, on {bundle.target}", head, rows)


def _typed(kind: type[T], report: Report, bundle: Bundle, what: str) -> T:
    return from_json(kind, dict(report), what=f"{bundle.folder}: {what}", error=BundleError)
