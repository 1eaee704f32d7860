"""Captured program -> ONNX, through PyTorch's exporter.

``python -m tinyml.export.formats.onnx.write PROGRAM.pt2 CAPTURE.json OUT FACTS.json [STAGE...]``

Further arguments: see `tinyml.export.formats.instrumented.run_writer`.

Opset 18 is the oldest that PyTorch's exporter writes without converting versions: it
serves the old runtimes of boards best. PyTorch stamps IR version 10 for the metadata
that is stripped here; what is left needs only IR version 8, opset 18's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx_ir as ir
import torch
from onnx_ir.passes.common import InlinePass, RemoveUnusedOpsetsPass

from tinyml.core.errors import ExportError
from tinyml.core.files import write_bytes
from tinyml.export.capture.module_stack import innermost, owners, submodules
from tinyml.export.capture.program import ADVICE, Captured, one_line, sample_inputs, tag
from tinyml.export.check_names import check_names, check_values
from tinyml.export.facts import Facts
from tinyml.export.formats.instrumented import run_writer
from tinyml.export.formats.onnx import ONNX
from tinyml.export.formats.onnx.names import live, name_stages, values_by_node
from tinyml.export.formats.onnx.rewrites import rewrite
from tinyml.export.formats.onnx.rewrites.strip_metadata import strip_metadata
from tinyml.export.rewrites.decompose_functions import FOR_ONNX, decompose_functions
from tinyml.modelfile.onnx_graph import graph_of_onnx

OPSET = 18
IR_VERSION = 8


def write(captured: Captured, path: Path) -> Facts:
    """Write ``path`` in float32, one file, weights inside; the same capture, the same bytes.

    Raises `ExportError` for an operator outside the standard set.
    """
    inside = innermost(captured.program.graph.nodes, captured.stages)
    modules = submodules(captured.program.graph.nodes)
    model = to_onnx(captured)
    InlinePass()(model)
    passes = rewrite(model)
    values = values_by_node(model)
    passes["strip_metadata"] = strip_metadata(model).count
    stages = name_stages(model, captured, values)
    RemoveUnusedOpsetsPass()(model)
    _refuse_foreign(model)
    model.graph.name = "graph"
    model.ir_version = IR_VERSION
    proto = ir.to_proto(model)
    graph = graph_of_onnx(proto)
    check_values(graph)
    check_names(graph, captured.signature, stages)
    write_bytes(path, proto.SerializeToString(deterministic=True))
    made = {node: [str(v.name) for v in own] for node, own in live(model, values).items()}
    return Facts(
        "onnx",
        "fp32",
        passes,
        stages,
        {},
        ONNX.minimum_runtime,
        owners=owners(inside, made),
        modules=owners(modules, made),
        made=made,
    )


def to_onnx(captured: Captured) -> ir.Model:
    """PyTorch's ONNX exporter, its optimizer off: it would delete small constants."""
    tag(captured.program, position=0)
    try:
        converted = torch.onnx.export(
            decompose_functions(captured.program, FOR_ONNX),
            (),
            kwargs=sample_inputs(captured.signature),
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=[spec.name for spec in captured.signature.inputs],
            output_names=[spec.name for spec in captured.signature.outputs],
            verbose=False,
        )
    except Exception as error:
        cause = one_line(error.__cause__ or error)
        raise ExportError(
            f"PyTorch cannot write the model as ONNX: {cause}", hint=ADVICE
        ) from error
    assert converted is not None
    return converted.model


def _refuse_foreign(model: ir.Model) -> None:
    foreign = sorted({f"{n.domain}::{n.op_type}" for n in model.graph if n.domain})
    if foreign:
        raise ExportError(
            f"the model needs operators outside of ONNX's own set: {', '.join(foreign)}",
            hint=ADVICE,
        )


if __name__ == "__main__":
    run_writer(write, sys.argv[1:])
