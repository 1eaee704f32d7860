"""What phones give: averages that a program prints, without samples."""

from __future__ import annotations

from tinyml.core.averages import AverageTiming
from tinyml.pages.report.content import Block, Cell, Prose, Table, without_empty
from tinyml.pages.report.material import Material, where_text
from tinyml.pages.report.units import ms_of

LIMITS = (
    "A phone's times are averages that benchmark_model prints: there are no samples, and so no "
    "distribution, no percentiles and no verdict. It runs on its own random inputs, and "
    "its outputs were not compared."
)


def average_blocks(material: Material) -> list[Block]:
    """A table, and what it cannot show; nothing where there are no averages."""
    if not material.averages:
        return []
    rows: list[tuple[Cell, ...]] = [_row(material, own) for own in material.averages]
    head = ("file", "on", "part", "threads", "mean", "of a process", "min", "max", "processes")
    table = Table("Milliseconds of one call on a phone: averages", (*head, "discarded"), rows)
    return [without_empty(table), Prose(LIMITS)]


def _row(material: Material, own: AverageTiming) -> tuple[Cell, ...]:
    low, high = own.range_ns or (None, None)
    reasons = dict.fromkeys(process.discarded for process in own.processes if process.discarded)
    return (
        material.name_of(own.model_sha256) or own.model,
        where_text(own.conditions, own.label),
        f"{own.part}, as deployed" if own.plan.pace else own.part,
        str(own.conditions.threads or "-"),
        ms_of(own.mean_ns),
        "-" if low is None else f"{ms_of(low)} to {ms_of(high)}",
        ms_of(own.min_ns),
        ms_of(own.max_ns),
        f"{len(own.valid)} of {len(own.processes)}",
        "; ".join(reasons) or "-",
    )
