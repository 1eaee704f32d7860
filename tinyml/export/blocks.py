"""The stages of a network that nobody described: its submodules, found by running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tinyml.core.spec import Array

CONTAINERS = (nn.ModuleList, nn.ModuleDict)


def blocks(
    module: nn.Module, inputs: Mapping[str, Array | Tensor], depth: int = 3
) -> tuple[str, ...]:
    """Every call of a submodule to ``depth`` that returns one new tensor, in calling order.

    The second call of ``name`` is ``name#2``. Lists and dicts of modules, which are never
    called, are no level. A call that hands on what it was given, as an identity or a
    dropout does, computes nothing and is left out, unless it wrote into it; so is a module
    with two names, whose calls a captured graph counts under each.
    """
    found: list[str] = []
    calls: Counter[str] = Counter()
    hooks = []
    names = Counter(part for _, part in module.named_modules(remove_duplicate=False))
    for name, part in module.named_modules():
        if name and names[part] == 1 and _level(module, name) <= depth:
            watch = _Watch(name, calls, found)
            hooks.append(part.register_forward_pre_hook(watch.before, with_kwargs=True))
            hooks.append(part.register_forward_hook(watch.after))
    try:
        with torch.no_grad():
            module(**{name: torch.as_tensor(value) for name, value in inputs.items()})
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(found)


class _Watch:
    """Notes the calls of one submodule."""

    def __init__(self, name: str, calls: Counter[str], found: list[str]) -> None:
        self.name, self.calls, self.found = name, calls, found
        self.given: list[tuple[int, int]] = []

    def before(self, _module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        self.given = [_state(x) for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]

    def after(self, _module: nn.Module, _args: Any, value: Any) -> None:
        self.calls[self.name] += 1
        count = self.calls[self.name]
        if isinstance(value, Tensor) and _state(value) not in self.given:
            self.found.append(self.name if count == 1 else f"{self.name}#{count}")


def _state(value: Tensor) -> tuple[int, int]:
    """A tensor and how often it was written to."""
    return id(value), value._version


def _level(module: nn.Module, name: str) -> int:
    parts = name.split(".")
    owners = (module.get_submodule(".".join(parts[:i])) for i in range(1, len(parts) + 1))
    return sum(not isinstance(owner, CONTAINERS) for owner in owners)
