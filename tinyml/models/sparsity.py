"""A sparse preset's rules applied to a network: which layers, and how many weights are left."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from tinyml.models.cost import count_parameters
from tinyml.models.protocol import LayerSparsity

Rules = Sequence[LayerSparsity]


def rule_for(layer: str, rules: Rules) -> LayerSparsity | None:
    """The first of ``rules`` whose pattern matches the module name ``layer``."""
    return next((rule for rule in rules if fnmatchcase(layer, rule.layers)), None)


def sparse_layers(network: nn.Module, rules: Rules) -> dict[str, LayerSparsity]:
    """Module name -> rule of each convolution and linear layer that gets zeros."""
    found = {}
    for name, layer in network.named_modules():
        rule = rule_for(name, rules) if isinstance(layer, nn.Conv2d | nn.Linear) else None
        if rule is not None:
            found[name] = rule
    return found


def count_zeros(weight_count: int, rule: LayerSparsity) -> int:
    """Zeros that ``rule`` puts among ``weight_count`` weights: whole blocks, rounded."""
    return round(rule.share * weight_count / rule.block) * rule.block


def count_nonzero(network: nn.Module, rules: Rules) -> int:
    """Parameters left of ``network``; biases and batch normalization have no zeros."""
    zeros = 0
    for name, rule in sparse_layers(network, rules).items():
        zeros += count_zeros(network.get_parameter(f"{name}.weight").numel(), rule)
    return count_parameters(network) - zeros
