"""The stages of a network that nobody listed: its submodules, as they are called."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from tinyml.spec import Arrays

DEPTH = 3


def blocks(module: nn.Module, inputs: Arrays, depth: int = DEPTH) -> tuple[str, ...]:
    """Submodules to ``depth`` that return one tensor, in the order in which they end.

    ``module`` runs once in eval mode on ``inputs``. The second call of a submodule is
    ``name#2``. One that hands its input on unchanged (an identity) computes nothing and
    is no stage; one that changes it in place is.
    """
    calls: Counter[str] = Counter()
    found: list[str] = []
    hooks = []
    for name, part in module.named_modules():
        if name and name.count(".") < depth:
            watch = _Watch(name, calls, found)
            hooks.append(part.register_forward_pre_hook(watch.before, with_kwargs=True))
            hooks.append(part.register_forward_hook(watch.after))
    try:
        with torch.no_grad():
            module(**{name: torch.from_numpy(array.copy()) for name, array in inputs.items()})
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(found)


class _Watch:
    """Both hooks of one submodule; ``versions`` is a stack, because calls can nest."""

    def __init__(self, name: str, calls: Counter[str], found: list[str]) -> None:
        self.name, self.calls, self.found = name, calls, found
        self.versions: list[dict[int, int]] = []

    def before(self, _part: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        tensors = [v for v in (*given, *named.values()) if isinstance(v, Tensor)]
        self.versions.append({id(tensor): tensor._version for tensor in tensors})

    def after(self, _part: nn.Module, _given: Any, value: Any) -> None:
        before = self.versions.pop()
        self.calls[self.name] += 1
        if isinstance(value, Tensor) and before.get(id(value)) != value._version:
            count = self.calls[self.name]
            self.found.append(self.name if count == 1 else f"{self.name}#{count}")
