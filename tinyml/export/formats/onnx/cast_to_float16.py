"""float32 values and constants -> float16, between inputs and outputs that stay float32.

A node that is kept, or whose operator has no float16 in ONNX's own tables, computes in
float32: its operands are cast up, its results are cast down only where a float16 node
takes them, so that between two nodes kept there is no cast. Refused too for a node with a
constant that float16 cannot hold. Names stay; a cast value is ``name~half`` or
``name~single``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from tinyml.core.errors import ExportError
from tinyml.export.formats.free_name import free_name
from tinyml.export.quantization.fp16_values import unheld_values

HALF, SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT


def cast_to_float16(model: ir.Model, keep: Collection[str] = ()) -> int:
    """Return the number of values and constants that became float16; ``keep``: node names."""
    ShapeInferencePass()(model)  # PyTorch leaves values without a type
    caster = _Caster(model, model.opset_imports[""])
    for node in list(model.graph):
        caster.visit(node, kept=str(node.name) in keep)
    caster.end()
    return caster.count


@dataclass(slots=True)
class _Caster:
    """The graph as it changes: which value stands for which in the other type."""

    model: ir.Model
    opset: int
    count: int = 0
    casts: dict[tuple[int, ir.DataType], ir.Value] = field(default_factory=dict)
    copies: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = self.model.graph
        values = [*graph.inputs, *graph.initializers.values()]
        values += [value for node in graph for value in node.outputs]
        self.taken = {str(value.name) for value in values}

    def visit(self, node: ir.Node, *, kept: bool) -> None:
        if node.op_type == "Cast":
            if not kept and _makes_single(node):
                node.attributes["to"] = ir.AttrInt64("to", HALF)
                self._halve(node)
            return
        half = set() if kept else self._half_inputs(node)
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in (HALF, SINGLE):
                wanted = HALF if index in half else SINGLE
                if value.dtype != wanted:
                    node.replace_input_with(index, self._cast(value, wanted, node))
        if half:
            self._halve(node)

    def _halve(self, node: ir.Node) -> None:
        for value in node.outputs:
            if value.dtype == SINGLE:
                value.dtype = HALF
                self.count += 1

    def end(self) -> None:
        """Give each output back its type, and each constant its name."""
        graph = self.model.graph
        for value, copy in self.copies:
            if not value.uses() and not value.is_graph_output():
                name = str(value.name)
                del graph.initializers[name]
                copy.name = name
        for index, value in enumerate(graph.outputs):
            if value.dtype != HALF:
                continue
            name = str(value.name)
            value.name = self._name(f"{name}~half")
            producer = value.producer()
            if producer is not None:
                producer.name = value.name
            cast = _cast_node(value, SINGLE, name)
            graph.append(cast)
            graph.outputs[index] = cast.outputs[0]

    def _cast(self, value: ir.Value, wanted: ir.DataType, before: ir.Node) -> ir.Value:
        key = (id(value), wanted)
        if key not in self.casts:
            constant = ir.convenience.get_const_tensor(value)
            if constant is not None and wanted == HALF:
                self.casts[key] = self._constant(value, constant.numpy())
            else:
                kind = "half" if wanted == HALF else "single"
                node = _cast_node(value, wanted, self._name(f"{value.name}~{kind}"))
                self.model.graph.insert_before(before, node)
                self.casts[key] = node.outputs[0]
        return self.casts[key]

    def _constant(self, value: ir.Value, array: np.ndarray) -> ir.Value:
        """A float16 copy, which takes the name if the original goes."""
        with np.errstate(under="ignore"):
            tensor = ir.tensor(array.astype(np.float16))
        name = self._name(f"{value.name}~half")
        copy = ir.Value(name=name, shape=value.shape, type=ir.TensorType(HALF), const_value=tensor)
        tensor.name = name
        self.model.graph.register_initializer(copy)
        self.copies.append((value, copy))
        self.count += 1
        return copy

    def _name(self, name: str) -> str:
        return free_name(name, self.taken)

    def _half_inputs(self, node: ir.Node) -> set[int]:
        """Operands that may be float16; empty: the node has to compute in float32."""
        if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in _own(node)):
            raise ExportError(f"fp16 cannot enter the branch or loop at '{node.name}'")
        kinds = _kinds(node, self.opset)
        floats = {
            i for i, v in enumerate(node.inputs) if v is not None and v.dtype in (HALF, SINGLE)
        }
        half = {i for i in floats if kinds.allows_half(kinds.input(i))}
        variables = {kinds.input(i) for i in half}
        results = [kinds.output(i) for i, v in enumerate(node.outputs) if v.dtype == SINGLE]
        if not set(results) <= variables or any(self._unheld(node.inputs[i]) for i in half):
            return set()
        return half

    def _unheld(self, value: ir.Value | None) -> bool:
        constant = None if value is None else ir.convenience.get_const_tensor(value)
        if constant is None or constant.dtype != SINGLE:
            return False
        return any(not found.harmless for found in unheld_values(constant.numpy()))


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Type variables of an operator, by place, and what each may be."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    allowed: dict[str, frozenset[str]]

    def input(self, index: int) -> str:
        return self.inputs[min(index, len(self.inputs) - 1)]

    def output(self, index: int) -> str:
        return self.outputs[min(index, len(self.outputs) - 1)]

    def allows_half(self, variable: str) -> bool:
        return "tensor(float16)" in self.allowed.get(variable, frozenset({variable}))


def _kinds(node: ir.Node, opset: int) -> _Kinds:
    from onnx import defs

    schema = defs.get_schema(node.op_type, opset, node.domain)
    return _Kinds(
        tuple(str(one.type_str) for one in schema.inputs),
        tuple(str(one.type_str) for one in schema.outputs),
        {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints},
    )


def _own(node: ir.Node) -> list[ir.Attr]:
    return [attribute for attribute in node.attributes.values() if isinstance(attribute, ir.Attr)]


def _makes_single(node: ir.Node) -> bool:
    """Whether it makes float32 of something that is no float."""
    value = node.inputs[0]
    if value is None or value.dtype in (HALF, SINGLE) or node.outputs[0].is_graph_output():
        return False
    return bool(node.attributes["to"].as_int() == SINGLE)


def _cast_node(value: ir.Value, wanted: ir.DataType, name: str) -> ir.Node:
    output = ir.Value(name=name, shape=value.shape, type=ir.TensorType(wanted))
    return ir.Node("", "Cast", [value], [ir.AttrInt64("to", wanted)], outputs=[output], name=name)
