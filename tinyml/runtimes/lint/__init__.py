"""What a model file is slow, large or fragile for, read from the file that is shipped.

One rule per file, each ``(ModelGraph, Target | None) -> findings``; a rule that needs to
know the target is silent without one. Quiet is the normal case: a rule fires where its
cost can be named and a cure exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tinyml.core.target import Target
from tinyml.runtimes.file_graph import ModelGraph, read_graph
from tinyml.runtimes.file_tflite import whole
from tinyml.runtimes.lint.finding import Finding
from tinyml.runtimes.lint.float64_leftovers import float64_leftovers
from tinyml.runtimes.lint.large_activations import large_activations
from tinyml.runtimes.lint.large_constants import large_constants
from tinyml.runtimes.lint.layout_transposes import layout_transposes
from tinyml.runtimes.lint.slice_forests import slice_forests
from tinyml.runtimes.lint.small_epsilons import small_epsilons
from tinyml.runtimes.lint.unrolled_recurrences import unrolled_recurrences
from tinyml.runtimes.lint.xnnpack_leftovers import xnnpack_leftovers
from tinyml.runtimes.lint.zeros_run_dense import zeros_run_dense

Rule = Callable[[ModelGraph, Target | None], Iterator[Finding]]

RULES: dict[str, Rule] = {
    "unrolled_recurrences": unrolled_recurrences,
    "layout_transposes": layout_transposes,
    "xnnpack_leftovers": xnnpack_leftovers,
    "slice_forests": slice_forests,
    "float64_leftovers": float64_leftovers,
    "large_constants": large_constants,
    "small_epsilons": small_epsilons,
    "large_activations": large_activations,
    "zeros_run_dense": zeros_run_dense,
}


def lint(path: Path, target: Target | None = None) -> tuple[Finding, ...]:
    """Every finding of every rule in the model file ``path``.

    Raises `InputError` for a file that is no whole .onnx or .tflite, `MissingExtraError`
    without its reader.
    """
    graph = read_graph(path)
    with whole(path, graph.format):
        return tuple(finding for rule in RULES.values() for finding in rule(graph, target))
