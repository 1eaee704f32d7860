"""Refuse operators that only the user's process knows: no other could even read the program."""

from __future__ import annotations

from torch._ops import OpOverload
from torch.export import ExportedProgram

from tinyml.export.capture import failure_location
from tinyml.export.capture.failure_location import FailureLocation
from tinyml.export.capture.module_stack import module_stack

STANDARD = ("aten", "prim", "prims")


def refuse_custom(program: ExportedProgram) -> None:
    """Raise `ExportError` that names the first operator outside of PyTorch's own, and its line."""
    for node in program.graph.nodes:
        if isinstance(node.target, OpOverload) and node.target.namespace not in STANDARD:
            name, kind = module_stack(node)[-1]
            where = failure_location.from_stack(str(node.meta.get("stack_trace") or ""))
            own = node.target.name()  # type: ignore[no-untyped-call]
            message = f"it calls the custom operator '{own}', which no format has"
            found = FailureLocation(name, kind.rpartition(".")[2], where, message)
            raise failure_location.refusal(failure_location.CAPTURE, found, None, cut_short=False)
