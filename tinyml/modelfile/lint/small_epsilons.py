"""Epsilons below 1e-7: next to 1 float32 does not see them, and in float16 they are zero.

An epsilon is a positive scalar that is added, or is a floor, before a logarithm, root or
division; or the ``epsilon`` of a normalisation. Float32 resolves 1.2e-7 of 1, and float16's
smallest number is 6e-8 (IEEE 754-2019, table 3.5).
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph, Operator

LEAST = 1e-7
GUARDS = ("ADD", "MAXIMUM", "Add", "Max", "Clip")
GUARDED = (
    *("LOG", "SQRT", "RSQRT", "DIV", "POW"),
    *("Log", "Sqrt", "Div", "Reciprocal", "Pow", "Rsqrt"),
)
FIX = (
    "use 1e-6 or more, unless what it is added to is as small; keep this stage in float32 when "
    "the rest is float16"
)


def small_epsilons(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding per operator that has one."""
    for operator in graph.operators:
        epsilon = _epsilon(graph, operator)
        if epsilon is not None and 0.0 < epsilon < LEAST:
            yield Finding(
                "small_epsilons",
                operator.label,
                f"{epsilon:.3g} is lost next to values near 1, and is 0 in float16: "
                "a logarithm or division by zero on silence",
                FIX,
            )


def _epsilon(graph: Graph, operator: Operator) -> float | None:
    if "epsilon" in operator.attributes:
        return float(operator.attributes["epsilon"])
    if operator.op not in GUARDS or not _is_guard(graph, operator):
        return None
    for value in graph.constants(operator):
        single = value.count == 1
        if value.constant is not None and single and value.dtype.startswith("float"):
            array = value.constant()
            return float(array.reshape(-1)[0])
    return None


def _is_guard(graph: Graph, operator: Operator) -> bool:
    users = (user for name in operator.outputs for user in graph.consumers.get(name, ()))
    return any(user.op in GUARDED for user in users)
