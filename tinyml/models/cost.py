"""What a model costs: parameters, and multiply-accumulates of convolutions and linear layers.

Counted by `torch.utils.flop_counter` from the shapes that go through them when the module
runs, so fixed-weight convolutions of a front end count as executed, padding of kernels
included. One multiply-accumulate is two of its floating-point operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tinyml.core.spec import Signature, zeros
from tinyml.models.protocol import ModelEntry


def count_parameters(module: nn.Module) -> int:
    """Trained values; buffers (statistics, fixed banks) are none."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, signature: Signature) -> int:
    """Multiply-accumulates of one call at ``signature``'s shapes."""
    return _count(module, signature).get_total_flops() // 2


def macs_by_child(module: nn.Module, signature: Signature) -> Counter[str]:
    """Multiply-accumulates of each direct child of ``module`` in one call; "" is outside.

    A module on the meta device, of shapes alone, is counted without any arithmetic.
    """
    return _by_name(module, [name for name, _ in module.named_children()], signature)


def macs_by_layer(module: nn.Module, signature: Signature) -> Counter[str]:
    """Multiply-accumulates of each convolution and linear layer in one call, by its name.

    In the order run; "" is what is computed outside of them.
    """
    layers = [n for n, m in module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return _by_name(module, layers, signature)


def front_end_children(entry: ModelEntry) -> tuple[str, ...]:
    """The stages up to and with the last one of the front end."""
    if entry.front_end is None:
        return ()
    return entry.stages[: entry.stages.index(entry.front_end) + 1]


def _by_name(module: nn.Module, names: Iterable[str], signature: Signature) -> Counter[str]:
    """Of each of ``names``, which do not contain each other, and of "", the rest."""
    counter = _count(module, signature)
    watched = {f"{type(module).__name__}.{name}": name for name in names}
    macs = Counter(
        {
            watched[path]: sum(flops.values()) // 2
            for path, flops in counter.get_flop_counts().items()
            if path in watched
        }
    )
    outside = counter.get_total_flops() // 2 - macs.total()
    return macs + Counter({"": outside})


def _count(module: nn.Module, signature: Signature) -> FlopCounterMode:
    """The operations of one call of ``module`` in eval mode."""
    device = next((parameter.device for parameter in module.parameters()), None)
    inputs = {n: torch.from_numpy(a).to(device) for n, a in zeros(signature).items()}
    counter = FlopCounterMode(display=False)
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), counter:
            module(**inputs)
    finally:
        module.train(was_training)
    return counter
