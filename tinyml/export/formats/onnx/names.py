"""Names in the ONNX graph: a stage's value has the stage's name, in every format alike."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import onnx_ir as ir

from tinyml.export.capture.module_stack import MODULE
from tinyml.export.capture.program import Captured
from tinyml.export.formats.free_name import free_name

_SCOPES = "pkg.torch.onnx.name_scopes"


def values_by_node(model: ir.Model) -> dict[str, list[ir.Value]]:
    """Captured node -> the values made from it, in order; read before metadata is stripped."""
    found: dict[str, list[ir.Value]] = {str(value.name): [value] for value in model.graph.inputs}
    for node in model.graph:
        scopes = node.metadata_props.get(_SCOPES)
        if scopes:
            found.setdefault(ast.literal_eval(scopes)[0], []).append(node.outputs[0])
    return found


def live(model: ir.Model, values: Mapping[str, list[ir.Value]]) -> dict[str, list[ir.Value]]:
    """Those of ``values`` that nodes of ``model`` still compute."""
    there = {id(value) for node in model.graph for value in node.outputs}
    return {node: [v for v in made if id(v) in there] for node, made in values.items()}


def name_stages(
    model: ir.Model, captured: Captured, values: Mapping[str, list[ir.Value]]
) -> dict[str, str | None]:
    """Rename all values of ``model`` and return stage -> value, ``None``: fused away.

    Inputs and outputs have the signature's names already; a stage that is one of them,
    or shares its value with an earlier stage, has that name. A stage's value is the last
    one made from its node that is left in the graph and has the node's shape.
    """
    shape = captured.shapes
    live = {id(v) for v in (*model.graph.inputs, *(o for n in model.graph for o in n.outputs))}
    held: dict[str, ir.Value | None] = dict.fromkeys(captured.stages)
    for stage, node in captured.stages.items():
        for value in values.get(node or "", []):
            if id(value) in live and _fits(value, shape[node or ""]):
                held[stage] = value
    _rename(model, held)
    return {stage: None if value is None else value.name for stage, value in held.items()}


def _rename(model: ir.Model, held: Mapping[str, ir.Value | None]) -> None:
    """By identity: the exporter may call another value as the signature calls an output."""
    ends = (*model.graph.inputs, *model.graph.outputs)
    fixed, taken = {id(value) for value in ends}, {str(value.name) for value in ends}
    _rename_weights(model, fixed, taken)
    for stage, value in held.items():
        if value is not None and id(value) not in fixed:
            value.name = free_name(stage, taken)
            fixed.add(id(value))
    _rename_rest(model, fixed, taken)


def _fits(value: ir.Value, shape: tuple[int, ...] | None) -> bool:
    """A size that depends on values fits none."""
    if value.shape is None or shape is None or not value.shape.is_static():
        return False
    return value.shape.numpy() == shape


def _rename_weights(model: ir.Model, fixed: set[int], taken: set[str]) -> None:
    """Weights keep their name in the module; constants of the exporter get numbers.

    A constant that is an output of the model has the output's name.
    """
    for count, value in enumerate(list(model.graph.initializers.values())):
        if id(value) in fixed:
            continue
        bare = str(value.name).removeprefix(f"{MODULE}.")
        value.name = free_name(f"c{count}" if bare.startswith("val_") else bare, taken)


def _rename_rest(model: ir.Model, fixed: set[int], taken: set[str]) -> None:
    count = 0
    for node in model.graph:
        for value in node.outputs:
            if id(value) not in fixed:
                value.name = free_name(f"t{count}", taken)
                count += 1
        node.name = node.outputs[0].name
