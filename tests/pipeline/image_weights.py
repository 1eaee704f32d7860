"""Weights with teeth for an image classifier: every batch normalization does something.

They must not amplify rounding either. Statistics of noise alone, or shifted after all were
taken, make networks of 30 layers whose own float32 answer is further from their float64
one than any engine may be from it; no trained network is so. So each normalization takes
the statistics of what reaches it, shifted, before the next one does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyml.export import parity
from tinyml.models.protocol import ModelEntry
from tinyml.models.sparsity import count_zeros, sparse_layers

NOISE_IMAGES = 12


def random_weights(entry: ModelEntry, seed: int = 0) -> dict[str, Tensor]:
    """A state dict whose statistics are of parity's cases and of noise, each shifted.

    A sparse preset has its zeros.
    """
    torch.manual_seed(seed)
    classes = len(entry.processor.labels)
    module = entry.build(classes).eval()
    for name, rule in sparse_layers(module, entry.sparsity).items():
        weight = module.get_parameter(f"{name}.weight").detach()
        smallest = weight.abs().flatten().argsort()[: count_zeros(weight.numel(), rule)]
        weight.view(-1)[smallest] = 0
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.0, 0.3)
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    with torch.no_grad():
        module.classify(_images(entry, classes))
        last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
        nn.init.normal_(last.weight, 0.0, 2.0 / last.in_features**0.5)
        nn.init.normal_(last.bias, 0.0, 0.5)
    for hook in hooks:
        hook.remove()
    return {name: value.clone() for name, value in module.state_dict().items()}


def _take_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
    variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
    variance.clamp_(min=0.1 * variance.mean().item())
    norm.running_mean.copy_(mean + 0.3 * variance.sqrt() * torch.randn_like(mean))
    norm.running_var.copy_(variance * torch.empty_like(mean).uniform_(0.7, 1.4))


def _images(entry: ModelEntry, classes: int) -> Tensor:
    signature = entry.signature(classes)
    (spec,) = signature.inputs
    cases = parity.cases(signature, 0).values()
    noise = torch.randn(NOISE_IMAGES, *spec.shape[1:])
    return torch.cat([*(torch.from_numpy(case[spec.name]) for case in cases), noise])
