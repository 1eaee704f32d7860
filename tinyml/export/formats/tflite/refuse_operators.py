"""Refuse, before a conversion of minutes, operators that no rewrite took and LiteRT cannot run.

Its converter has no form for them, or one with a function of its own, as for a loop.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch.fx import Graph, Node

from tinyml.export.capture import failure_location
from tinyml.export.capture.failure_location import FailureLocation
from tinyml.export.capture.functional import WRITERS, name_of
from tinyml.export.capture.module_stack import module_stack
from tinyml.export.formats.tflite import TFLITE

_SORTED = "sort float32, int32 or int64, and take what you need from torch.sort(x, dim)"
_WRITTEN = (
    "TFLite takes scatters that copy, add, or keep the largest or smallest, at indices next to "
    "each other; a mask takes one value: torch.where(mask, value, x)"
)
_SORTS = ("sort", "argsort", "msort", "kthvalue", "median", "nanmedian", "mode", "quantile")
FIXES = {**dict.fromkeys(_SORTS, _SORTED), **dict.fromkeys((*WRITERS, "put"), _WRITTEN)}
Places = Mapping[str, tuple[str, str]]


def places_of(graph: Graph) -> Places:
    """Node -> (call, class) of the submodule that it is in, before the nodes are tagged."""
    return {node.name: (module_stack(node) or [("", "")])[-1] for node in graph.nodes}


def refuse_operators(graph: Graph, places: Places) -> None:
    """Raise `ExportError` that names the first such operator, its submodule and its line."""
    for node in graph.nodes:
        if node.op == "call_function" and name_of(node.target) in FIXES:
            raise failure_location.refusal(
                TFLITE.refusal, _located(node, places), None, cut_short=False
            )


def _located(node: Node, places: Places) -> FailureLocation:
    tag = next(iter(node.meta.get("nn_module_stack") or {}), node.name)
    name, kind = places.get(tag, ("", ""))
    where = failure_location.from_stack(str(node.meta.get("stack_trace") or ""))
    said = f"TFLite has no operator for {node.target} as it is called here"
    fix = FIXES[name_of(node.target)]
    return FailureLocation(name, kind.rpartition(".")[2], where, said, fix)
