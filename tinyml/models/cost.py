"""What a model costs: parameters, and multiply-accumulates of convolutions and linear layers.

Counted from the shapes that go through ``conv`` and ``linear`` when the module runs, so
fixed-weight convolutions of a front end count as executed, padding of kernels included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tinyml.core.spec import Signature, zeros
from tinyml.models.protocol import ModelEntry

aten = torch.ops.aten


def count_parameters(module: nn.Module) -> int:
    """Trained values; buffers (statistics, fixed banks) are none."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, signature: Signature) -> int:
    """Multiply-accumulates of one call at ``signature``'s shapes."""
    return sum(macs_by_child(module, signature).values())


def macs_by_child(module: nn.Module, signature: Signature) -> Counter[str]:
    """Multiply-accumulates of each direct child of ``module`` in one call; "" is outside.

    A module on the meta device, of shapes alone, is counted without any arithmetic.
    """
    return _count(module, dict(module.named_children()), signature)


def _count(
    module: nn.Module, watched: Mapping[str, nn.Module], signature: Signature
) -> Counter[str]:
    counter = _Counting()
    hooks = [h for name, child in watched.items() for h in counter.watch(name, child)]
    device = next((parameter.device for parameter in module.parameters()), None)
    inputs = {n: torch.from_numpy(a).to(device) for n, a in zeros(signature).items()}
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), counter:
            module(**inputs)
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return counter.macs


def macs_by_layer(module: nn.Module, signature: Signature) -> Counter[str]:
    """Multiply-accumulates of each convolution and linear layer in one call, by its name."""
    layers = {n: m for n, m in module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    return _count(module, layers, signature)


def front_end_children(entry: ModelEntry) -> tuple[str, ...]:
    """The stages up to and with the last one of the front end."""
    if entry.front_end is None:
        return ()
    return entry.stages[: entry.stages.index(entry.front_end) + 1]


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what `aten` computes, under the child that is running."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: Counter[str] = Counter()
        self.running = ""

    def watch(self, name: str, child: nn.Module) -> Iterable[Any]:
        """Hooks that say when ``child`` runs."""

        def enter(*_: Any) -> None:
            self.running = name

        def leave(*_: Any) -> None:
            self.running = ""

        return child.register_forward_pre_hook(enter), child.register_forward_hook(leave)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        value = func(*args, **(kwargs or {}))
        if func is aten.convolution.default:
            signal, weight, transposed = args[0], args[1], args[6]
            driving = signal if transposed else value
            self.macs[self.running] += driving.numel() * weight[0].numel()
        elif func in (aten.addmm.default, aten.mm.default, aten.bmm.default):
            left = args[1] if func is aten.addmm.default else args[0]
            self.macs[self.running] += value.numel() * left.shape[-1]
        return value
