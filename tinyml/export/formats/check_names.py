"""A written file has the names that its facts and the signature say: else its writer is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core.errors import InternalError
from tinyml.core.spec import Signature
from tinyml.modelfile.graph import Graph


def check_names(graph: Graph, signature: Signature, stages: Mapping[str, str | None]) -> None:
    """Raise `InternalError` unless ``graph`` has these ends and each tensor of ``stages``."""
    for kind, found, specs in (
        ("inputs", graph.inputs, signature.inputs),
        ("outputs", graph.outputs, signature.outputs),
    ):
        wanted = [spec.name for spec in specs]
        if list(found) != wanted:
            raise InternalError(
                f"the .{graph.format} file has the {kind} {list(found)} instead of {wanted}"
            )
    for stage, tensor in stages.items():
        if tensor is not None and tensor not in graph.tensors:
            raise InternalError(f"the .{graph.format} file has no '{tensor}', of stage '{stage}'")
