"""Concatenations and stacks in a file: which of them one quantization range would spoil.

A quantized tensor has one scale. Where it joins boxes in pixels and scores between 0 and 1,
every score becomes 0. So what only joins and moves values on their way to an output stays in
float32, where it costs next to nothing, and each operand keeps a scale of its own. A join
inside the network stays in float32, with what reads it, where an operand is so small that it
would keep fewer than 8 of the 255 steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tinyml.core.parts import UNEVEN
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph, Operator

JOINS = ("Concat", "CONCATENATION", "PACK")
MOVERS = (
    *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Identity"),
    *("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "SLICE", "STRIDED_SLICE", "SPLIT"),
    *("SPLIT_V", "UNPACK", "Gather", "GATHER", "Cast", "CAST"),
)
# What computes each value from one, or from one and a constant.
BY_VALUE = (
    *("Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh"),
    *("Add", "Sub", "Mul", "Div", "Max", "Min"),
    *("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"),
    *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"),
)
# What turns logits into probabilities: 256 levels are too few for a threshold among them.
PROBABILITIES = ("SOFTMAX", "LOGISTIC", "Softmax", "Sigmoid")
AT_THE_END = "probabilities: a threshold needs more than 256 levels"
MOVES_THEM = "moves probabilities to an output"
JOINS_OUTPUT = "joins the parts of an output: each keeps its own scale"
OF_ORDERS = "its channels differ by orders of magnitude: one scale would lose the small ones"


def tail(graph: Graph) -> set[str]:
    """Names of the operators that only join or move values on their way to the outputs."""
    readers: dict[str, set[str]] = {}
    for operator in graph.operators:
        for name in operator.inputs:
            readers.setdefault(name, set()).add(operator.name)
    found: set[str] = set()
    for operator in reversed(graph.operators):
        if operator.op in (*JOINS, *MOVERS) and _ends(operator, graph, readers, found):
            found.add(operator.name)
    return found


def _ends(
    operator: Operator,
    graph: Graph,
    readers: Mapping[str, set[str]],
    tail_: Collection[str],
) -> bool:
    """Whether every value of ``operator`` goes to outputs alone, by way of ``tail_``."""
    return all(readers.get(name, set()) <= set(tail_) for name in operator.outputs)


def kept_at_the_end(graph: Graph) -> dict[str, str]:
    """Operator -> why it stays in float32: probabilities, what joins outputs, and their movers."""
    last = tail(graph)
    to_the_end = {name for op in graph.operators if op.name in last for name in op.inputs}
    to_the_end |= set(graph.outputs)
    kept: dict[str, str] = {}
    floats: dict[str, str] = {}  # tensor that stays float on its way out -> why its movers do
    for operator in graph.operators:
        why = next((floats[name] for name in operator.inputs if name in floats), "")
        if operator.op in PROBABILITIES and set(operator.outputs) & to_the_end:
            kept[operator.name], why = AT_THE_END, MOVES_THEM
        elif operator.name in last and operator.op in JOINS:
            kept[operator.name] = why = JOINS_OUTPUT
        elif operator.name in last and why:
            kept[operator.name] = why
        else:
            continue
        floats |= dict.fromkeys(operator.outputs, why)
    return kept


def uneven(operator: Operator, ranges: Mapping[str, Range]) -> float:
    """How many times the largest operand of a join spans the smallest; 1 for anything else.

    An operand that is constant shows in the output alone.
    """
    own = [ranges[name] for name in (*operator.inputs, *operator.outputs) if name in ranges]
    spans = [max(one.high, 0.0) - min(one.low, 0.0) for one in own]
    spans = [span for span in spans if span > 0.0]
    return max(spans) / min(spans) if operator.op in JOINS and len(spans) > 1 else 1.0


def kept_inside(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, str]:
    """Operator -> why it stays in float32: joins of very unlike operands, and what reads them."""
    last = tail(graph)
    kept: dict[str, str] = {}
    floats: dict[str, str] = {}
    for operator in graph.operators:
        ratio = uneven(operator, ranges)
        if ratio > UNEVEN and operator.name not in last:
            why = f"joins operands whose ranges differ 1 : {ratio:,.0f}"
            kept[operator.name] = why
            floats |= dict.fromkeys(operator.outputs, why)
            continue
        why = next((floats[name] for name in operator.inputs if name in floats), "")
        if why:
            kept[operator.name] = f"reads what {why}"
            if operator.op in (*MOVERS, *JOINS, *BY_VALUE):
                floats |= dict.fromkeys(operator.outputs, why)
    return kept


def makers_of(graph: Graph, outputs: Collection[str]) -> set[str]:
    """Names of the operators that compute ``outputs``, and of those that move them there.

    Behind what computes each value alone, such as an activation, the layer in front is one of
    them. Not of what is joined: its operands have a scale each.
    """
    through = {*MOVERS, *BY_VALUE}
    found = graph.feeding(outputs, lambda own: own.inputs if own.op in through else ())
    return {name for name, own in found.items() if own.op not in JOINS}
