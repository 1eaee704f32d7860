"""The sections of the report, one per file, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable

from tinyml.pages.report.content import ReportSection
from tinyml.pages.report.material import Material
from tinyml.pages.report.sections import (
    accuracy,
    examples,
    findings,
    inside,
    latency,
    model,
    parity,
    profile,
    quantization,
    reproduce,
    tradeoffs,
)

SECTIONS: tuple[Callable[[Material], ReportSection], ...] = (
    model.section,
    inside.section,
    accuracy.section,
    examples.section,
    parity.section,
    quantization.section,
    latency.section,
    profile.section,
    tradeoffs.section,
    findings.section,
    reproduce.section,
)


def all_sections(material: Material) -> list[ReportSection]:
    """Every section of the report of ``material``."""
    return [section(material) for section in SECTIONS]
