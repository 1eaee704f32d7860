"""Captured program -> TFLite, through LiteRT's converter.

``python -m tinyml.export.formats.tflite.write PROGRAM.pt2 CAPTURE.json OUT FACTS.json [STAGE...]``

Further arguments: see `tinyml.export.formats.instrumented.run_writer`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import litert_torch

from tinyml.core.errors import ExportError
from tinyml.core.files import write_bytes
from tinyml.core.scratch import scratch
from tinyml.export.capture.functional import without_writing_in_place
from tinyml.export.capture.known_errors import (
    BRANCH,
    LOOP,
    NUMBER,
    ONLY_ONNX,
    ORDER,
    RANDOM,
    RANDOM_WINDOWS,
    SIZE,
    WRITE,
)
from tinyml.export.capture.module_stack import innermost, owners, submodules
from tinyml.export.capture.program import ADVICE, Captured, one_line, sample_inputs, tag
from tinyml.export.capture.refuse_known import places_of, refuse_known
from tinyml.export.check_names import check_names
from tinyml.export.facts import Facts
from tinyml.export.formats.instrumented import run_writer
from tinyml.export.formats.tflite import TFLITE
from tinyml.export.formats.tflite.minimum_runtime import minimum_runtime, operators_of
from tinyml.export.formats.tflite.names import (
    computing_parts,
    made_from,
    name_stages,
    parts_of_tensors,
)
from tinyml.export.formats.tflite.rewrites import rewrite
from tinyml.export.nodes import live
from tinyml.export.rewrites.assign_by_where import assign_by_where
from tinyml.export.rewrites.average_over_space import average_over_space
from tinyml.export.rewrites.conv1d_to_conv2d import conv1d_to_conv2d
from tinyml.export.rewrites.decompose_functions import FOR_LITERT as BY_FUNCTION
from tinyml.export.rewrites.decompose_functions import decompose_functions
from tinyml.export.rewrites.drop_detach import drop_detach
from tinyml.export.rewrites.pad_by_numbers import pad_by_numbers
from tinyml.export.rewrites.scatter_by_comparison import scatter_by_comparison
from tinyml.export.rewrites.select_by_topk import select_by_topk
from tinyml.export.rewrites.use_convertible_operators import use_convertible_operators
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_graph import graph_of_tflite

# LiteRT's converter has no form for these, or one with a function of its own, as for a loop.
# The first two stop the other rewrites too, which read shapes: `assign_by_where` comes before.
BY_VALUES = (NUMBER, SIZE)
NOT_REWRITTEN = (BRANCH, LOOP, ORDER, WRITE, ONLY_ONNX, RANDOM_WINDOWS, RANDOM)
# Rewrites of the copy that goes to the converter, after `assign_by_where`.
FOR_LITERT = (
    drop_detach,
    pad_by_numbers,
    use_convertible_operators,
    conv1d_to_conv2d,
    average_over_space,
    select_by_topk,
    scatter_by_comparison,
)


def write(captured: Captured, path: Path, *, sparse: bool = True) -> Facts:
    """Write ``path`` in float32; the same capture gives the same bytes.

    ``sparse``: weights with zeros may be stored without them.
    Raises `ExportError` when LiteRT cannot convert the model or
    needs an operator that is not built into its runtime.
    """
    inside = innermost(captured.program.graph.nodes, captured.stages)
    modules = submodules(captured.program.graph.nodes)
    module, rewritten = _for_litert(captured)
    model = tflite_file.unpack(to_tflite(captured, module))
    _refuse_foreign(model)
    if len(model.subgraphs) != 1:
        raise ExportError("LiteRT writes the model with a loop or a branch, which is not supported")
    parts = parts_of_tensors(model)
    stages, layouts = name_stages(model, captured)
    made = made_from(model, parts)
    computing = made_from(model, computing_parts(captured, parts))
    passes = rewritten | rewrite(model, sparse=sparse)
    left = {tflite_file.text(tensor.name) for tensor in model.subgraphs[0].tensors}
    stages = {stage: name if name in left else None for stage, name in stages.items()}
    check_names(graph_of_tflite(model), captured.signature, stages)
    write_bytes(path, tflite_file.pack(model))
    return Facts(
        "tflite",
        "fp32",
        passes,
        stages,
        layouts,
        minimum_runtime(operators_of(model)),
        owners=owners(inside, computing),
        modules=owners(modules, computing),
        made=made,
    )


def _for_litert(captured: Captured) -> tuple[Any, dict[str, int]]:
    """The module to convert, tagged with the nodes of ``captured``, and what was rewritten."""
    places = places_of(captured.program.graph.nodes)
    tag(captured.program, position=1)
    program = decompose_functions(without_writing_in_place(captured.program), BY_FUNCTION)
    module: Any = program.module()
    counts = {assign_by_where.__name__: assign_by_where(module.graph).count}
    refuse_known(module.graph.nodes, BY_VALUES, TFLITE.refusal, places)
    counts |= {apply.__name__: apply(module.graph).count for apply in FOR_LITERT}
    refuse_known(live(module.graph), NOT_REWRITTEN, TFLITE.refusal, places)
    module.recompile()
    return module, counts


def to_tflite(captured: Captured, module: Any = None) -> bytes:
    """LiteRT's converter. 64-bit inputs and outputs stay so where the signature has them."""
    signature = captured.signature
    wide = any(spec.dtype == "int64" for spec in (*signature.inputs, *signature.outputs))
    try:
        converted = litert_torch.convert(
            module or _for_litert(captured)[0],
            sample_kwargs=sample_inputs(signature),
            enable_x64=wide,
        )
    except Exception as error:
        cause = one_line(error)
        raise ExportError(f"LiteRT cannot convert the model: {cause}", hint=ADVICE) from error
    with scratch("convert") as folder:
        file = folder / "model.tflite"
        converted.export(str(file))
        return file.read_bytes()


def _refuse_foreign(model: Any) -> None:
    foreign = tflite_file.foreign(map(tflite_file.operator_name, model.operatorCodes))
    if foreign:
        raise ExportError(
            f"the model needs operators outside of TFLite's own set: {', '.join(foreign)}",
            hint=ADVICE,
        )


if __name__ == "__main__":
    run_writer(write, sys.argv[1:], dense=partial(write, sparse=False))
