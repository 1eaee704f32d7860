"""What makes a model file slow, large or fragile on any runtime, seen in its graph alone.

One rule per file, each ``(Graph, Target | None) -> findings``; a rule that needs to know the
target is silent without one. Quiet is the normal case: a rule fires where its cost can be
named and a remedy exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.lint.float64_tensors import float64_tensors
from tinyml.modelfile.lint.large_activations import large_activations
from tinyml.modelfile.lint.large_constants import large_constants
from tinyml.modelfile.lint.layout_transposes import layout_transposes
from tinyml.modelfile.lint.repeated_slices import repeated_slices
from tinyml.modelfile.lint.small_epsilons import small_epsilons
from tinyml.modelfile.lint.unrolled_recurrences import unrolled_recurrences

Rule = Callable[[Graph, Target | None], Iterator[Finding]]

RULES: Mapping[str, Rule] = {
    "unrolled_recurrences": unrolled_recurrences,
    "layout_transposes": layout_transposes,
    "repeated_slices": repeated_slices,
    "float64_tensors": float64_tensors,
    "large_constants": large_constants,
    "small_epsilons": small_epsilons,
    "large_activations": large_activations,
}
