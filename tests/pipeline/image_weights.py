"""Weights with teeth for an image classifier: every batch normalization does something."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyml.spec import ModelEntry


def random_weights(entry: ModelEntry, seed: int = 0) -> dict[str, Tensor]:
    """A state dict whose statistics are those of noise, then shifted; logits differ by classes."""
    torch.manual_seed(seed)
    classes = len(entry.decision.labels)
    module = entry.build(classes)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.0, 0.3)
    (spec,) = entry.signature(classes).inputs
    with torch.no_grad():
        module.train().classify(torch.randn(4, *spec.shape[1:]))
        for norm in norms:
            norm.running_mean.add_(0.3 * norm.running_var.sqrt() * torch.randn_like(norm.bias))
            norm.running_var.mul_(torch.empty_like(norm.bias).uniform_(0.7, 1.4))
        last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
        nn.init.normal_(last.weight, 0.0, 2.0 / last.in_features**0.5)
        nn.init.normal_(last.bias, 0.0, 0.5)
    return {name: value.clone() for name, value in module.state_dict().items()}
