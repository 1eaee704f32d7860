"""A call of a graph as text for a message: ``aten.sort(bool[1, 64], dim=1)``."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload
from torch.fx import Node

LONGEST = 100
_OF_STORAGE = ("pin_memory", "layout", "device", "memory_format")


def call_of(node: Node) -> str:
    """Operator and arguments: of a tensor its type and shape, of anything else name and value."""
    names = _argument_names(node)
    shown = [_argument(name, value) for name, value in zip(names, node.args, strict=False)]
    shown += [_argument(name, value) for name, value in node.kwargs.items()]
    text = f"{operator_of(node)}({', '.join(own for own in shown if own)})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]}...)"


def operator_of(node: Node) -> str:
    """``aten.sort`` of ``aten.sort.stable``; the name of a function of Python."""
    if isinstance(node.target, OpOverload):
        return f"{node.target.namespace}.{node.target._opname}"
    if isinstance(node.target, HigherOrderOperator):
        return f"torch.{node.target}"
    return str(getattr(node.target, "__name__", node.target))


def _argument_names(node: Node) -> list[str]:
    schema = getattr(node.target, "_schema", None)
    return [own.name for own in schema.arguments] if schema else [""] * len(node.args)


def _argument(name: str, value: Any) -> str:
    if name in _OF_STORAGE or value is None or _is_graph(value) or value in ((), []):
        return ""
    if isinstance(value, list | tuple) and any(isinstance(own, Node) for own in value):
        return f"[{', '.join(_value(own) for own in value)}]"
    return _value(value) if isinstance(value, Node) or not name else f"{name}={_value(value)}"


def _value(value: Any) -> str:
    held: Any = value.meta.get("val") if isinstance(value, Node) else value
    if isinstance(held, Tensor):
        return f"{str(held.dtype).removeprefix('torch.')}{[*held.shape]}"
    return str(held)


def _is_graph(value: Any) -> bool:
    """The body of a loop or branch, which is a module of its own."""
    return isinstance(value, Node) and value.op == "get_attr" and "val" not in value.meta
