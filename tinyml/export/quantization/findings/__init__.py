"""Why a quantized file differs from its float32 file: one rule a file, each with a fix.

As in `tinyml.runtimes.lint`, quiet is the normal case: a rule fires where what it costs
can be named and something can be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinyml.core.diagnosis import Finding
from tinyml.export.quantization.findings.biased_error import biased_error
from tinyml.export.quantization.findings.collapsed_classes import collapsed_classes
from tinyml.export.quantization.findings.cut_ranges import cut_ranges
from tinyml.export.quantization.findings.dead_channels import dead_channels
from tinyml.export.quantization.findings.evidence import Evidence
from tinyml.export.quantization.findings.outlier_ranges import outlier_ranges
from tinyml.export.quantization.findings.uneven_activations import uneven_activations
from tinyml.export.quantization.findings.uneven_joins import uneven_joins
from tinyml.export.quantization.findings.uneven_weights import uneven_weights

Rule = Callable[[Evidence], Iterator[Finding]]

RULES: dict[str, Rule] = {
    "collapsed_classes": collapsed_classes,
    "biased_error": biased_error,
    "uneven_weights": uneven_weights,
    "uneven_activations": uneven_activations,
    "uneven_joins": uneven_joins,
    "cut_ranges": cut_ranges,
    "outlier_ranges": outlier_ranges,
    "dead_channels": dead_channels,
}


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Every finding of every rule, the gravest rule first."""
    return tuple(finding for rule in RULES.values() for finding in rule(evidence))
