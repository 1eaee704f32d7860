"""A recurrence that was written out: one weight, many products, each fed by the one before.

Fires from `STEPS` on. Silent when the same weight is used side by side (siamese branches),
or a few times in a row (a block that is called twice).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.lint.wording import in_bytes, many
from tinyml.modelfile.ops import PRODUCTS

STEPS = 6
# Each is looked for in the whole graph.
MOST = 100
FIX = "export one step, its state an input and an output: `states=IN=OUT`"


def unrolled_recurrences(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding per weight that recurs."""
    recurring = [(key, users) for key, users in _users(graph).items() if len(users) >= STEPS]
    for key, users in recurring[:MOST]:
        after = _reached(users[0].outputs, graph.operators, forwards=True)
        before = _reached(users[-1].inputs, graph.operators, forwards=False)
        within = {id(operator) for operator in after} & {id(operator) for operator in before}
        between = [operator for operator in graph.operators if id(operator) in within]
        # The first and the last step are the ends, not between.
        steps = 2 + sum(id(user) in within for user in users)
        if steps < STEPS:
            continue
        size = sum(graph.written(operator) for operator in between)
        name = _weight(graph, users[0], key)
        cost = f"{many(steps, 'step')} of '{name}' in {len(between) + 2:,} of "
        cost += f"{many(len(graph.operators), 'operator')}, {in_bytes(size)} written"
        yield Finding("unrolled_recurrences", users[0].label, cost, FIX)


def _users(graph: Graph) -> dict[str, list[Operator]]:
    """Weight -> the products that read it, in the file's order."""
    users: dict[str, list[Operator]] = {}
    for operator in graph.operators:
        if operator.op in PRODUCTS:
            for value in graph.constants(operator):
                # A bias is shared along with its weight: one of the two is enough.
                if value.shape is not None and len(value.shape) > 1:
                    users.setdefault(value.key, []).append(operator)
    return users


def _reached(
    start: Iterable[str], operators: tuple[Operator, ...], *, forwards: bool
) -> list[Operator]:
    """The operators that the values ``start`` lead to, or come from."""
    reached, found = set(start), []
    for operator in operators if forwards else reversed(operators):
        near, far = (operator.operands, operator.outputs)[:: 1 if forwards else -1]
        if reached.intersection(near):
            reached.update(far)
            found.append(operator)
    return found


def _weight(graph: Graph, user: Operator, key: str) -> str:
    return next(value.name for value in graph.constants(user) if value.key == key)
