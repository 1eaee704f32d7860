"""float16 (IEEE 754 binary16): what it holds, and a program run as if it computed with it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.utils import _pytree as pytree

from tinyml.core.spec import Array, Arrays
from tinyml.export.capture.program import Captured
from tinyml.export.capture.stage_values import arguments

# What ai-edge-quantizer's float_casting takes: weights of these and no others.
_WEIGHTED = ("aten.conv", "aten.linear")

Watch = Callable[[Node, Tensor], None]


def rounded(value: Any) -> Any:
    """``value`` through float16, if it is a float32 tensor or a number with a fraction."""
    if isinstance(value, Tensor):
        return value.half().float() if value.dtype == torch.float32 else value
    if isinstance(value, float):
        return float(torch.tensor(value, dtype=torch.float32).half())
    return value


def is_weighted(node: Node) -> bool:
    """Whether ``node``'s second argument is a weight that TFLite may hold in float16."""
    return str(node.target).startswith(_WEIGHTED)


class HalfProgram(torch.fx.Interpreter):
    """``captured`` with every node but ``kept`` in float16.

    A node in float16 takes rounded operands and rounds its answer, as CPUs do that compute
    in float32 between; one that is kept takes and gives what there is. ``weights_only``:
    the second operand of `is_weighted` nodes is all that is rounded.
    """

    def __init__(
        self, captured: Captured, kept: Collection[str] = (), *, weights_only: bool = False
    ) -> None:
        super().__init__(captured.program.graph_module)
        self.captured = captured
        self.kept, self.weights_only = kept, weights_only
        self.watch: Watch | None = None

    def values(self, inputs: Arrays, names: Collection[str]) -> dict[str, Array]:
        """Node -> its value, for the nodes ``names``."""
        seen: dict[str, Array] = {}

        def note(node: Node, value: Tensor) -> None:
            if node.name in names:
                seen[node.name] = value.detach().numpy().copy()

        self.look(inputs, note)
        return seen

    def computed(self, inputs: Arrays) -> list[tuple[Node, Array]]:
        """Every node with a tensor for a value, and that value."""
        seen: list[tuple[Node, Array]] = []
        self.look(inputs, lambda node, value: seen.append((node, value.detach().numpy().copy())))
        return seen

    def look(self, inputs: Arrays, watch: Watch) -> None:
        """Run on ``inputs`` and show every tensor to ``watch``."""
        self.watch = watch
        tensors = {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}
        with torch.no_grad():
            self.run(*arguments(self.captured, tensors))

    def run_node(self, n: Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        half = n.op == "call_function" and n.name not in self.kept
        if half and self.weights_only:
            if is_weighted(n):
                args = (args[0], rounded(args[1]), *args[2:])
        elif half:
            args, kwargs = _operands(n, args, kwargs)
        value = getattr(self, n.op)(n.target, args, kwargs)
        if half and not self.weights_only and not _is_alias(n):
            value = pytree.tree_map(rounded, value)
        if self.watch is not None and isinstance(value, Tensor):
            self.watch(n, value)
        return value


def _operands(node: Node, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Rounded copies; what is written to, or only looked at, must stay the tensor it is."""
    if not _is_alias(node):
        return pytree.tree_map(rounded, (args, kwargs))  # type: ignore[no-any-return]
    if not _writes(node):
        return args, kwargs
    return (args[0], *pytree.tree_map(rounded, args[1:])), kwargs


def _is_alias(node: Node) -> bool:
    """A view, or an operation that writes into its operand."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(a.alias_info is not None for a in schema.arguments)


def _writes(node: Node) -> bool:
    return bool(node.target._schema.is_mutable)  # type: ignore[union-attr]
