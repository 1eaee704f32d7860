"""What a node of a module's graph is for every input."""

from __future__ import annotations

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node

from tinyml.export.nodes import fixed_value

ADD = torch.ops.aten.add.Tensor
# Ways through as many sums of a node with itself: more than can be tried one by one.
SUMS = 60


def doubled(graph: Graph, node: Node) -> Node:
    for _ in range(SUMS):
        node = graph.call_function(ADD, (node, graph.call_function(ADD, (node, 0))))
    return node


def module_with(graph: Graph, result: Node) -> GraphModule:
    graph.output(result)
    owner = nn.Module()
    owner.register_buffer("one", torch.ones(2, dtype=torch.float64))
    return GraphModule(owner, graph)


def test_what_depends_on_an_input_is_not_fixed_however_many_ways_lead_to_it() -> None:
    graph = Graph()
    result = doubled(graph, graph.placeholder("x"))
    module_with(graph, result)
    assert fixed_value(result) is None


def test_a_buffer_is_computed_once_however_many_ways_lead_to_it() -> None:
    graph = Graph()
    result = doubled(graph, graph.get_attr("one"))
    made = module_with(graph, result)
    (end,) = (node for node in made.graph.nodes if node.op == "output")
    value = fixed_value(end.args[0])
    assert value is not None
    torch.testing.assert_close(value, torch.full((2,), 2.0**SUMS, dtype=torch.float64))


def test_random_values_are_not_fixed() -> None:
    graph = Graph()
    result = graph.call_function(torch.ops.aten.rand_like.default, (graph.get_attr("one"),))
    module_with(graph, result)
    assert fixed_value(result) is None
