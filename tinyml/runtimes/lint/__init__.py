"""What a model file is slow, large or fragile for, read from the file that is shipped.

The rules about the graph are those of `tinyml.modelfile.lint`; the ones here, of the same
kind, ask what a runtime will do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile import lint as of_graph
from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.lint import Rule
from tinyml.modelfile.read import read_graph
from tinyml.runtimes.lint.not_delegated import not_delegated
from tinyml.runtimes.lint.pruned_but_dense import pruned_but_dense

RULES: Mapping[str, Rule] = {
    **of_graph.RULES,
    "not_delegated": not_delegated,
    "pruned_but_dense": pruned_but_dense,
}


def lint(
    path: Path, target: Target | None = None, read: Callable[[Path], Graph] = read_graph
) -> tuple[Finding, ...]:
    """Every finding of every rule in the model file ``path``, which ``read`` reads.

    Raises `InputError` for a file that is not a whole .onnx or .tflite, `MissingExtraError`
    without its reader.
    """
    graph = read(path)
    with reading(path):
        return tuple(finding for rule in RULES.values() for finding in rule(graph, target))
