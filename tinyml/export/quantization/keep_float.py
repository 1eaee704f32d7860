"""Which operators of a file stay in float32, and why: decided before anything is quantized."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tinyml.core.errors import UsageError
from tinyml.core.export_settings import INT8
from tinyml.core.parts import UNEVEN
from tinyml.export.quantization.infinity import around_infinity
from tinyml.export.quantization.integer_kernels import (
    BY_TABLE,
    around_steep,
    excluded,
    without_kernel,
    without_right_kernel,
)
from tinyml.export.quantization.joins import (
    OF_ORDERS,
    PROBABILITIES,
    kept_at_the_end,
    kept_inside,
    makers_of,
    tail,
    uneven,
)
from tinyml.export.quantization.places import around_places
from tinyml.export.quantization.precision import Precision
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph, Operator


def kept_operators(
    graph: Graph,
    stages: Mapping[str, str | None],
    owners: Mapping[str, str],
    front_end: str | None,
    keep: Mapping[str, str],
    *,
    precision: Precision,
    io: str = "float",
    ranges: Mapping[str, Range] | None = None,
    uneven_outputs: Collection[str] = (),
) -> dict[str, str]:
    """Operator -> why it stays in float32.

    The front end to its last stage, which ``front_end`` names; the stages in ``keep``, with
    their reasons and all that they hold, with the activations behind. Unless activations stay
    in float32 anyway (``weights_only``): joins of operands whose ``ranges`` are too unlike; and
    unless ``io`` asks for quantized outputs: what makes probabilities, or joins the parts of an
    output, and what makes ``uneven_outputs``, whose channels differ by orders of magnitude.
    ``owners``: tensor -> the innermost stage that computes it.
    """
    kept: dict[str, str] = {}
    if front_end is not None:
        why = f"front end, up to '{front_end}'"
        end = stages.get(front_end)
        kept |= dict.fromkeys(sorted(graph.feeding([end] if end else [])), why)
    for stage, why in keep.items():
        kept |= {o.name: why for o in graph.operators if _is_within(owners.get(o.name), stage)}
    if precision.weights_only:
        return _with_activations(graph, kept)
    kept = {**around_steep(graph, precision), **kept_inside(graph, ranges or {}), **kept}
    kept = {**around_places(graph), **kept}
    kept = {**without_right_kernel(graph, precision), **around_infinity(graph), **kept}
    if io == "float":
        last = dict.fromkeys(sorted(makers_of(graph, uneven_outputs)), OF_ORDERS)
        kept = {**last, **kept_at_the_end(graph), **kept}
    return {**without_kernel(graph, precision), **_with_activations(graph, kept)}


def _with_activations(graph: Graph, kept: Mapping[str, str]) -> dict[str, str]:
    behind = graph.fused_activations().items()
    return {**kept, **{own: kept[front] for own, front in behind if front in kept}}


def _makes_probabilities(operator: Operator, graph: Graph) -> bool:
    return operator.op in PROBABILITIES and bool(set(operator.outputs) & set(graph.outputs))


def probabilities(graph: Graph) -> dict[str, Range]:
    """Outputs that are probabilities: both formats quantize them over 0 to 1, whatever was seen."""
    ends = [operator for operator in graph.operators if _makes_probabilities(operator, graph)]
    return {name: Range(0.0, 1.0) for operator in ends for name in operator.outputs}


def check_quantized_io(
    graph: Graph,
    kept: Mapping[str, str],
    ranges: Mapping[str, Range],
    uneven_outputs: Collection[str] = (),
    io: str = INT8,
) -> None:
    """`UsageError` for an input or output that cannot be an integer, as ``io`` asks.

    One that is float in ``ranges`` next to an operator in ``kept``, or an output that one
    scale cannot serve: it joins parts, or has channels, of very different size.
    """
    _check_one_scale(graph, ranges, uneven_outputs, io)
    for operator in graph.operators:
        ends = {*operator.inputs} & {*graph.inputs} | {*operator.outputs} & {*graph.outputs}
        for name in sorted(ends & ranges.keys()):
            if operator.name in excluded(kept):
                raise UsageError(
                    f"`io={io}`: '{name}' stays in float32, next to it {operator.op} "
                    f"'{operator.name}' ({kept[operator.name]})",
                    hint="choose `io=float`",
                )


def stays_float(name: str, io: str = INT8) -> UsageError:
    """The error for an input or output that cannot be quantized, as ``io`` asks."""
    return UsageError(f"`io={io}`: '{name}' stays in float32", hint="choose `io=float`")


def _check_one_scale(
    graph: Graph, ranges: Mapping[str, Range], uneven_outputs: Collection[str], io: str
) -> None:
    last = tail(graph)
    joins = {op.name: uneven(op, ranges) for op in graph.operators if op.name in last}
    bad = [
        f"'{name}' joins parts whose ranges differ 1 : {ratio:,.0f}"
        for name, ratio in joins.items()
        if ratio > UNEVEN
    ]
    bad += [f"the channels of '{name}' differ by orders of magnitude" for name in uneven_outputs]
    if bad:
        raise UsageError(
            f"`io={io}`: {bad[0]}: one scale would lose the small ones",
            hint="return each part as a separate output, or omit `io`",
        )


def _is_within(owner: str | None, stage: str) -> bool:
    return owner is not None and (owner == stage or owner.startswith(f"{stage}."))


def exact_stages(
    graph: Graph, stages: Mapping[str, str | None], kept: Mapping[str, str]
) -> tuple[str, ...]:
    """Those that depend on kept operators alone.

    Not on one that only the tables of kernels keep where it reads what another reads as integers:
    in a file it may read the same integers.
    """
    rounded = {name for own in graph.operators if own.name not in kept for name in own.inputs}
    shared = {own.name for own in graph.operators if rounded.intersection(own.inputs)}
    exact = {name for name, why in kept.items() if why not in BY_TABLE or name not in shared}
    return tuple(
        stage
        for stage, tensor in stages.items()
        if tensor is not None and graph.feeding([tensor]).keys() <= exact
    )
